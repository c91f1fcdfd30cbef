// After a practice question: what was said, what was expected, and why.

import { gettext } from "../lib/i18n.js";
import { announce, byId, make } from "./dom.js";

const WORDS = {
  left: () => gettext("A better"),
  tie: () => gettext("Same"),
  right: () => gettext("B better"),
  invalid: () => gettext("Invalid"),
};
const wordOf = (answer) => WORDS[answer]?.() ?? String(answer ?? "–");

function rowOf(title, { said, expected, right }) {
  const mark = right ? gettext("right") : gettext("not right");
  const row = make(
    "tr",
    {},
    make("th", { scope: "row", textContent: title }),
    make("td", { textContent: wordOf(said) }),
    make("td", { textContent: wordOf(expected) }),
    make("td", {}, make("span", { className: right ? "badge badge-ok" : "badge badge-bad", textContent: mark })),
  );
  return row;
}

export class Feedback {
  constructor(root) {
    this.root = root;
  }

  get shown() {
    return this.root.dataset.mode === "feedback";
  }

  /** `feedback`: the answers by dimension key; the clips stay on the stage. */
  show(feedback, explanation, dimensions) {
    const { explanation: inside, ...answers } = feedback;
    const rows = dimensions.filter(({ key }) => answers[key]);
    const right = rows.filter(({ key }) => answers[key].right).length;
    byId("feedback-title").textContent =
      right === rows.length ? gettext("All right") : gettext("Not quite: please compare");
    byId("feedback-rows").replaceChildren(...rows.map(({ key, title }) => rowOf(title, answers[key])));
    const why = explanation || inside || "";
    byId("feedback-why").textContent = why;
    byId("feedback-why").hidden = why === "";
    this.root.dataset.mode = "feedback";
    announce(`${byId("feedback-title").textContent}. ${why}`);
    byId("feedback").focus();
  }
}
