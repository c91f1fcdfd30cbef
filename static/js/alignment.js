// The panel of an alignment run, live: alarms, training against the reference, held-out quality,
// and clips of base and current side by side.

import { brief } from "./lib/curves.js";
import { Chart } from "./lib/chart.js";
import { getJSON, keepAsking } from "./lib/live.js";
import { WatchedPairs } from "./lib/watched-pairs.js";

const panel = document.querySelector("[data-alignment]");
const part = (name) => panel.querySelector(`[data-${name}]`);
const PERIOD = 3000;

// Which readings of the trainer stand in which chart.
const TRAINING = [
  { title: "loss", curves: { loss: "loss" } },
  { title: "z", curves: { mean: "z_mean", "largest |z|": "z_max" }, level: 0 },
  { title: "implicit accuracy", curves: { accuracy: "implicit_accuracy" }, level: 0.5 },
  { title: "error over reference", curves: { winners: "winner_drift", losers: "loser_drift" }, level: 0 },
  { title: "gradient norm", curves: { norm: "grad_norm" } },
];
const NUMBER_OF = { training: 1, independent: 2, truth: 3 };

let readings = new Map();
let news = { steps: 0, kept: null, alarms: [], quality: [], measures: [], looks: [] };
const marks = () => news.alarms.map(({ step, stopped, title }) => ({ step, stopped, title }));

// Training.

const trainingCharts = TRAINING.map((each) => {
  const chart = new Chart(each.title, { level: each.level ?? null });
  chart.element.hidden = true;
  part("training-charts").append(chart.element);
  return { ...each, chart };
});

function drawTraining() {
  const smoothing = Number(part("alignment-smoothing").value);
  let any = false;
  for (const { chart, curves } of trainingCharts) {
    const found = Object.entries(curves).map(([name, key], index) => ({
      name,
      number: index + 1,
      points: readings.get(key)?.points ?? [],
    }));
    chart.draw(found.filter(({ points }) => points.length > 1), { marks: marks(), smoothing });
    any ||= !chart.element.hidden;
  }
  part("training").hidden = !any;
}

// Alarms.

function showAlarms() {
  const { alarms } = news;
  part("alarms").hidden = !alarms.length;
  if (!alarms.length) return;
  const stopped = alarms.some((each) => each.stopped);
  part("alarms").className = stopped ? "notice notice-bad" : "notice notice-warn";
  part("alarms-title").textContent = stopped
    ? `An alarm has ended this run. Its adapter is that of the last good checkpoint${news.kept === null ? "" : `, step ${news.kept}`}.`
    : `${alarms.length} alarm${alarms.length > 1 ? "s" : ""}`;
  part("alarms-list").replaceChildren(...alarms.map(alarmRow));
}

function alarmRow({ title, step, sentence, advice, stopped }) {
  const row = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = `${title}, step ${step}${stopped ? " (ended the run)" : ""}: `;
  const more = document.createElement("span");
  more.className = "advice";
  more.textContent = advice;
  row.append(name, `${sentence}.`, more);
  return row;
}

// Quality.

const qualityCharts = new Map();

function qualityChart(title) {
  if (!qualityCharts.has(title)) {
    qualityCharts.set(title, new Chart(title, { level: 0 }));
  }
  return qualityCharts.get(title);
}

const asPoints = (points) => points.map(({ step, change, low, high }) => [step, change, low, high]);

function offerDimensions() {
  const choice = part("dimension");
  const names = [...new Set(news.quality.flatMap(({ points }) => Object.keys(points)))];
  const shown = [...choice.options].map((each) => each.value);
  if (names.join() !== shown.join()) {
    const chosen = choice.value;
    choice.replaceChildren(...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) choice.value = chosen;
  }
  part("dimension-choice").hidden = names.length < 2;
}

function drawQuality() {
  if (!part("quality-charts")) return;
  offerDimensions();
  const dimension = part("dimension").value;
  const options = { steps: news.steps, marks: marks() };
  const drawn = new Set();
  const draw = (title, points, number) => {
    drawn.add(title);
    qualityChart(title).draw([{ name: title, points: asPoints(points), number }], options);
  };
  for (const { title, kind, points } of news.quality) draw(title, points[dimension] ?? [], NUMBER_OF[kind]);
  for (const { title, points } of news.measures) draw(title, points, 1);
  // In this order, whichever came first: judges, then what pixels say.
  part("quality-charts").replaceChildren(...[...drawn].map((title) => qualityCharts.get(title).element));
  part("waiting").hidden = news.looks.length > 0;
  part("quality-note").hidden = !news.looks.length;
  tabulate(dimension);
}

/** The figures behind the curves: one row per look. */
function tabulate(dimension) {
  const columns = [
    ...news.quality.map(({ title, points }) => [title, points[dimension] ?? []]),
    ...news.measures.map(({ title, points }) => [title, points]),
  ].filter(([, points]) => points.length);
  const table = part("looks-table");
  table.hidden = !columns.length;
  const cells = (tag, texts) => {
    const row = document.createElement("tr");
    texts.forEach((text, index) => {
      const cell = row.appendChild(document.createElement(index ? tag : "th"));
      cell.textContent = text;
      if (index) cell.className = "num";
    });
    return row;
  };
  part("looks-head").replaceChildren(cells("th", ["step", ...columns.map(([title]) => title)]));
  part("looks-body").replaceChildren(
    ...news.looks.map(({ step }) =>
      cells("td", [String(step), ...columns.map(([, points]) => told(points.find((each) => each.step === step)))]),
    ),
  );
}

function told(point) {
  if (!point) return "–";
  const interval = point.low === null || point.step === 0 ? "" : ` (${brief(point.low)} to ${brief(point.high)})`;
  return `${brief(point.mean)}: ${point.change > 0 ? "+" : ""}${brief(point.change)}${interval}`;
}

// Clips.

const pairs = part("pairs") ? new WatchedPairs(part("pairs")) : null;

function namePlay() {
  part("look-play").textContent = pairs.playing ? "Pause" : "Play";
}

function offerSeeds() {
  const choice = part("look-seed");
  const seeds = [...new Set(news.looks[0].clips.map(({ seed }) => String(seed)))];
  const names = [...choice.options].map((each) => each.value).filter(Boolean);
  if (names.join() === seeds.join()) return;
  choice.replaceChildren(...seeds.map((each) => new Option(each, each)), new Option("all", ""));
  choice.closest("label").hidden = seeds.length < 2;
}

function showClips() {
  if (!pairs || !news.looks.length) return;
  part("samples").hidden = false;
  offerSeeds();
  const slider = part("look");
  slider.max = String(news.looks.length - 1);
  if (part("look-follow").checked) slider.value = slider.max;
  const look = news.looks[Number(slider.value)];
  const text = `${look.step}${look.step ? "" : " (base)"}`;
  part("look-shown").textContent = text;
  slider.setAttribute("aria-valuetext", `step ${text}`);
  const titles = new Map(news.quality.map(({ key, title }) => [key, title]));
  pairs.show(news.looks[0], look, { seed: part("look-seed").value, titles });
}

// Asking.

let mark = "";

async function ask() {
  const answer = await getJSON(`${panel.dataset.alignment}?mark=${mark}`);
  mark = answer.mark;
  if (answer.panel) {
    news = answer.panel;
    showAlarms();
    drawTraining();
    drawQuality();
    showClips();
  }
  // What comes after the end, a score set or a truth run, comes now and then.
  return !answer.ended;
}

document.addEventListener("run:metrics", (event) => {
  readings = event.detail;
  drawTraining();
});
part("alignment-smoothing").addEventListener("input", drawTraining);
part("dimension")?.addEventListener("change", drawQuality);
part("look")?.addEventListener("input", () => {
  part("look-follow").checked = part("look").value === part("look").max;
  showClips();
});
part("look-follow")?.addEventListener("change", showClips);
part("look-seed")?.addEventListener("change", showClips);
part("look-play")?.addEventListener("click", () => {
  pairs.play(!pairs.playing);
  namePlay();
});
if (pairs) namePlay();
keepAsking(ask, { period: PERIOD });
