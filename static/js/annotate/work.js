// Which pair is on the stage, and what becomes of the vote on it.

import { changeEntry, endsPair, flagEntry, skipEntry, voteEntry } from "../lib/entries.js";
import { gettext, interpolate } from "../lib/i18n.js";
import { announce, byId } from "./dom.js";
import { EarlierVotes } from "./earlier-votes.js";
import { Staging } from "./staging.js";
import { votesKept } from "./sync.js";

const MOST_WAITING = 20; // votes in the outbox; beyond that no new pairs
const LONGEST_WAITING = 10 * 60_000; // ms
const SLOW = 250; // ms after which the page says that it is fetching
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Work {
  /** `page`: the parts of the voting page. */
  constructor(page) {
    this.page = page;
    this.staging = new Staging(this);
    this.earlier = new EarlierVotes(this);
    this.pair = null; // the pair to vote on
    this.edit = null; // {index, vote, pair} while an earlier vote is open again
    this.learning = null; // the lease of a practice question whose feedback is awaited
    this.turn = 0; // rises with every change of what is on the stage
    this.busy = false;
    this.offline = false;
  }

  // ---- which pair is on the stage ----

  async advance() {
    const { page } = this;
    const turn = (this.turn += 1);
    this.edit = null;
    this.learning = null;
    this.offline = false;
    if (this.#tooMuchWaiting()) return;
    if (page.break.take()) {
      this.#clear();
      return;
    }
    clearTimeout(this.slow);
    this.slow = setTimeout(() => turn === this.turn && this.#loading(), SLOW);
    await this.guarded(turn, async () => {
      const next = await page.assignments.take();
      if (turn !== this.turn) return;
      if (next.empty) await this.#empty(next);
      else await this.staging.put((this.pair = next), this.draftOf(next.lease));
      if (turn === this.turn && !next.empty) page.assignments.fill();
    });
  }

  /** Does something that needs the site; says what is wrong where the site says no. */
  async guarded(turn, act) {
    try {
      await act();
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      if (turn === this.turn) this.refused(error);
    }
  }

  #loading() {
    this.page.stage.pause();
    this.page.message.show({
      title: gettext("Fetching the next pair…"),
      text: gettext("Both clips are loaded whole before they are shown."),
      mode: "loading",
    });
  }

  /** Nothing is on the stage. */
  #clear() {
    clearTimeout(this.slow);
    this.pair = null;
    this.page.stage.unload();
  }

  #empty(answer) {
    this.#clear();
    this.page.progress.show(answer);
    return this.page.gates.show(answer);
  }

  refused(error) {
    const { page } = this;
    this.#clear();
    if (error.needsLogin) {
      const toLogin = { action: () => page.goToLogin(), button: gettext("Log in") };
      page.message.show({ title: gettext("Please log in again"), text: error.message, ...toLogin });
      return;
    }
    this.offline = error.isPassing;
    const { waiting } = page.outbox.state;
    page.message.show({
      title: error.isPassing ? gettext("No connection to the site") : gettext("No pair can be given out"),
      text: waiting > 0 ? `${error.message} ${votesKept(waiting)}` : error.message,
      action: () => this.advance(),
      button: gettext("Try again"),
    });
    if (error.isPassing) page.message.actIn(error.retryAfter ?? 10);
  }

  /** Another tab took over. */
  lost() {
    this.turn += 1;
    this.edit = null;
    this.#clear();
    this.page.message.show({
      title: gettext("Voting is open in another tab"),
      text: gettext("One tab votes at a time, so that no pair is held twice."),
      action: () => this.page.tabs.takeOver(),
      button: gettext("Vote here instead"),
    });
  }

  #tooMuchWaiting() {
    const { message, outbox } = this.page;
    const { waiting, oldest } = outbox.state;
    const old = waiting > 0 && Date.now() - oldest > LONGEST_WAITING;
    if (waiting <= MOST_WAITING && !old) return false;
    this.#clear();
    message.show({
      title: gettext("Waiting for the site"),
      text: `${votesKept(waiting)} ${gettext("New pairs come when they are sent.")}`,
      action: () => outbox.retry().then(() => this.advance()),
      button: gettext("Send them now"),
    });
    message.actIn(30);
    return true;
  }

  draftOf(lease) {
    const draft = this.page.kept.get("draft");
    return draft?.lease === lease ? draft : {};
  }

  // ---- the vote ----

  setLock(locked) {
    this.page.ballot.lock(locked);
    this.showState();
  }

  unlock() {
    if (!this.page.ballot.locked || (!this.pair && !this.edit)) return;
    this.setLock(false);
    announce(gettext("You may vote now."));
  }

  sayWhyLocked(reason) {
    announce(reason ?? byId("gate").textContent);
    if (reason) byId("gate").textContent = reason;
  }

  #gateText() {
    const { ballot, stage } = this.page;
    if (ballot.locked) {
      const how = stage.playback.playing || !calm.matches ? "" : ` ${gettext("Press Space to play.")}`;
      const what = ballot.single
        ? gettext("Voting opens when the clip was shown once.")
        : gettext("Voting opens when both clips were shown once.");
      return `${what}${how}`;
    }
    if (this.edit) return gettext("You are changing an earlier vote. Esc leaves it as it is.");
    return "";
  }

  showState() {
    const { ballot, feedback } = this.page;
    const { complete, locked, answered, rows } = ballot;
    const ready = feedback.shown || (complete && !locked && !this.learning);
    byId("submit").setAttribute("aria-disabled", String(!ready));
    byId("submit-text").textContent = this.#submitText({ complete, answered, of: rows.length });
    byId("gate").textContent = this.#gateText();
    this.focusMoved();
  }

  #submitText({ complete, answered, of }) {
    if (this.page.feedback.shown) return gettext("Go on");
    if (this.learning) return gettext("Looking it up…");
    if (!complete) return interpolate(gettext("%(answered)s of %(of)s answered"), { answered, of });
    return this.edit ? gettext("Change the vote") : gettext("Submit");
  }

  /** The guideline and the words to check follow the row in focus. */
  focusMoved() {
    const { ballot, guideline, prompt } = this.page;
    const dimension = ballot.rows[ballot.current]?.dimension;
    guideline.mark(dimension?.key);
    prompt.check(dimension);
  }

  answered(change) {
    this.page.timer.answered(change);
    announce(change.words);
    this.keepDraft();
    this.showState();
  }

  keepDraft() {
    if (this.edit || !this.pair) return;
    const { ballot, remark, kept } = this.page;
    kept.set("draft", { lease: this.pair.lease, values: ballot.draft(), remark: remark.text });
  }

  async submit() {
    const { ballot, message, feedback } = this.page;
    if (this.busy || this.learning) return;
    if (message.shown) {
      message.act();
      return;
    }
    if (feedback.shown) {
      await this.#leaveStage();
      return;
    }
    if (!this.pair && !this.edit) return; // the next one is on its way
    if (ballot.locked) this.sayWhyLocked();
    else if (ballot.complete) await this.#send();
    else {
      ballot.move(ballot.firstOpen - ballot.current);
      this.showState();
    }
  }

  async #send() {
    const { ballot, timer, stage, remark } = this.page;
    const timing = timer.report(stage.playback, stage.report());
    const said = { judgements: ballot.judgements(), timing, remark: remark.text };
    if (this.edit) await this.#keep(changeEntry(this.edit, said));
    else await this.#vote(said);
  }

  async #vote(said) {
    const { break: pause, progress } = this.page;
    pause.rest.worked(said.timing.active_ms);
    progress.worked(said.timing.active_ms);
    const practises = this.pair.assignment.stage === "practice";
    if (practises) this.learning = this.pair.lease;
    await this.#keep(voteEntry(this.pair, said));
    announce(gettext("Vote kept."));
    if (practises) this.#awaitFeedback();
    else await this.#leaveStage();
  }

  /** On disk before the next pair shows; until then nothing else is taken from this one. */
  async #keep(entry) {
    this.busy = true;
    try {
      await this.page.outbox.add(entry);
    } finally {
      this.busy = false;
    }
    this.page.ballot.lock(true);
    if (this.edit) {
      announce(gettext("Vote kept."));
      await this.earlier.close();
    }
  }

  async #leaveStage() {
    this.page.kept.set("draft", null);
    if (this.pair) this.finished.add(this.pair.lease);
    this.pair = null;
    await this.advance();
  }

  get finished() {
    return this.page.finished;
  }

  // ---- practice ----

  #awaitFeedback() {
    this.showState();
    if (this.learning && this.page.outbox.state.retryAt !== null) this.#feedbackIsLate();
  }

  #feedbackIsLate() {
    const { message, outbox } = this.page;
    message.show({
      title: gettext("Waiting for the site"),
      text: gettext("Your answer is kept in this browser; what was expected comes when the site has it."),
      action: () => outbox.retry(),
      button: gettext("Send it now"),
    });
  }

  /** The site has a practice answer: show what it expected. */
  #learn(lease, answer) {
    if (lease !== this.learning) return;
    this.learning = null;
    if (!answer?.feedback) {
      this.#leaveStage();
      return;
    }
    this.page.message.hide();
    this.page.feedback.show(answer.feedback, answer.explanation, this.pair.assignment.dimensions);
    this.showState();
  }

  // ---- the outbox ----

  synced() {
    this.page.sync.render();
    this.showWhatIsWrong();
    const { retryAt, problems, needsLogin } = this.page.outbox.state;
    if (!this.learning) return;
    if (retryAt !== null || needsLogin) this.#feedbackIsLate();
    if (problems.some((entry) => entry.lease === this.learning)) this.#learn(this.learning, null);
  }

  /** The line above the pair: an ended log-in, a refused vote, or nothing. */
  showWhatIsWrong() {
    const { notice, outbox, sync } = this.page;
    const { problems, needsLogin } = outbox.state;
    if (needsLogin) {
      notice.show(gettext("Your log-in has ended; your votes are kept in this browser."), {
        kind: "outbox",
        title: gettext("Log in"),
        action: () => this.page.goToLogin(),
      });
    } else if (problems.length > 0) {
      const [{ title, problem }] = problems;
      const text = interpolate(gettext("The site did not take “%(title)s”: %(reason)s"), { title, reason: problem.message });
      notice.show(text, { kind: "outbox", title: gettext("Show"), action: () => sync.dialog.showModal() });
    } else {
      notice.hide("outbox");
    }
  }

  /** A sentence about the person's own stage: now, or with the pair that comes. */
  #noted(text) {
    if (this.pair && !this.learning) this.page.notice.show(text);
    else this.staging.note = text;
  }

  sent({ entry, answer }) {
    const { notice, progress, assignments } = this.page;
    if (answer?.state === "surplus") {
      notice.show(gettext("Your vote was saved as extra: the pair had all its votes already."));
    }
    if (answer?.note) this.#noted(answer.note);
    if (entry.isNewVote && !answer?.replay) progress.oneMore();
    if (entry.isNewVote) this.#learn(entry.lease, answer);
    if (this.pair && !this.page.feedback.shown) assignments.fill();
  }

  // ---- skip and report ----

  async skip(reason) {
    byId("skip").returnValue = "";
    if (!reason || !this.pair || this.edit) return;
    await this.#keep(skipEntry(this.pair, reason));
    announce(gettext("Skipped."));
    await this.#leaveStage();
  }

  /** `said`: {kind, side, note}. A report of a bad clip ends the pair; any other lets it go on. */
  async flag(said) {
    if (!this.pair || this.edit) return;
    const entry = flagEntry(this.pair, said);
    if (!endsPair(said.kind)) {
      await this.page.outbox.add(entry);
      this.page.notice.show(gettext("Thank you, it is noted. Please go on with this pair."));
      return;
    }
    await this.#keep(entry);
    announce(gettext("Reported."));
    await this.#leaveStage();
    this.page.notice.show(gettext("Thank you. Nobody will be shown this clip again; this is the next pair."));
  }
}
