// The sheet behind "Report": what is wrong, with which clip, a note.

import { byId } from "./dom.js";

export class FlagSheet {
  /** `report({kind, side, note})` is called when the person has said what it is. */
  constructor(report) {
    this.report = report;
    this.dialog = byId("flag");
    this.form = this.dialog.querySelector("form");
    this.form.addEventListener("submit", (event) => this.#submitted(event));
    this.form.addEventListener("change", () => this.#allow());
  }

  open({ single }) {
    this.form.reset();
    byId("flag-sides").hidden = single;
    this.single = single;
    this.#allow();
    this.dialog.showModal();
  }

  /** Kind number `number`, from 1. */
  choose(number) {
    const choice = this.form.querySelectorAll('[name="kind"]')[number - 1];
    if (!choice) return;
    choice.checked = true;
    choice.focus();
    this.#allow();
  }

  get #said() {
    const said = new FormData(this.form);
    const side = this.single ? "left" : (said.get("side") ?? "");
    return { kind: said.get("kind"), side, note: (said.get("note") ?? "").trim() };
  }

  /** A report that takes a clip away has to say which clip. */
  #allow() {
    const { kind } = this.#said;
    const both = this.form.querySelector('[name="side"][value=""]');
    both.disabled = kind === "disturbing" || kind === "broken";
    if (both.disabled && both.checked) both.checked = false;
    const { side } = this.#said;
    const missing = !kind || (both.disabled && side === "");
    byId("flag-send").setAttribute("aria-disabled", String(missing));
    byId("flag-what-happens").hidden = !both.disabled;
  }

  #submitted(event) {
    if (event.submitter !== byId("flag-send")) return; // closed without a word
    event.preventDefault();
    if (byId("flag-send").getAttribute("aria-disabled") === "true") return;
    this.dialog.close();
    this.report(this.#said);
  }
}
