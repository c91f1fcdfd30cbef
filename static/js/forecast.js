// The form that starts a run says what is known of it, anew whenever something in it changes.

const place = document.querySelector("[data-forecast]");
const form = place.closest("form");
const list = place.querySelector("dl");
const fault = place.querySelector("[data-fault]");
const PAUSE = 400;
let waiting = 0;
let asked = 0;

function filledIn() {
  const values = new FormData(form);
  // Files are sent with the start alone: they may be large, and nothing of them is foretold.
  for (const field of form.querySelectorAll('input[type="file"]')) values.delete(field.name);
  values.set("kind", place.dataset.kind);
  return values;
}

function row(name, text, className = "") {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

function show({ said = [], error = "" }) {
  list.replaceChildren(
    ...said.flatMap((each) => [row("dt", each.about), row("dd", each.text, `is-${each.verdict}`)]),
  );
  fault.textContent = error;
  fault.hidden = !error;
}

async function ask() {
  asked += 1;
  const mine = asked;
  try {
    const answer = await fetch(place.dataset.forecast, { method: "POST", body: filledIn() });
    const found = await answer.json();
    if (mine === asked) show(found); // a later question has the last word
  } catch {
    if (mine === asked) show({ error: "The site does not answer." });
  }
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, PAUSE);
}

form.addEventListener("input", later);
form.addEventListener("change", later);
