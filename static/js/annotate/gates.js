// The pages in the place of a pair when the site gives none: what is closed, why, and what to do.

import { gettext, interpolate } from "../lib/i18n.js";
import { make } from "./dom.js";
import { guidelineText } from "./guideline.js";

const TITLES = {
  screen: () => gettext("This screen is too small for these clips"),
  daily: () => gettext("Enough for today"),
  paused: () => gettext("Your work is paused"),
  failed: () => gettext("The qualification is over"),
};
const FOR_NOW = new Set(["daily", "paused", "failed"]);
const LOOK_AGAIN = 60; // s

/** A text that has to be agreed to, and the box that says so. */
function agreement(text, promise, onChange) {
  const box = make("input", { type: "checkbox", id: "promise" });
  box.addEventListener("change", () => onChange(box.checked));
  const label = make("label", { className: "switch row" }, box, promise);
  return make("div", { className: "agreement" }, text, label);
}

const paragraphs = (text) =>
  make("div", { className: "sheet-text" }, ...text.split(/\n{2,}/).map((part) => make("p", { textContent: part })));

export class Gates {
  /** `goOn()`: ask for a pair again; `magnify()`: promise to look pixel by pixel. */
  constructor({ api, campaign, message, goOn, magnify, refused }) {
    Object.assign(this, { api, campaign, message, goOn, magnify, refused });
  }

  /** The page for an answer without a pair. */
  async show(answer) {
    if (answer.gate === "consent") await this.#guarded(() => this.#consent(answer));
    else if (answer.gate === "guideline") await this.#guarded(() => this.#guideline(answer));
    else this.#closed(answer);
  }

  async #guarded(act) {
    try {
      await act();
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      this.refused(error);
    }
  }

  #closed({ gate, reason, retry_after: retryAfter }) {
    const canMagnify = gate === "screen";
    this.message.show({
      title: TITLES[gate]?.() ?? gettext("No pair for you right now"),
      text: reason,
      action: () => this.goOn(),
      button: gettext("Look again"),
      other: canMagnify ? { action: () => this.magnify(), title: gettext("I will look pixel by pixel") } : null,
      look: gate ? "calm" : "",
    });
    if (gate !== "screen") this.message.actIn(Math.max(retryAfter ?? 10, FOR_NOW.has(gate) ? LOOK_AGAIN : 0));
  }

  async #consent({ reason }) {
    const { text, sha256 } = await this.api.consent(this.campaign);
    this.#ask({
      title: gettext("Before you begin"),
      reason,
      body: paragraphs(text),
      promise: gettext("I have read this and I agree."),
      button: gettext("Agree and go on"),
      accept: () => this.api.giveConsent(this.campaign, sha256),
    });
  }

  async #guideline({ reason }) {
    const guideline = await this.api.guideline(this.campaign, document.documentElement.lang);
    const { id, version } = guideline;
    this.#ask({
      title: interpolate(gettext("The guideline, version %(version)s"), { version }),
      reason,
      body: guidelineText(guideline),
      promise: gettext("I have read it and will vote by it."),
      button: gettext("Accept and go on"),
      accept: () => this.api.acceptGuideline(id),
    });
  }

  #ask({ title, reason, body, promise, button, accept }) {
    const extra = agreement(body, promise, (checked) => this.message.enable(checked));
    const action = () => this.#guarded(async () => {
      await accept();
      this.goOn();
    });
    this.message.show({ title, text: reason, extra, action, button, look: "sheet" });
    this.message.enable(false);
  }
}
