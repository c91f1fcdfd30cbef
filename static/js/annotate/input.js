// Keys, clicks and the window: what a person does, as commands of the page.

import { commandOf, isComposing } from "../lib/shortcuts.js";

const BLUR_PAUSES = 2000; // ms in another window after which the clips wait

/** Keys and clicks become commands; a held key of an enlargement ends with its release. */
export class Input {
  /** `page`: {run(command), state(), keyInDialog(event, dialog), timer}. */
  constructor(page) {
    this.page = page;
    this.held = null; // the code of the key that enlarges
    document.addEventListener("keydown", (event) => this.#down(event));
    document.addEventListener("keyup", (event) => this.#up(event));
    document.addEventListener("click", (event) => this.#clicked(event));
    document.addEventListener("pointerdown", (event) => page.timer.touch(event.pointerType));
    addEventListener("blur", () => this.#release());
  }

  #down(event) {
    this.page.timer.touch("key");
    const dialog = document.querySelector("dialog[open]");
    if (dialog) {
      if (!isComposing(event)) this.page.keyInDialog(event, dialog);
      return;
    }
    const command = commandOf(event, this.page.state());
    if (!command) return;
    event.preventDefault();
    if (command.name === "enlarge") this.held = event.code;
    this.page.run(command);
  }

  #up(event) {
    if (event.code === this.held) this.#release();
  }

  #release() {
    if (this.held === null) return;
    this.held = null;
    this.page.run({ name: "enlarge", side: null });
  }

  #clicked(event) {
    const button = event.target.closest("[data-command]");
    if (!button) return;
    const { command: name, by, side } = button.dataset;
    const pressed = button.getAttribute("aria-pressed") === "true";
    this.page.run({
      name,
      by: Number(by ?? 0),
      side: name === "enlarge" && pressed ? null : Number(side ?? 0),
    });
    if (event.detail > 0) button.blur(); // after a pointer, Space plays again
  }
}

/** Seen or not: a hidden tab and a window that is not in use pause the clips and the clock. */
export function watchPresence({ timer, pause, returned }) {
  document.addEventListener("visibilitychange", () => {
    const visible = document.visibilityState === "visible";
    timer.setVisible(visible);
    if (visible) returned();
    else pause();
  });
  let leaving;
  addEventListener("blur", () => {
    leaving = setTimeout(() => {
      timer.setFocused(false);
      pause();
    }, BLUR_PAUSES);
  });
  addEventListener("focus", () => {
    clearTimeout(leaving);
    timer.setFocused(true);
  });
}
