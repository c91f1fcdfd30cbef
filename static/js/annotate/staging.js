// How a pair comes onto the stage, and what happens when its clips do not.

import { gettext, interpolate } from "../lib/i18n.js";
import { announce } from "./dom.js";
import { Faults } from "./faults.js";

const SIDES = ["left", "right"];

export class Staging {
  /** `work`: whose turn it is, and which vote is open. */
  constructor(work) {
    this.work = work;
    this.page = work.page;
    this.faults = new Faults();
    this.note = ""; // a sentence of the site about the person's own stage
  }

  /** Puts a pair on the stage: an assignment, or an earlier vote that is open again. */
  async put(pair, { values = {}, remark = "" }) {
    const { turn } = this.work;
    const { clips, error } = await this.#clips(pair);
    if (turn !== this.work.turn) return;
    clearTimeout(this.work.slow);
    this.#show(pair, values, remark);
    if (clips) await this.#play(pair, clips, turn);
    else this.#fault(error);
  }

  #show({ assignment, assignedAt }, values, remark) {
    const { page } = this;
    page.notice.hide();
    if (this.note) page.notice.show(this.note);
    this.note = "";
    this.work.showWhatIsWrong();
    page.message.hide();
    page.root.classList.toggle("is-single", !assignment.right);
    page.prompt.show(assignment.prompt);
    page.guideline.show(assignment.dimensions, assignment.guideline ?? 0);
    page.ballot.show(assignment.dimensions, {
      perVideoScores: assignment.per_video_scores,
      single: !assignment.right,
      values,
    });
    page.remark.show(remark);
    page.progress.show(assignment);
    page.break.rest.limits = { ...page.break.rest.limits, ...assignment.rest };
    page.timer.start({ assignedAt: this.work.edit ? null : assignedAt });
    const format = this.work.edit ? gettext("Earlier vote: %(prompt)s") : gettext("New pair: %(prompt)s");
    announce(interpolate(format, { prompt: assignment.prompt.text }));
    this.work.setLock(Boolean(assignment.watch_gate && !this.work.edit));
  }

  /**
   * {clips}: object URLs, or {error} when they do not come although the site is there. Their
   * addresses are signed anew once; ApiError when even that fails.
   */
  async #clips(pair) {
    try {
      return { clips: await pair.media };
    } catch (error) {
      if (this.work.edit) return { error };
    }
    await this.page.assignments.sign(pair);
    return pair.media.then((clips) => ({ clips }), (error) => ({ error }));
  }

  async #play({ assignment }, clips, turn) {
    const oneByOne = assignment.showing === "one_by_one" && !this.work.edit;
    try {
      await this.page.stage.load(assignment, clips, { oneByOne, turn: () => turn === this.work.turn });
    } catch (error) {
      if (error.name !== "Unplayable") throw error;
      if (turn === this.work.turn) this.#fault(error);
      return;
    }
    this.faults.played();
  }

  /** A clip that is broken is reported, and the next pair comes; otherwise the person decides. */
  #fault(error) {
    const { page } = this;
    const fault = this.faults.judge(error, page.stage.playback.videos);
    page.stage.unload();
    this.work.setLock(false);
    if (fault.isOfClip && !this.work.edit) {
      this.#reportBroken(fault);
      return;
    }
    page.notice.show(`${fault.text} ${gettext("Mark it invalid as broken, or skip it.")}`, {
      title: gettext("Fetch again"),
      action: () => this.#fetchAgain(),
    });
  }

  async #reportBroken({ side, text }) {
    await this.work.flag({ kind: "broken", side: SIDES[side], note: text });
    this.page.notice.show(`${text} ${gettext("It was reported and counts as answered; this is the next pair.")}`);
  }

  async #fetchAgain() {
    const pair = this.work.edit?.pair ?? this.work.pair;
    if (!pair) return;
    pair.fetchMedia();
    const turn = (this.work.turn += 1);
    const said = { values: this.page.ballot.draft(), remark: this.page.remark.text };
    await this.work.guarded(turn, () => this.put(pair, said));
  }
}
