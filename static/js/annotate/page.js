// The parts of the voting page, put together: which command does what, and the life of the page.

import { Api, cookie } from "../lib/api.js";
import { Assignments, budget } from "../lib/assignments.js";
import { Ballot } from "../lib/ballot.js";
import { gettext } from "../lib/i18n.js";
import { claimVoting } from "../lib/one-tab.js";
import { Outbox } from "../lib/outbox.js";
import { VoteTimer } from "../lib/vote-timer.js";
import { Break } from "./break.js";
import { announce, byId, keptFor, randomId } from "./dom.js";
import { Feedback } from "./feedback.js";
import { FlagSheet } from "./flag-sheet.js";
import { Gates } from "./gates.js";
import { Guideline } from "./guideline.js";
import { Input, watchPresence } from "./input.js";
import { KeysSheet } from "./keys-sheet.js";
import { Message, Notice } from "./messages.js";
import { Progress } from "./progress.js";
import { PromptView } from "./prompt.js";
import { Remark } from "./remark.js";
import { Stage } from "./stage.js";
import { SyncView } from "./sync.js";
import { Work } from "./work.js";

const FIRST_FLUSH = 3000; // ms that a new page waits for what an earlier one left
const PIXEL_PEEPER = 100_000; // CSS px: who looks pixel by pixel sees everything
const WITHOUT_PAIR = new Set(["submit", "reopen", "guideline", "keys", "close"]);
const mobile = matchMedia("(pointer: coarse) and (max-width: 64rem)");

export class VotingPage {
  constructor(store) {
    this.root = byId("annotate");
    const { campaign, user, csrf, csrfCookie, login, leaseSeconds } = this.root.dataset;
    Object.assign(this, { campaign, user, login, kept: keptFor(user) });
    this.api = new Api({ csrf: () => cookie(csrfCookie, document.cookie) || csrf });
    this.outbox = new Outbox({ store, api: this.api, user: Number(user) });
    this.finished = new Set(); // leases voted on or skipped here; the site may not know it yet
    this.peeps = false; // promised to look pixel by pixel, on a screen that is too small otherwise
    this.#makeViews();
    this.assignments = new Assignments({
      api: this.api,
      campaign,
      tab: this.#tabId(),
      isAnswered: (lease) => this.finished.has(lease) || this.outbox.has(lease),
      leaseSeconds: Number(leaseSeconds),
      screenWidth: () => (this.peeps ? PIXEL_PEEPER : this.stage.possibleWidth),
      budget: budget({ mobile: mobile.matches, ...this.#connection() }),
    });
    this.work = new Work(this);
    this.#makeDoors();
    this.toLogin = false; // on the way there the outbox is no reason to ask
    this.reloading = false;
  }

  #connection() {
    const { saveData, effectiveType } = navigator.connection ?? {};
    return { saveData, effectiveType };
  }

  #makeViews() {
    this.stage = new Stage();
    this.ballot = new Ballot(byId("ballot"), { pair: byId("row-template"), single: byId("score-template") });
    this.timer = new VoteTimer();
    this.notice = new Notice();
    this.message = new Message(this.root);
    this.prompt = new PromptView();
    this.remark = new Remark();
    this.feedback = new Feedback(this.root);
    this.progress = new Progress();
    this.sync = new SyncView(this.outbox);
    this.guideline = new Guideline(() => this.api.guideline(this.campaign, document.documentElement.lang));
    this.keys = new KeysSheet({ api: this.api, kept: this.kept });
  }

  #makeDoors() {
    const goOn = () => this.work.advance();
    this.break = new Break({ message: this.message, kept: this.kept, scorecard: () => this.#scorecard(), goOn });
    this.gates = new Gates({
      api: this.api,
      campaign: this.campaign,
      message: this.message,
      goOn,
      magnify: () => {
        this.peeps = true;
        goOn();
      },
      refused: (error) => this.work.refused(error),
    });
    this.flag = new FlagSheet((said) => this.work.flag(said));
  }

  /** One id for all tabs of the browser: the tab that takes over goes on with the same pair. */
  #tabId() {
    const known = this.kept.get("tab") ?? randomId();
    this.kept.set("tab", known);
    return known;
  }

  async #scorecard() {
    try {
      return await this.api.scorecard(this.campaign);
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      return null; // the rest is over all the same
    }
  }

  // ---- life of the page ----

  async start() {
    this.#listen();
    this.#listenToWindow();
    this.input = new Input(this);
    this.keys.start();
    await this.outbox.open();
    // The site would hand out again what it does not know to be answered.
    await Promise.race([this.outbox.flush(), new Promise((go) => setTimeout(go, FIRST_FLUSH))]);
    this.tabs = await claimVoting(`tiebreak-vote-${this.user}`, {
      onHeld: () => this.work.advance(),
      onLost: () => this.work.lost(),
    });
  }

  #listen() {
    const { work, stage, ballot } = this;
    this.outbox.addEventListener("change", () => work.synced());
    this.outbox.addEventListener("sent", ({ detail }) => work.sent(detail));
    ballot.addEventListener("change", ({ detail }) => work.answered(detail));
    ballot.addEventListener("refused", ({ detail }) => work.sayWhyLocked(detail));
    ballot.addEventListener("focus-moved", () => work.focusMoved());
    stage.addEventListener("shown", () => work.unlock());
    stage.addEventListener("ready", () => this.timer.ready());
    stage.addEventListener("played", () => this.timer.played());
    stage.addEventListener("magnified", () => this.#seen());
    stage.addEventListener("resized", () => this.#seen());
    this.remark.addEventListener("change", () => work.keepDraft());
    this.keys.addEventListener("change", () => this.#keysChanged());
    this.assignments.addEventListener("lapsed", () =>
      this.notice.show(gettext("Your time for this pair ran out. Your vote is still accepted.")),
    );
    byId("skip").addEventListener("close", () => work.skip(byId("skip").returnValue));
  }

  #keysChanged() {
    const { keys, layout, letters: shown } = this.keys;
    this.ballot.showCaps({ keys, layout, shown });
  }

  /** How large the clips stand there decides which dimensions may be judged. */
  #seen() {
    const magnified = this.stage.magnifier.uses > 0;
    this.ballot.see({ width: this.stage.width, magnified });
  }

  #listenToWindow() {
    addEventListener("online", () => {
      this.outbox.flush();
      if (this.message.shown && this.work.offline) this.work.advance();
    });
    watchPresence({
      timer: this.timer,
      pause: () => this.stage.pause(),
      returned: () => this.outbox.state.needsLogin && this.outbox.retry(),
    });
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

  goToLogin() {
    this.toLogin = true;
    location.assign(this.login);
  }

  // ---- commands ----

  /** What decides the meaning of a key. */
  state() {
    return {
      rows: this.ballot.rows.length,
      single: this.ballot.single,
      reasonsOpen: this.ballot.reasonsOpen,
      letters: this.keys.letters,
      keys: this.keys.keys,
      zoomed: this.stage.magnifier.on,
    };
  }

  keyInDialog(event, dialog) {
    if (dialog.id === "keys" && this.keys.takeKey(event)) return;
    const typing = event.target.closest?.("input:not([type=radio]), textarea");
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    if (!digit || event.repeat || typing) return;
    if (dialog.id === "flag") this.flag.choose(Number(digit));
    if (dialog.id !== "skip") return;
    const button = dialog.querySelectorAll("button[value]:not([value=''])")[digit - 1];
    if (button) dialog.close(button.value);
  }

  #commands() {
    const { stage, ballot, work } = this;
    return {
      vote: ({ row, label }) => ballot.vote(row, label),
      reason: ({ number }) => ballot.setReasonNumber(number),
      move: ({ by }) => ballot.move(by),
      ...stage.commands,
      image: () => this.prompt.enlarge(),
      submit: () => work.submit(),
      reopen: () => work.earlier.reopen(),
      remark: () => this.remark.toggle(),
      skip: () => this.#askForSkip(),
      flag: () => this.#askForFlag(),
      guideline: () => this.guideline.toggle(),
      keys: () => this.keys.open(),
      expand: () => this.prompt.open(),
      close: () => this.#close(),
    };
  }

  run(command) {
    const act = this.#commands()[command.name];
    const fits = !this.message.shown || WITHOUT_PAIR.has(command.name);
    const { shown: readsFeedback } = this.feedback;
    if (act && fits && !(readsFeedback && command.name === "vote")) act(command);
    if (!this.message.shown) this.work.showState();
  }

  #askForSkip() {
    if (this.work.edit) announce(gettext("An earlier vote cannot be skipped."));
    else byId("skip").showModal();
  }

  #askForFlag() {
    if (this.work.edit) {
      announce(gettext("A clip is reported from a pair that is yours now."));
      return;
    }
    this.stage.pause(); // who reports something disturbing need not go on watching it
    this.flag.open({ single: this.ballot.single });
  }

  #close() {
    if (this.guideline.isOpen) this.guideline.toggle(false);
    else if (this.stage.magnifier.on) this.stage.magnifier.switch(false);
    else if (!this.ballot.closeReasons() && this.work.edit) this.work.earlier.close();
  }
}
