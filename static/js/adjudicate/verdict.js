// What people had said, next to the ruling: a table, shown only after it.

import { byId, make } from "../annotate/dom.js";
import { gettext } from "../lib/i18n.js";

const LABELS = ["left", "tie", "right", "invalid"];

const word = (label) =>
  ({
    left: gettext("A better"),
    tie: gettext("Same"),
    right: gettext("B better"),
    invalid: gettext("Invalid"),
  })[label];

function row({ key, title }, said, ruled, settled) {
  const cells = LABELS.map((label) =>
    make("td", { className: "num" }, make(label === ruled ? "strong" : "span", { textContent: String(said[label] ?? 0) })),
  );
  const heading = make("th", { scope: "row", textContent: title });
  const element = make("tr", {}, heading, ...cells, make("td", { textContent: word(ruled) }));
  element.classList.toggle("is-settled", settled);
  element.dataset.dimension = key;
  return element;
}

/** `verdict`: the answer of the API; `judgements`: what was sent, by key. */
export function showSpread(verdict, dimensions, judgements) {
  const rows = dimensions.map((dimension) => {
    const { key } = dimension;
    return row(dimension, verdict.spread[key] ?? {}, judgements[key].label, verdict.settled.includes(key));
  });
  byId("verdict-rows").replaceChildren(...rows);
}
