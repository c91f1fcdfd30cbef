// One row of the ballot: a radiogroup for a dimension, with reasons for "invalid" and, where the
// campaign wants them, a score from 1 to 5 per clip. Left is A and right is B on the screen.

import { gettext, interpolate } from "./i18n.js";
import { capText } from "./keymap.js";

const SIDES = ["left", "right"];
const EMPTY = { label: null, reason: "", score_left: null, score_right: null };
const NEXT = { ArrowLeft: -1, ArrowRight: 1 };

const copy = (template) => template.content.firstElementChild.cloneNode(true);

/** Tells what can be pressed in a row; the ballot decides what the press does. */
export class BallotRow {
  constructor(ballot, dimension, place) {
    Object.assign(this, { ballot, dimension, place });
    this.value = { ...EMPTY };
    this.element = copy(ballot.single ? ballot.templates.single : ballot.templates.pair);
    if (dimension.allow_tie === false) this.#withoutTie();
    this.buttons = [...this.element.querySelectorAll("[data-label]")];
    this.labels = this.buttons.map((button) => button.dataset.label);
    this.reasons = this.element.querySelector(".reasons");
    this.#name();
    this.#listen();
    this.render();
  }

  #withoutTie() {
    this.element.querySelector('[data-label="tie"]')?.remove();
    this.element.querySelector(".choice").classList.add("has-no-tie");
  }

  #name() {
    const { key, title, question } = this.dimension;
    const heading = this.element.querySelector(".row-title");
    heading.id = `dimension-${key}`;
    heading.textContent = title;
    heading.ariaLevel = this.dimension.group ? "3" : "2"; // below the heading of its group
    const line = this.element.querySelector(".row-question");
    line.id = `question-${key}`;
    line.textContent = question;
    const group = this.element.querySelector('[role="radiogroup"]');
    group.setAttribute("aria-labelledby", heading.id);
    group.setAttribute("aria-describedby", line.id);
    this.element.dataset.dimension = key;
  }

  showCaps(codes, layout, shown) {
    this.buttons.forEach((button, place) => {
      const cap = button.querySelector("kbd");
      if (!cap) return;
      cap.textContent = capText(codes[place], layout);
      cap.hidden = !shown && codes[place].startsWith("Key");
    });
  }

  #listen() {
    this.buttons.forEach((button, place) => {
      button.addEventListener("click", () => this.ballot.vote(this.place, button.dataset.label));
      button.addEventListener("keydown", (event) => this.#arrow(event, place));
    });
    this.element.addEventListener("click", (event) => {
      // After a pointer, Space and Enter belong to the page again and not to the button.
      if (event.detail > 0) this.element.focus({ preventScroll: true });
    });
    this.element.addEventListener("focusin", () => this.ballot.makeCurrent(this.place));
    this.reasons.addEventListener("click", (event) => {
      const reason = event.target.closest("[data-reason]")?.dataset.reason;
      if (reason) this.ballot.setReason(this.place, reason);
    });
    this.element.querySelector(".scores")?.addEventListener("click", (event) => {
      const button = event.target.closest("[data-score]");
      if (button) this.ballot.setScore(this.place, button.dataset.side, Number(button.dataset.score));
    });
  }

  #arrow(event, place) {
    const by = NEXT[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = this.buttons[(place + by + this.buttons.length) % this.buttons.length];
    next.focus();
    this.ballot.vote(this.place, next.dataset.label);
  }

  /** What is chosen: a label, for a single clip a score as text, or null. */
  get choice() {
    const { label, score_left: score } = this.value;
    if (!this.ballot.single || label === "invalid") return label;
    return score === null ? null : String(score);
  }

  choose(label) {
    this.value.reason = ""; // "invalid" pressed again asks for the reason again
    if (!this.ballot.single) {
      this.value.label = label;
      return;
    }
    this.value.label = label === "invalid" ? label : null;
    this.value.score_left = label === "invalid" ? null : Number(label);
  }

  restore(value) {
    for (const name of Object.keys(EMPTY)) this.value[name] = value[name] ?? EMPTY[name];
    this.render();
  }

  get complete() {
    return this.choice !== null && !this.wantsReason;
  }

  get wantsReason() {
    return this.value.label === "invalid" && this.value.reason === "";
  }

  /** On this screen the dimension cannot be judged before the clips were looked at pixel by pixel. */
  get tooSmall() {
    const { width, magnified } = this.ballot.sight;
    return (this.dimension.min_width ?? 0) > width && !magnified;
  }

  whyTooSmall() {
    return interpolate(
      gettext("“%(title)s” needs clips at least %(width)s pixels wide: look at them pixel by pixel first."),
      { title: this.dimension.title, width: this.dimension.min_width },
    );
  }

  render() {
    this.#renderChoice();
    this.element.classList.toggle("is-answered", this.complete);
    this.element.classList.toggle("is-too-small", this.tooSmall);
    this.reasons.hidden = !this.wantsReason;
    this.#renderLine();
    this.#renderPressed();
  }

  #renderChoice() {
    const { choice } = this;
    const locked = this.ballot.locked || this.tooSmall;
    this.buttons.forEach((button, place) => {
      const checked = button.dataset.label === choice;
      button.setAttribute("aria-checked", String(checked));
      button.setAttribute("aria-disabled", String(locked));
      button.tabIndex = checked || (choice === null && place === 0) ? 0 : -1;
    });
  }

  #renderPressed() {
    for (const button of this.reasons.querySelectorAll("[data-reason]")) {
      button.setAttribute("aria-pressed", String(button.dataset.reason === this.value.reason));
    }
    const scores = this.element.querySelector(".scores");
    if (!scores) return;
    scores.hidden = !this.ballot.perVideoScores;
    for (const button of scores.querySelectorAll("[data-score]")) {
      const score = this.value[`score_${button.dataset.side}`];
      button.setAttribute("aria-pressed", String(Number(button.dataset.score) === score));
    }
  }

  /** The reason stands where the question was, so that the row keeps its height. */
  #renderLine() {
    const [question, line] = this.element.querySelectorAll(".row-question");
    const invalid = this.choice === "invalid";
    line.textContent = invalid ? this.words() : this.tooSmall ? this.whyTooSmall() : "";
    line.hidden = line.textContent === "";
    question.hidden = !line.hidden;
  }

  /** As the API wants it. */
  judgement() {
    const { label, reason, score_left: score } = this.value;
    if (label === "invalid") return { label, reason, ...this.#scores() };
    if (this.ballot.single) return { score_left: score };
    return { label, reason: "", ...this.#scores() };
  }

  #scores() {
    if (!this.ballot.perVideoScores) return {};
    const given = SIDES.map((side) => [`score_${side}`, this.value[`score_${side}`]]);
    return Object.fromEntries(given.filter(([, score]) => score !== null));
  }

  reasonNumber(number) {
    return this.reasons.querySelectorAll("[data-reason]")[number - 1]?.dataset.reason;
  }

  words() {
    const { choice } = this;
    if (choice === "invalid") return this.#invalidWords();
    if (this.ballot.single) return interpolate(gettext("%(score)s of 5"), { score: choice });
    return { left: gettext("A better"), tie: gettext("Same"), right: gettext("B better") }[choice];
  }

  #invalidWords() {
    const chosen = this.reasons.querySelector(`[data-reason="${CSS.escape(this.value.reason)}"]`);
    if (!chosen) return gettext("Invalid, choose a reason");
    return interpolate(gettext("Invalid, %(reason)s"), { reason: chosen.dataset.title });
  }
}
