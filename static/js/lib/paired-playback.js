// Two clips in step, or one alone. The longer one leads; the other follows its media clock.

import { Drift, DriftControl } from "./drift.js";
import { frameAt, frameMiddle, load, seek } from "./clip-frames.js";

const SHOWN = 0.9; // share of a clip's frames that counts as "was shown"

/**
 * Drives one or two <video> elements. Events: `change` (playing, speed, loop, sound or stretch),
 * `tick` (time moved), `shown` (every clip was shown once), `passed` (what plays came to its end),
 * `blocked` (the browser wants a press before it plays).
 */
export class PairedPlayback extends EventTarget {
  constructor(...videos) {
    super();
    this.videos = videos;
    this.clips = [];
    this.sides = [];
    this.speed = 1;
    this.loop = true;
    this.muted = true;
    this.stretch = false;
    this.playing = false;
    this.turn = 0; // rises with every command, so that an older one that still waits gives up
    this.stalled = false;
    this.drift = new DriftControl();
    this.#forget();
    for (const video of this.videos) {
      video.addEventListener("waiting", () => this.#stall(video));
      video.addEventListener("canplay", () => this.#recover());
      video.addEventListener("ended", () => this.#ended());
      this.#watchFrames(video);
    }
  }

  #forget() {
    this.drift.forget();
    this.seen = this.videos.map(() => new Set());
    this.whole = this.videos.map(() => false); // was played through without a jump
    this.watches = this.videos.map(() => 0);
    this.wasShown = false;
    this.wholePass = false; // played from the first frame on, without a step in between
    this.counts = {
      plays: 0, restarts: 0, steps: 0, speeds: 0, loops: 0, jumps: 0, seeks: 0, nudges: 0, stretches: 0,
    };
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }

  get drifts() {
    return this.drift.samples;
  }

  /** `clips`: [{url, fps, frames}, …], one per side. Resolves when all show their first frame. */
  async load(clips) {
    this.pause();
    const turn = (this.turn += 1);
    this.clips = clips;
    this.sides = clips.map((_, side) => side);
    this.#forget();
    const videos = this.videos.slice(0, clips.length);
    await Promise.all(videos.map((video, side) => load(video, clips[side].url)));
    if (turn !== this.turn) return;
    this.#tell("tick");
    this.#tell("change");
  }

  unload() {
    this.pause();
    this.turn += 1;
    this.clips = [];
    this.sides = [];
    this.#forget();
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load();
    }
  }

  /** Only these sides play from now on, each from its start. */
  async setSides(sides) {
    this.pause();
    this.turn += 1;
    this.sides = sides;
    await this.#seekAll(0);
    this.#tell("change");
  }

  get #active() {
    return this.sides.map((side) => this.videos[side]);
  }

  /** The side that gives the time: the longest of those that play. */
  get leader() {
    const length = (side) => this.videos[side].duration || 0;
    return this.sides.reduce((best, side) => (length(side) > length(best) ? side : best), this.sides[0] ?? 0);
  }

  get duration() {
    const { duration } = this.videos[this.leader];
    return Number.isFinite(duration) ? duration : 0;
  }

  get time() {
    return this.videos[this.leader].currentTime;
  }

  /** How much faster than the leader a side runs: 1 unless both are stretched to one length. */
  #scale(side) {
    if (!this.stretch || this.duration === 0) return 1;
    return this.videos[side].duration / this.duration;
  }

  /** Frame numbers on screen, from 0. */
  get frames() {
    return this.clips.map(({ fps, frames }, side) => frameAt(this.videos[side].currentTime, fps, frames));
  }

  /** Length of each clip as a share of the longest. */
  get lengths() {
    const lengths = this.clips.map((_, side) => this.videos[side].duration || 0);
    return lengths.map((length) => (this.stretch ? 1 : length / Math.max(...lengths, 1e-9)));
  }

  /** Share of each clip's frames that was on the screen. */
  get coverage() {
    if (this.clips.length === 0) return this.videos.map(() => 0);
    return this.clips.map(({ frames }, side) => Math.min(1, this.seen[side].size / frames));
  }

  /** Has the side played to its end while the other goes on? */
  hasEnded(side) {
    return Boolean(this.playing && this.sides.includes(side) && this.videos[side].ended);
  }

  async play() {
    if (this.playing || this.clips.length === 0) return;
    this.counts.plays += 1;
    const turn = (this.turn += 1);
    this.playing = true;
    this.#tell("change");
    if (this.#active.every((video) => video.ended || video.currentTime >= video.duration - 1e-3)) {
      await this.#seekAll(0);
    } else {
      await this.#seekAll(this.time); // a nudge ends here: both show the same moment again
    }
    if (turn === this.turn) await this.#start(turn);
  }

  async #start(turn) {
    if (this.time < 1 / this.clips[this.leader].fps) this.wholePass = true;
    for (const side of this.sides) {
      const video = this.videos[side];
      video.muted = this.muted;
      video.playbackRate = this.speed * this.#scale(side);
    }
    const going = this.#active.filter((video) => !video.ended);
    try {
      await Promise.all(going.map((video) => video.play()));
    } catch (error) {
      if (turn === this.turn) this.pause();
      if (error.name === "NotAllowedError") this.#tell("blocked");
      return;
    }
    if (turn === this.turn) this.#follow(turn);
  }

  #follow(turn) {
    if (turn !== this.turn || !this.playing) return;
    this.#keepInStep();
    this.#tell("tick");
    requestAnimationFrame(() => this.#follow(turn));
  }

  #keepInStep() {
    if (this.sides.length < 2 || this.stalled) return;
    if (this.#active.some((video) => video.seeking || video.paused)) return;
    const follower = 1 - this.leader;
    const pace = { speed: this.speed, scale: this.#scale(follower) };
    const done = this.drift.correct(this.videos[this.leader], this.videos[follower], pace);
    if (done === Drift.JUMPED) this.counts.jumps += 1;
  }

  pause() {
    if (!this.playing) return;
    this.turn += 1;
    this.playing = false;
    this.stalled = false;
    for (const video of this.videos) video.pause();
    this.#align();
    this.#tell("change");
  }

  /** After a pause both sides show the frames of the same moment, whatever was drawn last. */
  #align() {
    if (this.clips.length === 0 || this.#active.every((video) => video.ended)) return;
    if (this.#active.some((video) => video.error || video.readyState < 1)) return;
    const { time } = this;
    for (const side of this.sides) this.videos[side].currentTime = this.#frameMomentOf(side, time);
  }

  /** Where a side stands when the leader is at `time`: never behind the middle of its last frame. */
  #momentOf(side, time) {
    const { fps, frames } = this.clips[side];
    return Math.min(time * this.#scale(side), frameMiddle(frames - 1, fps));
  }

  /** The middle of the side's frame at that moment: pixels and number agree there. */
  #frameMomentOf(side, time) {
    const { fps, frames } = this.clips[side];
    return frameMiddle(frameAt(time * this.#scale(side), fps, frames), fps);
  }

  /** All sides to the frames of one moment, and no further. */
  async #seekFrames(time) {
    await Promise.all(this.sides.map((side) => seek(this.videos[side], this.#frameMomentOf(side, time))));
    this.#tell("tick");
  }

  async #seekAll(time) {
    await Promise.all(this.sides.map((side) => seek(this.videos[side], this.#momentOf(side, time))));
    this.#tell("tick");
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  async restart() {
    if (this.clips.length === 0) return;
    this.counts.restarts += 1;
    await this.#fromStart();
  }

  async #fromStart() {
    this.pause();
    const turn = (this.turn += 1);
    this.playing = true;
    this.#tell("change");
    await this.#seekAll(0);
    if (turn === this.turn) await this.#start(turn);
  }

  /** Steps by frames of the side with the higher rate, so that no frame of either is passed over. */
  async step(by) {
    if (this.clips.length === 0) return;
    this.#interrupt("steps");
    const side = this.#pacingSide();
    const { fps, frames } = this.clips[side];
    const last = Math.ceil(this.duration * this.#scale(side) * fps - 1e-6) - 1;
    const frame = frameAt(this.videos[side].currentTime, fps, frames) + by;
    await this.#seekFrames(frameMiddle(Math.max(0, Math.min(last, frame)), fps) / this.#scale(side));
  }

  /** The side with the higher rate, as long as it has not come to its end before the other. */
  #pacingSide() {
    const finer = this.sides.reduce((x, y) => (this.clips[y].fps > this.clips[x].fps ? y : x));
    const { fps, frames } = this.clips[finer];
    return this.time * this.#scale(finer) >= frames / fps ? this.leader : finer;
  }

  /** Moves one side alone by frames; playing brings both in step again. */
  async nudge(side, by) {
    if (!this.clips[side]) return;
    this.#interrupt("nudges");
    const { fps, frames } = this.clips[side];
    const frame = frameAt(this.videos[side].currentTime, fps, frames) + by;
    await seek(this.videos[side], frameMiddle(Math.max(0, Math.min(frames - 1, frame)), fps));
    this.#tell("tick");
  }

  /** Goes to a share of the whole length. */
  async seekTo(share) {
    if (this.clips.length === 0) return;
    const goOn = this.playing;
    this.#interrupt("seeks");
    const { turn } = this;
    await this.#seekFrames(share * this.duration);
    if (goOn && turn === this.turn) await this.play();
  }

  #interrupt(counter) {
    this.pause();
    this.turn += 1;
    this.counts[counter] += 1;
    this.wholePass = false;
  }

  setSpeed(speed) {
    this.speed = speed;
    this.counts.speeds += 1;
    this.#pace();
  }

  /** Both clips take the same time. A view aid: it changes how fast the motion looks. */
  setStretch(stretch) {
    this.stretch = stretch;
    this.counts.stretches += 1;
    if (!this.playing) this.#align();
    this.#pace();
  }

  #pace() {
    for (const side of this.sides) this.videos[side].playbackRate = this.speed * this.#scale(side);
    this.#tell("change");
  }

  setLoop(loop) {
    this.loop = loop;
    this.#tell("change");
  }

  setMuted(muted) {
    this.muted = muted;
    for (const video of this.videos) video.muted = muted;
    this.#tell("change");
  }

  #ended() {
    if (!this.playing || !this.#active.every((video) => video.ended)) return;
    if (this.wholePass) this.#passedWhole();
    this.counts.loops += 1;
    const { turn } = this;
    this.#tell("passed");
    if (turn !== this.turn) return;
    if (this.loop) this.#fromStart();
    else this.pause();
  }

  #passedWhole() {
    for (const side of this.sides) {
      this.whole[side] = true;
      this.watches[side] += 1;
    }
    this.#lookWhetherShown();
  }

  #stall(video) {
    const nearEnd = video.duration - video.currentTime < 0.1;
    if (!this.playing || this.stalled || video.ended || video.seeking || nearEnd) return;
    this.stalled = true;
    for (const each of this.videos) each.pause();
  }

  #recover() {
    if (!this.stalled || this.#active.some((video) => !video.ended && video.readyState < 3)) return;
    this.stalled = false;
    if (this.playing) this.#start(this.turn);
  }

  #watchFrames(video) {
    const side = this.videos.indexOf(video);
    const seen = (_, { mediaTime }) => {
      const clip = this.clips[side];
      if (clip) this.seen[side].add(frameAt(mediaTime + 0.5 / clip.fps, clip.fps, clip.frames));
      if (clip) this.#lookWhetherShown();
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback?.(seen);
  }

  #lookWhetherShown() {
    if (this.wasShown) return;
    if (!this.coverage.every((share, side) => share >= SHOWN || this.whole[side])) return;
    this.wasShown = true;
    this.#tell("shown");
  }
}
