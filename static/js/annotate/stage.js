// The players: what they show, how large, in which order; and what was done with them.

import { gettext } from "../lib/i18n.js";
import { neighbourSpeed, p95 } from "../lib/drift.js";
import { PairedPlayback } from "../lib/paired-playback.js";
import { announce, byId } from "./dom.js";
import { Magnifier } from "./magnifier.js";
import { Showing } from "./showing.js";
import { Transport } from "./transport.js";

const TINY = 200; // pixels: a clip this small is scaled up pixel by pixel
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Events: `ready` (both show their first frame), `shown` (voting may open), `played`, `magnified`, `resized`. */
export class Stage extends EventTarget {
  constructor() {
    super();
    this.root = byId("panes");
    this.panes = [...this.root.querySelectorAll(".pane")];
    this.screens = this.panes.map((pane) => pane.querySelector(".screen"));
    this.playback = new PairedPlayback(...this.screens.map((screen) => screen.querySelector("video")));
    this.transport = new Transport(this.playback);
    this.magnifier = new Magnifier(this.root, this.screens);
    this.showing = new Showing(this.playback, this.panes);
    this.enlargements = [0, 0];
    this.enlarged = null; // the side that stands there alone
    this.widest = 0;
    this.#listen();
  }

  #listen() {
    const tell = (name) => this.dispatchEvent(new Event(name));
    // One by one, both were shown before the comparison begins: "passed" comes once more then.
    for (const name of ["shown", "passed"]) {
      this.playback.addEventListener(name, () => this.wasShown && tell("shown"));
    }
    this.playback.addEventListener("change", () => this.playback.playing && tell("played"));
    this.playback.addEventListener("blocked", () => announce(gettext("Press Space to play.")));
    this.magnifier.addEventListener("change", () => this.#magnified());
    this.magnifier.addEventListener("refitted", () => this.#sayFactor());
    new ResizeObserver(() => this.possibleWidth && tell("resized")).observe(this.screens[0]);
    addEventListener("resize", () => (this.widest = 0));
    byId("veil-go").addEventListener("click", () => this.play());
  }

  get wasShown() {
    return this.playback.wasShown && this.showing.isLast;
  }

  /** CSS pixels of one pane as it is now. */
  get width() {
    return Math.round(Math.max(...this.screens.map((screen) => screen.getBoundingClientRect().width)));
  }

  /** CSS pixels of one pane in this window, when no drawer takes room from it. */
  get possibleWidth() {
    if (this.enlarged === null) this.widest = Math.max(this.widest, this.width);
    return this.widest;
  }

  /** Puts clips on the stage and plays them, unless the person wants to be asked first. */
  async load(assignment, clips, { oneByOne, turn }) {
    const sides = [assignment.left, assignment.right].filter(Boolean);
    this.enlarge(null);
    this.enlargements = [0, 0];
    this.magnifier.reset();
    this.#veil(sides);
    sides.forEach(({ width, height }, side) => {
      this.playback.videos[side].classList.toggle("is-tiny", Math.max(width, height) <= TINY);
    });
    await this.playback.load(
      sides.map(({ fps, num_frames: frames }, side) => ({ url: clips[side].url, fps, frames })),
    );
    if (!turn()) return;
    this.dispatchEvent(new Event("ready"));
    await this.showing.begin({ oneByOne, sides: sides.length });
    if (turn() && this.mayPlayByItself) await this.playback.play();
  }

  get mayPlayByItself() {
    return !calm.matches && !this.veiled && document.visibilityState === "visible";
  }

  /** A clip that flashes shows nothing before the person has said so. */
  #veil(sides) {
    this.veiled = sides.some(({ flash_warning: flashes }) => flashes);
    byId("veil").hidden = !this.veiled;
    this.root.classList.toggle("is-veiled", this.veiled);
    if (this.veiled) announce(byId("veil-text").textContent);
  }

  unload() {
    this.veiled = false;
    byId("veil").hidden = true;
    this.root.classList.remove("is-veiled");
    this.playback.unload();
  }

  // ---- commands ----

  play() {
    this.#unveil();
    return this.playback.play();
  }

  #unveil() {
    this.veiled = false;
    byId("veil").hidden = true;
    this.root.classList.remove("is-veiled");
  }

  toggle() {
    if (this.veiled) this.play();
    else this.playback.toggle();
  }

  pause() {
    this.playback.pause();
  }

  async step(by) {
    await this.playback.step(by);
    announce(this.transport.words);
  }

  async nudge(side, by) {
    await this.playback.nudge(side, by);
    announce(this.transport.words);
  }

  changeSpeed(by) {
    this.playback.setSpeed(by === 0 ? 1 : neighbourSpeed(this.playback.speed, by));
    announce(byId("speed").textContent);
  }

  #magnified() {
    const { on } = this.magnifier;
    for (const button of document.querySelectorAll('[data-command="zoom"]')) {
      button.setAttribute("aria-pressed", String(on));
    }
    this.#sayFactor();
    this.root.tabIndex = on ? 0 : -1;
    if (on) this.root.focus({ preventScroll: true });
    else if (document.activeElement === this.root) this.root.blur();
    this.dispatchEvent(new Event("magnified"));
  }

  #sayFactor() {
    const { on, words } = this.magnifier;
    byId("zoom-factor").textContent = on ? words : "1:1";
  }

  /** One side alone and large; null: both again. */
  enlarge(side) {
    if (side !== null && this.enlarged !== side) this.enlargements[side] += 1;
    this.enlarged = side;
    this.panes.forEach((pane, each) => {
      pane.classList.toggle("is-behind", side !== null && side !== each);
      pane.querySelector('[data-command="enlarge"]')?.setAttribute("aria-pressed", String(side === each));
    });
    this.root.classList.toggle("is-enlarged", side !== null);
  }

  /** What keys and buttons may ask of the stage, by the names of commands. */
  get commands() {
    return {
      toggle: () => this.toggle(),
      restart: () => this.playback.restart(),
      step: ({ by }) => this.step(by),
      nudge: ({ side, by }) => this.nudge(side, by),
      slower: () => this.changeSpeed(-1),
      faster: () => this.changeSpeed(1),
      "normal-speed": () => this.changeSpeed(0),
      loop: () => this.playback.setLoop(!this.playback.loop),
      mute: () => this.playback.setMuted(!this.playback.muted),
      stretch: () => this.playback.setStretch(!this.playback.stretch),
      zoom: () => this.magnifier.switch(),
      pan: ({ x, y }) => this.magnifier.arrow(x, y),
      enlarge: ({ side }) => this.enlarge(side),
    };
  }

  // ---- the record ----

  /** What the timing of a vote says of the stage. */
  report() {
    const { width, height } = this.screens[0].getBoundingClientRect();
    const drift = p95(this.playback.drifts);
    return {
      screen: { width: Math.round(width), height: Math.round(height), dpr: devicePixelRatio },
      drift_p95_ms: drift === null ? null : Math.round(drift * 1000),
      pixels: this.magnifier.uses,
      enlarged: { left: this.enlargements[0], right: this.enlargements[1] },
      stretched: this.playback.counts.stretches > 0,
      shown_first: this.showing.order,
    };
  }
}
