// One run, live: state and progress, curves that grow, a log that follows.

import { Curve, Series, brief } from "./lib/curves.js";
import { getJSON, keepAsking, showCard, showLost, showUnread } from "./lib/live.js";
import "./clips.js";

const page = document.querySelector("[data-run]");
const panel = document.querySelector("[data-curves-panel]");
const place = document.querySelector("[data-curves]");
const latest = document.querySelector("[data-latest]");
const smoothing = document.querySelector("[data-smoothing]");
const log = document.querySelector("[data-log]");
const follow = document.querySelector("[data-follow]");
const ranks = document.querySelector("[data-ranks]");
const logFile = document.querySelector("[data-log-file]");
const firstLogFile = logFile.href;
const KEPT = 400_000; // characters of the log in the page; the file has all of them

const series = new Map();
const curves = new Map();
let since = 0;
let fence = null;
let logEnd = null;
const endedAtFirst = page.dataset.ended;

function forget() {
  series.clear();
  since = 0;
}

// What people look at first stands first: losses, then accuracies, then the rest by name.
function placeOf(name) {
  const first = ["loss", "accuracy"].findIndex((word) => name.includes(word));
  return `${first < 0 ? 2 : first} ${name}`;
}

// What a panel of this kind of run draws is not drawn again.
const drawn = new Set(document.querySelector("[data-drawn]")?.dataset.drawn.split(" "));

function draw(names) {
  for (const name of names) {
    if (drawn.has(name)) continue;
    // One point is no curve: it stands in the table of the latest values.
    if (series.get(name).points.length < 2) continue;
    if (!curves.has(name)) {
      const curve = new Curve(name);
      curves.set(name, curve);
      const behind = [...curves.keys()].filter((each) => placeOf(each) > placeOf(name));
      const after = behind.sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))[0];
      place.insertBefore(curve.element, after ? curves.get(after).element : null);
    }
    curves.get(name).draw(series.get(name).points, Number(smoothing.value));
  }
  panel.hidden = series.size === 0;
}

function tabulate() {
  latest.replaceChildren(
    ...[...series.keys()].sort().map((name) => {
      const row = document.createElement("tr");
      const [step, value] = series.get(name).last;
      for (const [index, text] of [name, String(step), brief(value)].entries()) {
        const cell = row.appendChild(document.createElement(index ? "td" : "th"));
        cell.textContent = text;
        if (index) cell.className = "num";
      }
      return row;
    }),
  );
}

function showMetrics(points) {
  const changed = new Set();
  for (const [name, step, value] of points) {
    if (!series.has(name)) series.set(name, new Series());
    series.get(name).add(step, value);
    changed.add(name);
  }
  if (changed.size) {
    draw([...changed].sort());
    tabulate();
    document.dispatchEvent(new CustomEvent("run:metrics", { detail: series }));
  }
}

function showLog({ text, start, end, size, left_out: leftOut }) {
  if (logEnd === null && start > 0) log.textContent = `… ${start - leftOut} bytes before this\n`;
  if (leftOut) log.append(`[${leftOut} bytes left out: the log had grown too long]\n`);
  if (size < (logEnd ?? 0)) {
    log.textContent = ""; // another file: the log began anew
    logEnd = null;
    return;
  }
  if (text) {
    // Text, never HTML: what a trainer prints is not ours.
    log.append(text);
    if (log.textContent.length > KEPT) log.textContent = log.textContent.slice(-KEPT / 2);
    if (follow.checked) log.scrollTop = log.scrollHeight;
  }
  logEnd = end;
}

// Each process of a run has a log of its own.
function showRanks(found) {
  if (found.length < 2 || found.length === ranks.options.length) return;
  const chosen = ranks.value;
  ranks.replaceChildren(...found.map((rank) => new Option(String(rank), String(rank))));
  ranks.value = chosen;
  ranks.closest("[data-ranks-of]").hidden = false;
}

ranks.addEventListener("change", () => {
  log.textContent = "";
  logEnd = null;
  logFile.href =
    ranks.value === "0" ? firstLogFile : logFile.dataset.logFiles.replace("log-0", `log-${ranks.value}`);
  if (!asking) goOnAsking();
});

async function ask() {
  const rank = ranks.value;
  const query = new URLSearchParams({ since, rank });
  if (logEnd !== null) query.set("log", logEnd);
  const answer = await getJSON(`${page.dataset.live}?${query}`);
  if (fence !== null && answer.fence !== fence) forget(); // resumed: the lost tail comes again
  else {
    since = answer.since;
    showMetrics(answer.metrics);
  }
  fence = answer.fence;
  showRanks(answer.ranks);
  if (rank !== ranks.value) return true; // another process was chosen meanwhile
  showLog(answer.log);
  showCard(page, answer.run);
  showUnread(answer.unread);
  for (const chunk of answer.chunks) {
    const row = page.querySelector(`[data-run="${chunk.id}"]`);
    if (row) showCard(row, chunk);
  }
  const readAll = answer.log.end >= answer.log.size;
  if (answer.run.ended && readAll) {
    // Outputs, figures and clips came with the end: a fresh page shows them.
    if (endedAtFirst !== "1") location.reload();
    return false;
  }
  return true;
}

let asking = false;

function goOnAsking() {
  asking = true;
  const turn = async () => {
    asking = await ask();
    return asking;
  };
  keepAsking(turn, { lost: showLost });
}

smoothing?.addEventListener("input", () => draw([...series.keys()]));
goOnAsking();
