// The ballot: rows under their groups, which one is in focus, what is chosen so far.

import { BallotRow } from "./ballot-row.js";
import { gettext, interpolate } from "./i18n.js";
import { capsOf } from "./shortcuts.js";

/**
 * Events: `change` with {key, before, after, words}; `refused` when a vote comes while it is locked,
 * with the row's own reason in `detail` where it has one.
 */
export class Ballot extends EventTarget {
  /** `templates`: {pair, single}, one row each. */
  constructor(root, templates) {
    super();
    Object.assign(this, { root, templates });
    this.rows = [];
    this.current = 0;
    this.locked = true;
    this.single = false;
    this.perVideoScores = false;
    this.caps = { keys: undefined, layout: null, shown: true };
    this.sight = { width: Infinity, magnified: false };
  }

  /** `values`: judgements by dimension key, to go on from. */
  show(dimensions, { perVideoScores = false, single = false, values = {} } = {}) {
    this.perVideoScores = perVideoScores && !single;
    this.single = single;
    this.sight = { ...this.sight, magnified: false };
    this.rows = dimensions.map((dimension, place) => new BallotRow(this, dimension, place));
    this.root.replaceChildren(...this.#underGroups());
    for (const row of this.rows) row.restore(values[row.dimension.key] ?? {});
    this.showCaps();
    this.makeCurrent(this.firstOpen ?? 0);
  }

  /** The rows in their order, each group behind its heading. */
  #underGroups() {
    const elements = [];
    let group = "";
    for (const { dimension, element } of this.rows) {
      if ((dimension.group ?? "") !== group) {
        group = dimension.group ?? "";
        if (group) elements.push(this.#heading(group));
      }
      elements.push(element);
    }
    return elements;
  }

  #heading(group) {
    const heading = document.createElement("h2");
    heading.className = "ballot-group";
    heading.textContent = group;
    return heading;
  }

  /** `keys`: the person's key map; `layout`: what stands on the keys; `shown`: letters are on. */
  showCaps(change = {}) {
    this.caps = { ...this.caps, ...change };
    const { keys, layout, shown } = this.caps;
    for (const row of this.rows) {
      const { labels } = row;
      const codes = capsOf(row.place, { rows: this.rows.length, labels, single: this.single, keys });
      row.showCaps(codes, layout, shown);
    }
  }

  lock(locked) {
    this.locked = locked;
    this.root.classList.toggle("is-locked", locked);
    for (const row of this.rows) row.render();
  }

  /** How the clips are seen: width of a pane in CSS pixels, and whether pixel by pixel so far. */
  see(change) {
    this.sight = { ...this.sight, ...change };
    for (const row of this.rows) row.render();
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
    this.dispatchEvent(new Event("focus-moved"));
  }

  move(by) {
    const place = Math.max(0, Math.min(this.rows.length - 1, this.current + by));
    this.rows[place].element.focus();
    this.makeCurrent(place);
  }

  /** `place` null means the current row; then the focus moves on to the next open one. */
  vote(place, label) {
    const row = this.rows[place ?? this.current];
    if (!row || !row.labels.includes(label)) return;
    if (this.locked || (row.tooSmall && label !== "invalid")) {
      const detail = this.locked ? null : row.whyTooSmall();
      this.dispatchEvent(new CustomEvent("refused", { detail }));
      return;
    }
    const before = row.choice;
    row.choose(label);
    this.#changed(row, before);
    if (row.wantsReason) this.makeCurrent(row.place);
    else if (place === null) this.#goOn();
  }

  #goOn() {
    if (this.firstOpen !== null) this.makeCurrent(this.firstOpen);
  }

  setReason(place, reason) {
    const row = this.rows[place];
    if (this.locked || row.choice !== "invalid") return;
    row.value.reason = reason;
    this.#changed(row, "invalid");
    this.#goOn();
  }

  /** Reason number `number` of the list, from 1, for the current row. */
  setReasonNumber(number) {
    const reason = this.rows[this.current].reasonNumber(number);
    if (reason) this.setReason(this.current, reason);
  }

  setScore(place, side, score) {
    const row = this.rows[place];
    if (this.locked || row.tooSmall) return;
    const field = `score_${side}`;
    row.value[field] = row.value[field] === score ? null : score;
    this.#changed(row, row.choice);
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
    const after = row.choice;
    const answer = after === null ? gettext("no answer") : row.words();
    const words = interpolate("%(title)s: %(answer)s", { title, answer });
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
