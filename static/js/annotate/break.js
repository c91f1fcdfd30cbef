// Rest between two pairs: suggested ones that may be passed on, required ones that may not.

import { gettext, interpolate } from "../lib/i18n.js";
import { Rest, SUGGESTED_REST, trend } from "../lib/rest.js";
import { asCountdown, make } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const seconds = (ms) => Math.round(ms / 1000);

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Bars of seconds per pair over the day, with the same in words. */
function trendView(speeds) {
  const medians = trend(speeds).map(seconds);
  if (medians.length === 0) return null;
  const highest = Math.max(...medians, 1);
  const bars = medians.map((value, place) => {
    const height = Math.max(2, (36 * value) / highest);
    const label = svg("text", { x: place * 44 + 18, y: 56, "text-anchor": "middle" }, `${value} s`);
    const bar = svg("rect", { x: place * 44, y: 40 - height, width: 36, height, rx: 3 });
    return svg("g", {}, bar, label);
  });
  const chart = svg("svg", { viewBox: `0 0 ${medians.length * 44 - 8} 60`, class: "trend", role: "img" }, ...bars);
  const words = interpolate(gettext("Your time per pair today, from the first to now: %(times)s."), {
    times: medians.map((value) => `${value} s`).join(", "),
  });
  chart.setAttribute("aria-label", words);
  return make("div", { className: "trend-box" }, make("p", { className: "small muted", textContent: gettext("Your time per pair today") }), chart);
}

/** The person's own steadiness, where the site knows it: repeats answered the same. */
function steadyView(scorecard) {
  const share = scorecard?.self_consistency;
  if (typeof share !== "number") return null;
  return make("p", {
    className: "small muted",
    textContent: interpolate(gettext("Of 100 repeated pairs you answer %(share)s the same way."), {
      share: Math.round(100 * share),
    }),
  });
}

export class Break {
  /** `scorecard()`: the person's own figures, or null. `goOn()`: the next pair. */
  constructor({ message, kept, scorecard, goOn }) {
    Object.assign(this, { message, scorecard, goOn });
    this.rest = new Rest({ kept });
  }

  /** True when a break is on the stage now instead of a pair. */
  take() {
    const { due } = this.rest;
    if (due === "required") this.#require();
    if (due === "suggested") this.#suggest();
    return due !== null;
  }

  #suggest() {
    this.message.show({
      title: gettext("Time for a short break?"),
      text: gettext("Two minutes away from the screen keep the eyes sharp. Nothing is lost meanwhile."),
      extra: trendView(this.rest.speeds),
      action: () => this.#pause(),
      button: gettext("Take two minutes"),
      other: { action: () => this.#passOn(), title: gettext("Go on voting") },
      look: "calm",
    });
  }

  #passOn() {
    this.rest.passedOn();
    this.goOn();
  }

  #pause() {
    const end = Date.now() + SUGGESTED_REST;
    const other = { action: () => this.#back(), title: gettext("Back already") };
    this.message.show({ title: gettext("Break"), text: "", other, look: "calm" });
    this.#countTo(end);
  }

  #require() {
    this.rest.begin();
    this.message.show({
      title: gettext("Please rest for five minutes"),
      text: "",
      look: "calm",
    });
    this.#countTo(Date.now() + this.rest.left);
  }

  #countTo(end) {
    this.message.every(() => {
      const left = end - Date.now();
      if (left > 0) {
        this.message.say(interpolate(gettext("%(left)s left. Look at something far away."), { left: asCountdown(left) }));
        return false;
      }
      this.#back();
      return true;
    });
  }

  /** After the rest: how fast, how steadily; then the next pair. */
  async #back() {
    this.rest.taken();
    const extra = make("div", {}, trendView(this.rest.speeds) ?? "");
    this.message.show({
      title: gettext("Welcome back"),
      text: gettext("Your next pair is ready."),
      extra,
      action: () => this.goOn(),
      button: gettext("Go on voting"),
      look: "calm",
    });
    extra.append(steadyView(await this.scorecard()) ?? "");
  }
}
