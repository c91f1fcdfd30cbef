// Lists of runs (all runs, one loop): their rows stay up to date, in one request for all of them.

import { getJSON, keepAsking, showCard, showLost, showUnread } from "./lib/live.js";

const list = document.querySelector("[data-live]:not(svg)");
const rows = [...document.querySelectorAll("[data-run]")];

function showTotal() {
  const done = rows.filter((row) => row.querySelector('[data-field="state"]').textContent === "succeeded");
  const total = document.querySelector("[data-total]");
  if (!total) return;
  total.value = done.length;
  document.querySelector("[data-done]").textContent = String(done.length);
}

async function ask() {
  const open = rows.filter((row) => !row.dataset.ended);
  if (!open.length) return false;
  const query = open.map((row) => `id=${row.dataset.run}`).join("&");
  const { runs, unread } = await getJSON(`${list.dataset.live}?${query}`);
  showUnread(unread);
  for (const run of runs) showCard(open.find((row) => row.dataset.run === String(run.id)), run);
  showTotal();
  // The last run of a loop leaves a report: its link is on the fresh page.
  const ended = rows.every((row) => row.dataset.ended);
  if (ended && document.querySelector("[data-total]")) location.reload();
  return !ended;
}

if (list && rows.length) keepAsking(ask, { lost: showLost });
