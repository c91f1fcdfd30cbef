// A free remark beside the vote. No key is a command while it is written.

import { isComposing } from "../lib/shortcuts.js";
import { byId } from "./dom.js";

/** Event: `change`. */
export class Remark extends EventTarget {
  constructor() {
    super();
    this.field = byId("remark");
    this.opener = document.querySelector('[data-command="remark"]');
    this.field.addEventListener("input", () => this.dispatchEvent(new Event("change")));
    this.field.addEventListener("keydown", (event) => this.#key(event));
  }

  get text() {
    return this.field.value.trim();
  }

  show(text = "") {
    this.field.value = text;
    this.open(text !== "");
  }

  open(wanted) {
    byId("remark-box").hidden = !wanted;
    this.opener.setAttribute("aria-expanded", String(wanted));
  }

  /** Opens the field and goes there, or closes it again while nothing is written. */
  toggle() {
    const open = !byId("remark-box").hidden;
    if (open && this.text === "") {
      this.open(false);
      return;
    }
    this.open(true);
    this.field.focus();
  }

  /** Esc leaves the field, unless it belongs to an input method. */
  #key(event) {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.preventDefault();
    event.stopPropagation();
    this.field.blur();
    if (this.text === "") this.open(false);
  }
}
