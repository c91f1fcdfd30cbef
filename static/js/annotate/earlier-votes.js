// Votes of this person that are open again: one press for the last, once more for the one before.

import { Pair } from "../lib/assignments.js";
import { gettext } from "../lib/i18n.js";
import { announce } from "./dom.js";

const REOPEN_BACK = 10; // votes

export class EarlierVotes {
  constructor(work) {
    this.work = work;
    this.page = work.page;
  }

  async reopen() {
    const { api, campaign, notice, outbox, feedback } = this.page;
    if (feedback.shown || this.work.learning) return;
    const index = this.work.edit ? this.work.edit.index + 1 : 0;
    if (outbox.state.waiting > 0) {
      announce(gettext("Your last vote is still on its way; try again when it is saved."));
      return;
    }
    let mine;
    try {
      mine = await api.mine(campaign);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      notice.show(`${gettext("Your earlier votes cannot be shown now.")} ${error.message}`);
      return;
    }
    if (index >= Math.min(mine.votes.length, REOPEN_BACK)) {
      announce(gettext("There is no earlier vote to open."));
      return;
    }
    await this.#open(mine.votes[index], index, mine.dimensions);
  }

  async #open(vote, index, dimensions) {
    this.work.turn += 1;
    this.work.edit?.pair.dispose();
    const perVideoScores = this.page.root.dataset.perVideoScores === "true";
    const guideline = vote.guideline ?? this.page.guideline.wanted ?? 0;
    const shown = { ...vote, dimensions, per_video_scores: perVideoScores, guideline };
    this.work.edit = { index, vote, pair: new Pair(shown) };
    await this.work.staging.put(this.work.edit.pair, { values: vote.judgements, remark: vote.remark ?? "" });
  }

  async close() {
    this.work.edit.pair.dispose();
    this.work.edit = null;
    const turn = (this.work.turn += 1);
    const { pair } = this.work;
    if (pair) await this.work.guarded(turn, () => this.work.staging.put(pair, this.work.draftOf(pair.lease)));
    else await this.work.advance();
  }
}
