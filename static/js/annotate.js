// The voting page: takes a pair, plays it, takes the vote, puts it into the outbox, goes on.

import { Api, cookie } from "./lib/api.js";
import { Assignments, Pair } from "./lib/assignments.js";
import { Ballot } from "./lib/ballot.js";
import { changeEntry, skipEntry, voteEntry } from "./lib/entries.js";
import { claimVoting } from "./lib/one-tab.js";
import { Outbox, OutboxStore } from "./lib/outbox.js";
import { neighbourSpeed, p95, PairedPlayback } from "./lib/paired-playback.js";
import { commandOf } from "./lib/shortcuts.js";
import { VoteTimer } from "./lib/vote-timer.js";
import {
  announce, counted, Guideline, Message, Notice, PromptView, showAsTiny, showProgress, SyncView, Transport,
} from "./annotate-views.js";

const MOST_WAITING = 20; // votes in the outbox; beyond that no new pairs
const LONGEST_WAITING = 10 * 60_000; // ms
const FIRST_FLUSH = 3000; // ms that a new page waits for what an earlier one left
const REOPEN_BACK = 10; // votes

const byId = (id) => document.getElementById(id);
const root = byId("annotate");
const { campaign, user, csrf, csrfCookie, login, leaseSeconds, perVideoScores } = root.dataset;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID(); // missing on plain http
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A value kept for this person in this browser. */
const kept = {
  get: (name) => JSON.parse(localStorage.getItem(`tiebreak-${name}-${user}`) ?? "null"),
  set: (name, value) => localStorage.setItem(`tiebreak-${name}-${user}`, JSON.stringify(value)),
};

/** One id for all tabs of the browser: the tab that takes over goes on with the same pair. */
function tabId() {
  const known = kept.get("tab") ?? randomId();
  kept.set("tab", known);
  return known;
}

class VotingPage {
  constructor(store) {
    this.api = new Api({ csrf: () => cookie(csrfCookie, document.cookie) || csrf });
    this.outbox = new Outbox({ store, api: this.api, user: Number(user) });
    this.finished = new Set(); // leases voted on or skipped here; the site may not know it yet
    this.assignments = new Assignments({
      api: this.api,
      campaign,
      tab: tabId(),
      isAnswered: (lease) => this.finished.has(lease) || this.outbox.has(lease),
      leaseSeconds: Number(leaseSeconds),
    });
    this.playback = new PairedPlayback(byId("clip-left"), byId("clip-right"));
    this.ballot = new Ballot(byId("ballot"), { row: byId("row-template") });
    this.timer = new VoteTimer();
    this.notice = new Notice();
    this.message = new Message(root);
    this.prompt = new PromptView();
    this.guideline = new Guideline();
    this.sync = new SyncView(this.outbox);
    this.transport = new Transport(this.playback);
    this.pair = null; // the pair to vote on
    this.edit = null; // {index, vote, pair} while an earlier vote is open again
    this.progress = null;
    this.turn = 0; // rises with every change of what is on the stage
    this.busy = false;
    this.toLogin = false; // on the way there the outbox is no reason to ask
    this.reloading = false;
    this.letters = kept.get("letters") ?? true;
  }

  // ---- life of the page ----

  async start() {
    this.#listen();
    this.#listenToKeys();
    this.#listenToWindow();
    this.#showKeyCaps();
    await this.outbox.open();
    // The site would hand out again what it does not know to be answered.
    await Promise.race([this.outbox.flush(), new Promise((go) => setTimeout(go, FIRST_FLUSH))]);
    this.tabs = await claimVoting(`tiebreak-vote-${user}`, {
      onHeld: () => this.advance(),
      onLost: () => this.#lost(),
    });
  }

  #listen() {
    this.outbox.addEventListener("change", () => this.#synced());
    this.outbox.addEventListener("sent", ({ detail }) => this.#sent(detail));
    this.ballot.addEventListener("change", ({ detail }) => this.#answered(detail));
    this.ballot.addEventListener("refused", () => this.#sayWhyLocked());
    this.playback.addEventListener("shown", () => this.#unlock());
    this.playback.addEventListener("change", () => this.playback.playing && this.timer.played());
    this.playback.addEventListener("blocked", () => announce("Press Space to play."));
    this.assignments.addEventListener("lapsed", () =>
      this.notice.show("Your time for this pair ran out. Your vote is still accepted."),
    );
    document.addEventListener("click", (event) => this.#clicked(event));
    byId("skip").addEventListener("close", () => this.#skip(byId("skip").returnValue));
    byId("letters").addEventListener("change", (event) => this.#switchLetters(event.target.checked));
  }

  #listenToKeys() {
    document.addEventListener("keydown", (event) => {
      this.timer.touch("key");
      const open = document.querySelector("dialog[open]");
      if (open) {
        this.#keyInDialog(event, open);
        return;
      }
      const command = commandOf(event, {
        rows: this.ballot.rows.length,
        reasonsOpen: this.ballot.reasonsOpen,
        letters: this.letters,
      });
      if (!command) return;
      event.preventDefault();
      this.run(command);
    });
    document.addEventListener("pointerdown", (event) => this.timer.touch(event.pointerType));
  }

  #keyInDialog(event, dialog) {
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    if (dialog.id !== "skip" || !digit || event.repeat) return;
    const button = dialog.querySelectorAll("button[value]:not([value=''])")[digit - 1];
    if (button) dialog.close(button.value);
  }

  #listenToWindow() {
    addEventListener("online", () => {
      this.outbox.flush();
      if (this.message.shown && this.offline) this.advance();
    });
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("beforeunload", (event) => {
      if (this.outbox.entries.length > 0 && !this.toLogin) event.preventDefault();
    });
    globalThis.navigation?.addEventListener("navigate", ({ navigationType }) => {
      this.reloading = navigationType === "reload";
    });
    addEventListener("pagehide", () => {
      // A return to a half-filled ballot finds it again; a pair that nobody has touched goes back
      // to the others at once, except where the browser says that this is a reload.
      this.assignments.release({ all: !this.reloading && this.ballot.answered === 0 });
    });
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  #visibility() {
    const visible = document.visibilityState === "visible";
    this.timer.setVisible(visible);
    if (!visible) this.playback.pause();
    else if (this.outbox.state.needsLogin) this.outbox.retry();
  }

  #lost() {
    this.turn += 1;
    this.pair = this.edit = null;
    this.playback.unload();
    this.message.show({
      title: "Voting is open in another tab",
      text: "One tab votes at a time, so that no pair is held twice.",
      action: () => this.tabs.takeOver(),
      button: "Vote here instead",
    });
  }

  // ---- which pair is on the stage ----

  async advance() {
    const turn = (this.turn += 1);
    this.edit = null;
    this.offline = false;
    if (this.#tooMuchWaiting()) return;
    clearTimeout(this.slow);
    this.slow = setTimeout(() => turn === this.turn && this.#loading(), 250);
    await this.#guarded(turn, async () => {
      const next = await this.assignments.take();
      if (turn !== this.turn) return;
      if (next.empty) this.#empty(next);
      else await this.#stage((this.pair = next), this.#draftOf(next.lease));
      if (turn === this.turn) this.assignments.fill();
    });
  }

  /** Does something that needs the site; says what is wrong where the site says no. */
  async #guarded(turn, act) {
    try {
      await act();
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      if (turn === this.turn) this.#refused(error);
    }
  }

  #loading() {
    this.playback.pause();
    this.message.show({
      title: "Fetching the next pair…",
      text: "Both clips are loaded whole before they are shown.",
      mode: "loading",
    });
  }

  #empty({ reason, retry_after: retryAfter }) {
    clearTimeout(this.slow);
    this.pair = null;
    this.playback.unload();
    const again = { action: () => this.advance(), button: "Look again" };
    this.message.show({ title: "No pair for you right now", text: reason, ...again });
    this.message.actIn(retryAfter ?? 10);
  }

  #refused(error) {
    clearTimeout(this.slow);
    this.pair = null;
    this.playback.unload();
    if (error.needsLogin) {
      const toLogin = { action: () => this.#goToLogin(), button: "Log in" };
      this.message.show({ title: "Please log in again", text: error.message, ...toLogin });
      return;
    }
    this.offline = error.isPassing;
    const { waiting } = this.outbox.state;
    const safe = waiting > 0 ? ` ${counted(waiting, "vote is", "votes are")} kept in this browser.` : "";
    this.message.show({
      title: error.isPassing ? "No connection to the site" : "No pair can be given out",
      text: `${error.message}${safe}`,
      action: () => this.advance(),
      button: "Try again",
    });
    if (error.isPassing) this.message.actIn(error.retryAfter ?? 10);
  }

  #goToLogin() {
    this.toLogin = true;
    location.assign(login);
  }

  #tooMuchWaiting() {
    const { waiting, oldest } = this.outbox.state;
    const old = waiting > 0 && Date.now() - oldest > LONGEST_WAITING;
    if (waiting <= MOST_WAITING && !old) return false;
    this.pair = null;
    this.message.show({
      title: "Waiting for the site",
      text: `${counted(waiting, "vote is", "votes are")} kept in this browser and not sent yet. New pairs come after that.`,
      action: () => this.outbox.retry().then(() => this.advance()),
      button: "Send them now",
    });
    this.message.actIn(30);
    return true;
  }

  #draftOf(lease) {
    const draft = kept.get("draft");
    return draft?.lease === lease ? draft.values : {};
  }

  /** Puts a pair on the stage: an assignment, or an earlier vote that is open again. */
  async #stage(pair, values) {
    const { assignment } = pair;
    const turn = this.turn;
    const clips = await this.#clips(pair);
    if (turn !== this.turn) return;
    clearTimeout(this.slow);
    this.notice.hide();
    this.#showWhatIsWrong();
    this.message.hide();
    this.prompt.show(assignment.prompt);
    this.guideline.show(assignment.dimensions);
    this.ballot.show(assignment.dimensions, {
      perVideoScores: assignment.per_video_scores,
      values,
    });
    if (assignment.progress) this.#progressed(assignment.progress);
    this.timer.start();
    announce(`${this.edit ? "Earlier vote" : "New pair"}: ${assignment.prompt.text}`);
    this.#setLock(Boolean(assignment.watch_gate && clips && !this.edit));
    this.#showState();
    if (clips) await this.#play(assignment, clips, turn);
    else this.#fault("A clip of this pair could not be fetched.");
  }

  /** What a pair fetched ahead says of the progress may be older than what we know. */
  #progressed({ mine, done, total }) {
    const known = this.progress ?? { mine: 0, done: 0 };
    this.progress = { mine: Math.max(known.mine, mine), done: Math.max(known.done, done), total };
    showProgress(this.progress);
  }

  /**
   * Object URLs of both clips; null when they do not come although the site is there. Their
   * addresses are signed anew once; ApiError when even that fails.
   */
  async #clips(pair) {
    try {
      return await pair.media;
    } catch {
      if (this.edit) return null;
    }
    await this.assignments.sign(pair);
    return pair.media.catch(() => null);
  }

  async #play(assignment, clips, turn) {
    const sides = [assignment.left, assignment.right];
    sides.forEach((side, place) => showAsTiny(this.playback.videos[place], side));
    try {
      await this.playback.load(
        sides.map(({ fps, num_frames: frames }, place) => ({ url: clips[place], fps, frames })),
      );
    } catch {
      if (turn === this.turn) this.#fault("A clip of this pair does not play in this browser.");
      return;
    }
    if (turn === this.turn && !calm.matches && document.visibilityState === "visible") {
      await this.playback.play();
    }
  }

  #fault(text) {
    this.playback.unload();
    this.#setLock(false);
    this.notice.show(`${text} Mark it invalid as broken, or skip it.`, {
      title: "Fetch again",
      action: () => this.#fetchAgain(),
    });
  }

  async #fetchAgain() {
    const pair = this.edit?.pair ?? this.pair;
    if (!pair) return;
    pair.fetchMedia();
    const turn = (this.turn += 1);
    await this.#guarded(turn, () => this.#stage(pair, this.ballot.draft()));
  }

  // ---- the vote ----

  #setLock(locked) {
    this.ballot.lock(locked);
    this.#showState();
  }

  #unlock() {
    if (!this.ballot.locked) return;
    this.#setLock(false);
    announce("You may vote now.");
  }

  #sayWhyLocked() {
    announce(byId("gate").textContent);
  }

  #gateText() {
    if (this.ballot.locked) {
      const how = this.playback.playing || !calm.matches ? "" : " Press Space to play.";
      return `Voting opens when both clips were shown once.${how}`;
    }
    if (this.edit) return "You are changing an earlier vote. Esc leaves it as it is.";
    return "";
  }

  #showState() {
    const { complete, locked, answered, rows } = this.ballot;
    const ready = complete && !locked;
    byId("submit").setAttribute("aria-disabled", String(!ready));
    const verb = this.edit ? "Change the vote" : "Submit";
    byId("submit-text").textContent = complete ? verb : `${answered} of ${rows.length} answered`;
    byId("gate").textContent = this.#gateText();
    this.guideline.mark(rows[this.ballot.current]?.dimension.key);
  }

  #answered(change) {
    this.timer.answered(change);
    announce(change.words);
    if (!this.edit && this.pair) {
      kept.set("draft", { lease: this.pair.lease, values: this.ballot.draft() });
    }
    this.#showState();
  }

  async submit() {
    if (this.busy) return;
    if (this.message.shown) {
      this.message.act();
      return;
    }
    if (!this.pair && !this.edit) return; // the next one is on its way
    if (this.ballot.locked) {
      this.#sayWhyLocked();
      return;
    }
    if (!this.ballot.complete) {
      this.ballot.move(this.ballot.firstOpen - this.ballot.current);
      this.#showState();
      return;
    }
    const said = { judgements: this.ballot.judgements(), timing: this.#timing() };
    await this.#keep(this.edit ? changeEntry(this.edit, said) : voteEntry(this.pair, said));
    announce("Vote kept.");
    await this.#leaveStage();
  }

  /** On disk before the next pair shows; until then nothing else is taken from this one. */
  async #keep(entry) {
    this.busy = true;
    try {
      await this.outbox.add(entry);
    } finally {
      this.busy = false;
    }
    this.ballot.lock(true);
  }

  #timing() {
    const box = this.playback.videos[0].getBoundingClientRect();
    const screen = { width: Math.round(box.width), height: Math.round(box.height), dpr: devicePixelRatio };
    const drift = p95(this.playback.drifts);
    const timing = this.timer.report(this.playback, screen);
    return { ...timing, drift_p95_ms: drift === null ? null : Math.round(drift * 1000) };
  }

  async #leaveStage() {
    if (this.edit) {
      await this.#closeEdit();
      return;
    }
    kept.set("draft", null);
    this.finished.add(this.pair.lease);
    this.pair = null;
    await this.advance();
  }

  #synced() {
    this.sync.render();
    this.#showWhatIsWrong();
  }

  /** The line above the pair: an ended log-in, a refused vote, or nothing. */
  #showWhatIsWrong() {
    const { problems, needsLogin } = this.outbox.state;
    if (needsLogin) {
      this.notice.show("Your log-in has ended; your votes are kept in this browser.", {
        kind: "outbox",
        title: "Log in",
        action: () => this.#goToLogin(),
      });
    } else if (problems.length > 0) {
      const [first] = problems;
      this.notice.show(`The site did not take “${first.title}”: ${first.problem.message}`, {
        kind: "outbox",
        title: "Show",
        action: () => this.sync.dialog.showModal(),
      });
    } else {
      this.notice.hide("outbox");
    }
  }

  #sent({ entry, answer }) {
    if (answer?.state === "surplus") {
      this.notice.show("Your vote was saved as extra: the pair had all its votes already.");
    }
    if (entry.isNewVote && !answer?.replay && this.progress) {
      this.progress.mine += 1;
      showProgress(this.progress);
    }
    if (this.pair) this.assignments.fill();
  }

  // ---- an earlier vote, skip ----

  async reopen() {
    const index = this.edit ? this.edit.index + 1 : 0;
    if (this.outbox.state.waiting > 0) {
      announce("Your last vote is still on its way; try again when it is saved.");
      return;
    }
    let mine;
    try {
      mine = await this.api.mine(campaign);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      this.notice.show(`Your earlier votes cannot be shown now. ${error.message}`);
      return;
    }
    if (index >= Math.min(mine.votes.length, REOPEN_BACK)) {
      announce("There is no earlier vote to open.");
      return;
    }
    await this.#open(mine.votes[index], index, mine.dimensions);
  }

  async #open(vote, index, dimensions) {
    this.turn += 1;
    this.edit?.pair.dispose();
    const shown = { ...vote, dimensions, per_video_scores: perVideoScores === "true" };
    this.edit = { index, vote, pair: new Pair(shown) };
    await this.#stage(this.edit.pair, vote.judgements);
  }

  async #closeEdit() {
    this.edit.pair.dispose();
    this.edit = null;
    const turn = (this.turn += 1);
    const { pair } = this;
    if (pair) await this.#guarded(turn, () => this.#stage(pair, this.#draftOf(pair.lease)));
    else await this.advance();
  }

  async #skip(reason) {
    byId("skip").returnValue = "";
    if (!reason || !this.pair || this.edit) return;
    await this.#keep(skipEntry(this.pair, reason));
    announce("Skipped.");
    await this.#leaveStage();
  }

  // ---- commands ----

  #clicked(event) {
    const button = event.target.closest("[data-command]");
    if (!button) return;
    this.run({ name: button.dataset.command, by: Number(button.dataset.by ?? 0) });
    if (event.detail > 0) button.blur(); // after a pointer, Space plays again
  }

  run(command) {
    const act = {
      vote: () => this.ballot.vote(command.row, command.label),
      reason: () => this.ballot.setReasonNumber(command.number),
      move: () => this.ballot.move(command.by),
      toggle: () => this.playback.toggle(),
      restart: () => this.playback.restart(),
      step: () => this.playback.step(command.by),
      slower: () => this.playback.setSpeed(neighbourSpeed(this.playback.speed, -1)),
      faster: () => this.playback.setSpeed(neighbourSpeed(this.playback.speed, 1)),
      "normal-speed": () => this.playback.setSpeed(1),
      loop: () => this.playback.setLoop(!this.playback.loop),
      submit: () => this.submit(),
      reopen: () => this.reopen(),
      skip: () => this.#askForSkip(),
      guideline: () => this.guideline.toggle(),
      keys: () => byId("keys").showModal(),
      expand: () => this.prompt.open(),
      close: () => this.#close(),
    }[command.name];
    const needsPair = !["submit", "reopen", "guideline", "keys", "close"].includes(command.name);
    if (act && !(needsPair && this.message.shown)) act();
    if (!this.message.shown) this.#showState();
  }

  #askForSkip() {
    if (this.edit) announce("An earlier vote cannot be skipped.");
    else byId("skip").showModal();
  }

  #close() {
    if (this.guideline.isOpen) this.guideline.toggle(false);
    else if (!this.ballot.closeReasons() && this.edit) this.#closeEdit();
  }

  #switchLetters(on) {
    this.letters = on;
    kept.set("letters", on);
    this.ballot.showCaps({ shown: on });
  }

  async #showKeyCaps() {
    byId("letters").checked = this.letters;
    this.ballot.capsShown = this.letters;
    const layout = await navigator.keyboard?.getLayoutMap?.().catch(() => null);
    if (layout) this.ballot.showCaps({ layout });
  }
}

const page = new VotingPage(await OutboxStore.open());
await page.start();
