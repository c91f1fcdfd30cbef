// The chain of runs: states, words and bars of the picture stay up to date.

import { getJSON, keepAsking, showLost, showUnread } from "./lib/live.js";
import { shownOf } from "./lib/chain.js";

const picture = document.querySelector("[data-graph]");
const boxes = [...document.querySelectorAll("[data-node]")];
const known = new Map();

function show(box) {
  const runs = box.dataset.node.split(" ").map((id) => known.get(Number(id)));
  if (runs.some((run) => run === undefined)) return;
  const { state, words, share } = shownOf(runs);
  box.dataset.state = state;
  box.querySelector('[data-shown="state"]').textContent = state;
  box.querySelector('[data-shown="words"]').textContent = words;
  const bar = box.querySelector("[data-bar]");
  bar.setAttribute("width", String(Math.round(Number(bar.dataset.bar) * share)));
}

async function ask() {
  const open = boxes
    .flatMap((box) => box.dataset.node.split(" "))
    .filter((id) => !known.get(Number(id))?.ended);
  if (!open.length) return false;
  const query = open.map((id) => `id=${id}`).join("&");
  const { runs, unread } = await getJSON(`${picture.dataset.live}?${query}`);
  for (const run of runs) known.set(run.id, run);
  for (const box of boxes) show(box);
  showUnread(unread);
  return runs.some((run) => !run.ended);
}

// A long chain begins where the reader came from.
document.querySelector(".chain-box.is-here")?.scrollIntoView({ inline: "center", block: "nearest" });
if (picture && boxes.length) keepAsking(ask, { lost: showLost });
