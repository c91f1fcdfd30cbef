// Pages of figures: charts answer to pointer, touch and keyboard; tables that were open stay open.

import { followTips } from "./lib/tips.js";

followTips(document.body);

// Curves are switched on and off by their names.
document.body.addEventListener("click", (event) => {
  const toggle = event.target.closest(".toggle[data-series]");
  if (!toggle) return;
  const on = toggle.getAttribute("aria-pressed") !== "true";
  toggle.setAttribute("aria-pressed", String(on));
  const plot = toggle.closest("figure").querySelector(".plot");
  for (const part of plot.querySelectorAll(`.series-${toggle.dataset.series}`)) {
    part.classList.toggle("is-off", !on);
  }
});

// A panel is replaced when there is news; what was opened or closed in it stays so.
const opened = new Map();

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.id) opened.set(event.target.id, event.target.open);
  },
  true,
);

document.body.addEventListener("htmx:afterSettle", () => {
  for (const [id, open] of opened) {
    const details = document.getElementById(id);
    if (details && details.open !== open) details.open = open;
  }
});
