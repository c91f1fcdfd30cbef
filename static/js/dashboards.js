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

// The progress panel is replaced when there is news.
const progress = document.getElementById("progress-panel");
let open = [];

document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target !== progress) return;
  open = [...progress.querySelectorAll("details[open]")].map((details) => details.id);
});

document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target !== progress) return;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
});
