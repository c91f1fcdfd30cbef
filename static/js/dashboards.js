// The figures of a dashboard are replaced when they change; tables that were open stay open.

const figures = document.getElementById("figures");
let open = [];

document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target !== figures) return;
  open = [...figures.querySelectorAll("details[open]")].map((details) => details.id);
});

document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.target !== figures) return;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
});
