// The rows of the ballot: one radiogroup per dimension, with reasons for "invalid" and, where the
// campaign wants them, a score from 1 to 5 per clip. Left is A and right is B on the screen.

import { capsOf, capText } from "./shortcuts.js";

const LABELS = ["left", "tie", "right", "invalid"];
const WORDS = { left: "A better", tie: "Same", right: "B better", invalid: "Invalid" };
const SIDES = ["left", "right"];

const copy = (template) => template.content.firstElementChild.cloneNode(true);

/** Tells what can be pressed in a row; the ballot decides what the press does. */
class Row {
  constructor(ballot, dimension, place) {
    Object.assign(this, { ballot, dimension, place });
    this.value = { label: null, reason: "", score_left: null, score_right: null };
    this.element = copy(ballot.templates.row);
    this.buttons = [...this.element.querySelectorAll("[data-label]")];
    this.reasons = this.element.querySelector(".reasons");
    this.#name();
    this.#listen();
    this.render();
  }

  #name() {
    const { key, title, question } = this.dimension;
    const heading = this.element.querySelector(".row-title");
    heading.id = `dimension-${key}`;
    heading.textContent = title;
    const line = this.element.querySelector(".row-question");
    line.id = `question-${key}`;
    line.textContent = question;
    const group = this.element.querySelector('[role="radiogroup"]');
    group.setAttribute("aria-labelledby", heading.id);
    group.setAttribute("aria-describedby", line.id);
    this.element.dataset.dimension = key;
  }

  caps(rows, layout, shown) {
    const codes = capsOf(this.place, rows);
    this.buttons.forEach((button, place) => {
      const cap = button.querySelector("kbd");
      cap.textContent = capText(codes[place], layout);
      cap.hidden = !shown;
    });
  }

  #listen() {
    this.buttons.forEach((button, place) => {
      button.addEventListener("click", () => {
        this.ballot.vote(this.place, button.dataset.label);
      });
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
    const scores = this.element.querySelector(".scores");
    scores.hidden = !this.ballot.perVideoScores;
    scores.addEventListener("click", (event) => {
      const button = event.target.closest("[data-score]");
      if (button) this.ballot.setScore(this.place, button.dataset.side, Number(button.dataset.score));
    });
  }

  #arrow(event, place) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = this.buttons[(place + by + LABELS.length) % LABELS.length];
    next.focus();
    this.ballot.vote(this.place, next.dataset.label);
  }

  get complete() {
    return this.value.label !== null && (this.value.label !== "invalid" || this.value.reason !== "");
  }

  get wantsReason() {
    return this.value.label === "invalid" && this.value.reason === "";
  }

  render() {
    const { label, reason } = this.value;
    this.buttons.forEach((button) => {
      const checked = button.dataset.label === label;
      button.setAttribute("aria-checked", String(checked));
      const first = label === null && button.dataset.label === "left";
      button.tabIndex = checked || first ? 0 : -1;
    });
    this.element.classList.toggle("is-answered", this.complete);
    this.reasons.hidden = !this.wantsReason;
    this.#renderReason();
    for (const button of this.reasons.querySelectorAll("[data-reason]")) {
      button.setAttribute("aria-pressed", String(button.dataset.reason === reason));
    }
    for (const button of this.element.querySelectorAll("[data-score]")) {
      const score = this.value[`score_${button.dataset.side}`];
      button.setAttribute("aria-pressed", String(Number(button.dataset.score) === score));
    }
  }

  /** The reason stands where the question was, so that the row keeps its height. */
  #renderReason() {
    const [question, line] = this.element.querySelectorAll(".row-question");
    const invalid = this.value.label === "invalid";
    line.textContent = invalid ? this.words() : "";
    line.hidden = !invalid;
    question.hidden = invalid;
  }

  /** As the API wants it. */
  judgement() {
    const { label, reason } = this.value;
    const answer = { label, reason: label === "invalid" ? reason : "" };
    for (const side of SIDES) {
      const score = this.value[`score_${side}`];
      if (this.ballot.perVideoScores && score !== null) answer[`score_${side}`] = score;
    }
    return answer;
  }

  words() {
    const { label, reason } = this.value;
    if (label !== "invalid") return WORDS[label];
    const chosen = this.reasons.querySelector(`[data-reason="${CSS.escape(reason)}"]`);
    return chosen ? `Invalid, ${chosen.dataset.title}` : "Invalid, choose a reason";
  }
}

/**
 * Events: `change` with {key, before, after, words}; `refused` when a vote comes while it is locked.
 */
export class Ballot extends EventTarget {
  constructor(root, templates) {
    super();
    Object.assign(this, { root, templates });
    this.rows = [];
    this.current = 0;
    this.locked = true;
    this.perVideoScores = false;
    this.layout = null;
    this.capsShown = true;
  }

  /** `values`: judgements by dimension key, to go on from. */
  show(dimensions, { perVideoScores = false, values = {} } = {}) {
    this.perVideoScores = perVideoScores;
    this.rows = dimensions.map((dimension, place) => new Row(this, dimension, place));
    this.root.replaceChildren(...this.rows.map((row) => row.element));
    for (const row of this.rows) {
      Object.assign(row.value, values[row.dimension.key] ?? {});
      row.render();
    }
    this.showCaps();
    this.makeCurrent(this.firstOpen ?? 0);
  }

  showCaps({ layout = this.layout, shown = this.capsShown } = {}) {
    this.layout = layout;
    this.capsShown = shown;
    for (const row of this.rows) row.caps(this.rows.length, layout, shown);
  }

  lock(locked) {
    this.locked = locked;
    this.root.classList.toggle("is-locked", locked);
    for (const row of this.rows) {
      for (const button of row.buttons) button.setAttribute("aria-disabled", String(locked));
    }
  }

  get complete() {
    return this.rows.length > 0 && this.rows.every((row) => row.complete);
  }

  /** Place of the first row without an answer, or null. */
  get firstOpen() {
    const place = this.rows.findIndex((row) => !row.complete);
    return place < 0 ? null : place;
  }

  get answered() {
    return this.rows.filter((row) => row.complete).length;
  }

  get reasonsOpen() {
    return this.rows[this.current]?.wantsReason ?? false;
  }

  makeCurrent(place) {
    this.current = place;
    this.rows.forEach((row, each) => row.element.classList.toggle("is-current", each === place));
    this.rows[place]?.element.scrollIntoView({ block: "nearest" });
  }

  move(by) {
    const place = Math.max(0, Math.min(this.rows.length - 1, this.current + by));
    this.rows[place].element.focus();
    this.makeCurrent(place);
  }

  /** `place` null means the current row; then the focus moves on to the next open one. */
  vote(place, label) {
    if (this.locked) {
      this.dispatchEvent(new Event("refused"));
      return;
    }
    const row = this.rows[place ?? this.current];
    if (!row) return;
    const before = row.value.label;
    row.value.label = label;
    row.value.reason = ""; // "invalid" pressed again asks for the reason again
    this.#changed(row, before);
    if (row.wantsReason) this.makeCurrent(row.place);
    else if (place === null) this.#goOn();
  }

  #goOn() {
    if (this.firstOpen !== null) this.makeCurrent(this.firstOpen);
  }

  setReason(place, reason) {
    const row = this.rows[place];
    if (this.locked || row.value.label !== "invalid") return;
    row.value.reason = reason;
    this.#changed(row, "invalid");
    this.#goOn();
  }

  /** Reason number `number` of the list, from 1, for the current row. */
  setReasonNumber(number) {
    const button = this.rows[this.current].reasons.querySelectorAll("[data-reason]")[number - 1];
    if (button) this.setReason(this.current, button.dataset.reason);
  }

  setScore(place, side, score) {
    if (this.locked) return;
    const row = this.rows[place];
    const field = `score_${side}`;
    row.value[field] = row.value[field] === score ? null : score;
    this.#changed(row, row.value.label);
  }

  /** Takes back an "invalid" whose reason was never chosen; true when there was one. */
  closeReasons() {
    const row = this.rows[this.current];
    if (!row?.wantsReason) return false;
    row.value.label = null;
    this.#changed(row, "invalid");
    return true;
  }

  #changed(row, before) {
    row.render();
    const { key, title } = row.dimension;
    const after = row.value.label;
    const words = after === null ? `${title}: no answer` : `${title}: ${row.words()}`;
    this.dispatchEvent(new CustomEvent("change", { detail: { key, before, after, words } }));
  }

  /** Everything chosen so far, to be restored by `show`. */
  draft() {
    return Object.fromEntries(this.rows.map((row) => [row.dimension.key, { ...row.value }]));
  }

  judgements() {
    return Object.fromEntries(this.rows.map((row) => [row.dimension.key, row.judgement()]));
  }
}
