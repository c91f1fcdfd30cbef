// How far the person and the campaign are.

import { gettext, interpolate } from "../lib/i18n.js";
import { asTime, byId } from "./dom.js";

const STAGES = {
  practice: () => gettext("Practice: %(done)s of %(of)s"),
  qualification: () => gettext("Qualification: %(done)s of %(of)s"),
};

export class Progress {
  constructor() {
    this.known = null;
    this.activeToday = 0;
  }

  /** What a pair fetched ahead says may be older than what we know. */
  show({ progress, stage, stage_progress: part, rest }) {
    const { mine, done, total } = progress ?? {};
    if (progress) {
      const known = this.known ?? { mine: 0, done: 0 };
      this.known = { mine: Math.max(known.mine, mine), done: Math.max(known.done, done), total };
    }
    this.part = part && STAGES[stage] ? { stage, ...part } : null;
    this.activeToday = Math.max(this.activeToday, rest?.active_ms_today ?? 0);
    this.#render();
  }

  /** A vote arrived that counts as one more of this person's. */
  oneMore() {
    if (!this.known) return;
    this.known.mine += 1;
    this.#render();
  }

  worked(ms) {
    this.activeToday += ms;
    this.#render();
  }

  #render() {
    const bar = byId("progress");
    byId("stage").hidden = !this.part;
    if (this.part) {
      const { stage, done, of } = this.part;
      byId("stage").textContent = interpolate(STAGES[stage](), { done: Math.min(done + 1, of), of });
      bar.max = Math.max(1, of);
      bar.value = done;
    } else if (this.known) {
      bar.max = Math.max(1, this.known.total);
      bar.value = this.known.done;
    }
    byId("progress-text").textContent = this.#words();
    byId("active-time").textContent = interpolate(gettext("%(time)s today"), { time: asTime(this.activeToday) });
  }

  #words() {
    if (this.part || !this.known) return "";
    return interpolate(gettext("%(mine)s by you · %(done)s of %(total)s settled"), this.known);
  }
}
