// The order in which a pair is shown: both together, or A alone, B alone, then both.

import { gettext } from "../lib/i18n.js";
import { announce } from "./dom.js";

const TOGETHER = [[0, 1]];

export class Showing {
  /** `panes`: the two figures. `random` decides which side comes first. */
  constructor(playback, panes, random = Math.random) {
    Object.assign(this, { playback, panes, random });
    this.phases = TOGETHER;
    this.place = 0;
    playback.addEventListener("passed", () => this.#goOn());
  }

  /** `oneByOne`: the campaign shows each clip alone first. */
  begin({ oneByOne, sides }) {
    const first = this.random() < 0.5 ? 0 : 1;
    this.phases = oneByOne && sides === 2 ? [[first], [1 - first], [0, 1]] : [[...Array(sides).keys()]];
    return this.#enter(0);
  }

  /** Everything that had to be shown alone was; both may be compared now. */
  get isLast() {
    return this.place === this.phases.length - 1;
  }

  /** "AB" or "BA" where the clips were shown alone first, for the record. */
  get order() {
    return this.phases.length === 1 ? "" : this.phases.slice(0, 2).map(([side]) => "AB"[side]).join("");
  }

  async #enter(place) {
    this.place = place;
    const sides = this.phases[place];
    this.panes.forEach((pane, side) => pane.classList.toggle("is-waiting", !sides.includes(side)));
    if (this.phases.length > 1) await this.playback.setSides(sides);
  }

  async #goOn() {
    if (this.isLast) return;
    await this.#enter(this.place + 1);
    if (this.isLast) announce(gettext("Now both together."));
    this.playback.play();
  }
}
