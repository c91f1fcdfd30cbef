// A split pair on the stage, one ruling on it, and then what people had said.

import { announce, byId } from "../annotate/dom.js";
import { Input } from "../annotate/input.js";
import { Message, Notice } from "../annotate/messages.js";
import { PromptView } from "../annotate/prompt.js";
import { Stage } from "../annotate/stage.js";
import { Api, cookie } from "../lib/api.js";
import { Pair } from "../lib/assignments.js";
import { Ballot } from "../lib/ballot.js";
import { gettext, interpolate } from "../lib/i18n.js";
import { usable } from "../lib/keymap.js";
import { showSpread } from "./verdict.js";

const WHY = {
  split: () => gettext("people split"),
  uncertain: () => gettext("uncertain"),
  flagged: () => gettext("flagged"),
};

export class AdjudicationPage {
  constructor() {
    this.root = byId("annotate");
    const { campaign, csrf, csrfCookie, login } = this.root.dataset;
    Object.assign(this, { campaign, login });
    this.api = new Api({ csrf: () => cookie(csrfCookie, document.cookie) || csrf });
    this.stage = new Stage();
    this.ballot = new Ballot(byId("ballot"), { pair: byId("row-template"), single: byId("score-template") });
    this.message = new Message(this.root);
    this.notice = new Notice();
    this.prompt = new PromptView();
    this.profile = { keys: undefined, letters: true };
    this.timer = { touch: () => {} }; // adjudication is not paid by the minute
    this.pair = null;
    this.turn = 0;
  }

  async start() {
    this.ballot.addEventListener("change", ({ detail }) => this.#answered(detail));
    this.ballot.addEventListener("refused", ({ detail }) => announce(detail ?? byId("gate").textContent));
    this.ballot.addEventListener("focus-moved", () => this.#focusMoved());
    this.stage.addEventListener("shown", () => this.#lock(false));
    this.stage.addEventListener("resized", () => this.ballot.see({ width: this.stage.width }));
    this.stage.addEventListener("magnified", () => this.ballot.see({ magnified: true }));
    byId("reason").addEventListener("change", () => this.#show());
    document.addEventListener("visibilitychange", () => document.hidden && this.stage.pause());
    this.input = new Input(this);
    await this.#readKeys();
    await this.next();
  }

  async #readKeys() {
    try {
      const { keys, single_letters: letters } = await this.api.profile();
      this.profile = { keys: usable(keys).keys, letters };
    } catch (error) {
      if (error.name !== "ApiError") throw error; // the standard keys do as well
    }
    this.ballot.showCaps({ keys: this.profile.keys, shown: this.profile.letters });
  }

  // ---- a pair ----

  /** `after`: the triplet that is passed over for now. */
  async next(after = 0) {
    const turn = (this.turn += 1);
    this.#clear();
    this.message.show({
      title: gettext("Fetching the next pair…"),
      text: gettext("Both clips are loaded whole before they are shown."),
      mode: "loading",
    });
    try {
      const found = await this.api.call("GET", `${this.#address()}/next?after=${after || ""}`);
      if (turn !== this.turn) return;
      if (found.empty) this.#empty(found);
      else await this.#put(found, turn);
    } catch (error) {
      if (turn === this.turn) this.#failed(error);
    }
  }

  #address() {
    return `/api/campaigns/${this.campaign}/adjudication`;
  }

  #clear() {
    this.pair?.dispose();
    this.pair = null;
    this.stage.unload();
  }

  #empty({ reason }) {
    byId("waiting").textContent = "";
    byId("why").hidden = true;
    this.message.show({
      title: gettext("Nothing to settle"),
      text: reason,
      action: () => this.next(),
      button: gettext("Look again"),
    });
  }

  async #put(found, turn) {
    this.pair = new Pair({ ...found, lease: String(found.triplet) });
    const clips = await this.pair.media;
    if (turn !== this.turn) return;
    this.#describe(found);
    this.message.hide();
    this.prompt.show(found.prompt);
    this.ballot.show(found.dimensions);
    this.#lock(found.watch_gate);
    announce(interpolate(gettext("New pair: %(prompt)s"), { prompt: found.prompt.text }));
    await this.stage.load(found, clips, { oneByOne: false, turn: () => turn === this.turn });
  }

  #describe({ why, waiting }) {
    byId("why").textContent = WHY[why]();
    byId("why").hidden = false;
    byId("waiting").textContent = interpolate(gettext("%(waiting)s waiting"), { waiting });
    byId("reason").value = "";
    byId("note").value = "";
    byId("ruling").classList.remove("is-wanted");
  }

  #failed(error) {
    const { pair } = this;
    this.#clear();
    if (error.needsLogin) {
      const action = () => location.assign(this.login);
      this.message.show({ title: gettext("Please log in again"), text: error.message, action, button: gettext("Log in") });
      return;
    }
    this.message.show({
      title: gettext("This pair cannot be shown"),
      text: error.message,
      action: () => this.next(),
      button: gettext("Try again"),
      other: pair ? { action: () => this.next(pair.assignment.triplet), title: gettext("Not now") } : null,
    });
  }

  // ---- the ruling ----

  #lock(locked) {
    if (!this.pair) return;
    this.ballot.lock(locked);
    if (!locked) announce(gettext("You may decide now."));
    this.#show();
  }

  #answered({ words }) {
    announce(words);
    this.#show();
  }

  #focusMoved() {
    this.prompt.check(this.ballot.rows[this.ballot.current]?.dimension);
  }

  get #ready() {
    return this.ballot.complete && !this.ballot.locked && byId("reason").value !== "";
  }

  #show() {
    const { complete, locked, answered, rows } = this.ballot;
    byId("ruling").classList.toggle("is-open", complete);
    byId("ruling").classList.toggle("is-wanted", complete && byId("reason").value === "");
    byId("submit").setAttribute("aria-disabled", String(!this.#ready));
    byId("gate").textContent = locked ? gettext("Deciding opens when both clips were shown once.") : "";
    byId("submit-text").textContent = complete
      ? gettext("Settle")
      : interpolate(gettext("%(answered)s of %(of)s answered"), { answered, of: rows.length });
  }

  async submit() {
    if (this.root.dataset.mode === "feedback") {
      await this.next();
    } else if (this.message.shown) {
      this.message.act();
    } else if (this.#ready) {
      await this.#settle();
    } else if (this.ballot.complete) {
      byId("reason").focus();
    } else {
      this.ballot.move(this.ballot.firstOpen - this.ballot.current);
    }
  }

  async #settle() {
    const { triplet, left, right, dimensions } = this.pair.assignment;
    const judgements = this.ballot.judgements();
    this.ballot.lock(true);
    const body = {
      left_video: left.id, right_video: right.id, judgements, reason: byId("reason").value, note: byId("note").value,
    };
    try {
      const verdict = await this.api.call("POST", `${this.#address()}/${triplet}`, { body });
      this.notice.hide();
      showSpread(verdict, dimensions, judgements);
      this.root.dataset.mode = "feedback";
      byId("submit-text").textContent = gettext("Next pair");
      announce(gettext("Settled."));
      byId("verdict").focus();
    } catch (error) {
      this.ballot.lock(false);
      this.notice.show(error.message, { title: gettext("Send again"), action: () => this.#settle() });
    }
  }

  // ---- commands ----

  state() {
    const { keys, letters } = this.profile;
    const { rows, reasonsOpen, single } = this.ballot;
    return { rows: rows.length, single, reasonsOpen, letters, keys, zoomed: this.stage.magnifier.on };
  }

  keyInDialog() {
    // The picture is closed by its own button and by Escape.
  }

  #commands() {
    const { stage, ballot } = this;
    return {
      vote: ({ row, label }) => ballot.vote(row, label),
      reason: ({ number }) => ballot.setReasonNumber(number),
      move: ({ by }) => ballot.move(by),
      ...stage.commands,
      image: () => this.prompt.enlarge(),
      expand: () => this.prompt.open(),
      submit: () => this.submit(),
      skip: () => this.#pass(),
      pass: () => this.#pass(),
      close: () => ballot.closeReasons(),
    };
  }

  run(command) {
    const act = this.#commands()[command.name];
    if (act && (!this.message.shown || command.name === "submit")) act(command);
  }

  #pass() {
    if (this.pair && this.root.dataset.mode === "pair") this.next(this.pair.assignment.triplet);
  }
}
