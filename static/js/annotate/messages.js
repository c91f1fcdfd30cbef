// What the page says beside the pair: one line above it, or a whole page in its place.

import { byId } from "./dom.js";

/** One line above the pair: something that must not be missed. */
export class Notice {
  constructor() {
    this.element = byId("notice");
    this.button = byId("notice-action");
    this.button.addEventListener("click", () => this.action?.());
  }

  show(text, { kind = "", action = null, title = "" } = {}) {
    this.kind = kind;
    byId("notice-text").textContent = text;
    this.action = action;
    this.button.hidden = action === null;
    this.button.textContent = title;
    this.element.hidden = false;
  }

  /** Hides what is shown, or only what is of this kind. */
  hide(kind = this.kind) {
    if (kind === this.kind) this.element.hidden = true;
  }
}

/** The whole stage when there is no pair: loading, empty, a gate, a rest, offline, another tab. */
export class Message {
  constructor(root) {
    this.root = root;
    this.button = byId("message-action");
    this.other = byId("message-other");
    this.button.addEventListener("click", () => this.act());
    this.other.addEventListener("click", () => this.otherAction?.());
  }

  get shown() {
    return ["loading", "message"].includes(this.root.dataset.mode);
  }

  /** `extra`: a node below the text; `other`: {action, title} of a second button. */
  show({ title, text, extra = null, action = null, button = "", other = null, mode = "message", look = "" }) {
    clearInterval(this.ticking);
    byId("message-title").textContent = title;
    byId("message-text").textContent = text;
    byId("message-extra").replaceChildren(...(extra ? [extra] : []));
    byId("message").dataset.look = look;
    this.action = action;
    this.button.hidden = action === null;
    this.button.textContent = button;
    this.enable(true);
    this.otherAction = other?.action ?? null;
    this.other.hidden = other === null;
    this.other.textContent = other?.title ?? "";
    this.root.dataset.mode = mode;
  }

  /** Whether the button of the action may be pressed. */
  enable(enabled) {
    this.button.setAttribute("aria-disabled", String(!enabled));
  }

  say(text) {
    byId("message-text").textContent = text;
  }

  /** Does the action by itself after `seconds`, and says how many are left. */
  actIn(seconds) {
    let left = Math.ceil(seconds);
    const text = this.button.textContent;
    const tell = () => {
      this.button.textContent = `${text} (${left} s)`;
      if (left <= 0) this.act();
      left -= 1;
    };
    tell();
    this.ticking = setInterval(tell, 1000);
  }

  /** Calls `tick` every second until it says that it is over. */
  every(tick) {
    clearInterval(this.ticking);
    const go = () => tick() && clearInterval(this.ticking);
    this.ticking = setInterval(go, 1000);
    go();
  }

  act() {
    if (this.button.getAttribute("aria-disabled") === "true") return;
    clearInterval(this.ticking);
    this.action?.();
  }

  hide(mode = "pair") {
    clearInterval(this.ticking);
    this.root.dataset.mode = mode;
  }
}
