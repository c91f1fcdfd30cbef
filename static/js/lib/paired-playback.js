// Two clips in step. The longer one leads; the other follows its media clock.

export const DEAD_BAND = 0.02; // s: within it the clips count as being in step
export const SEEK_BAND = 0.15; // s: beyond it a nudge would take too long, so the follower jumps
const MAX_NUDGE = 0.08; // share of the speed; more would show as a change of motion
const NUDGE_PER_SECOND = 2; // a drift of 40 ms is answered with 8 %
export const SPEEDS = [0.25, 0.5, 1, 1.5, 2];
const SHOWN = 0.9; // share of a clip's frames that counts as "was shown"

/** Playback rate of the follower that is `drift` seconds ahead of the leader. */
export function followerRate(drift, speed) {
  if (Math.abs(drift) <= DEAD_BAND) return speed;
  const nudge = Math.max(-MAX_NUDGE, Math.min(MAX_NUDGE, drift * NUDGE_PER_SECOND));
  return speed * (1 - nudge);
}

/** Number of the frame that covers `time`, from 0. */
export function frameAt(time, fps, frames) {
  return Math.max(0, Math.min(frames - 1, Math.floor(time * fps + 1e-6)));
}

/** The middle of a frame: a seek there cannot fall into its neighbour. */
export const frameMiddle = (frame, fps) => (frame + 0.5) / fps;

/** The value that 95 % of the samples do not exceed; null without samples. */
export function p95(samples) {
  if (samples.length === 0) return null;
  const sorted = [...samples].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))];
}

/** The speed that is `by` places up or down the list. */
export function neighbourSpeed(speed, by) {
  const place = SPEEDS.indexOf(speed) + by;
  return SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, place))];
}

const once = (target, ...names) =>
  new Promise((resolve) => {
    const gate = new AbortController();
    for (const name of names) {
      target.addEventListener(
        name,
        () => {
          gate.abort();
          resolve(name);
        },
        { signal: gate.signal },
      );
    }
  });

async function seek(video, time) {
  if (Math.abs(video.currentTime - time) < 1e-4 && !video.ended) return;
  const arrived = once(video, "seeked", "error", "emptied");
  video.currentTime = time;
  await arrived;
}

async function load(video, url) {
  const ready = once(video, "loadeddata", "error");
  video.src = url;
  video.load();
  if ((await ready) === "error") throw new Error("This browser cannot play the clip.");
}

/**
 * Drives two <video> elements. Events: `change` (playing, speed or loop), `tick` (time moved),
 * `shown` (both clips were shown once), `blocked` (the browser wants a press before it plays).
 */
export class PairedPlayback extends EventTarget {
  constructor(left, right) {
    super();
    this.videos = [left, right];
    this.clips = [];
    this.speed = 1;
    this.loop = true;
    this.playing = false;
    this.turn = 0; // rises with every command, so that an older one that still waits gives up
    this.stalled = false;
    this.#forget();
    for (const video of this.videos) {
      video.addEventListener("waiting", () => this.#stall(video));
      video.addEventListener("canplay", () => this.#recover());
      video.addEventListener("ended", () => this.#ended());
      this.#watchFrames(video);
    }
  }

  #forget() {
    this.drifts = [];
    this.seen = [new Set(), new Set()];
    this.wasShown = false;
    this.wholePass = false; // played from the first frame on, without a step in between
    this.counts = { plays: 0, restarts: 0, steps: 0, speeds: 0, loops: 0, jumps: 0 };
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }

  /** `clips`: [{url, fps, frames}, {…}]. Resolves when both show their first frame. */
  async load(clips) {
    this.pause();
    const turn = (this.turn += 1);
    this.clips = clips;
    this.#forget();
    await Promise.all(this.videos.map((video, side) => load(video, clips[side].url)));
    if (turn !== this.turn) return;
    this.#tell("tick");
    this.#tell("change");
  }

  unload() {
    this.pause();
    this.turn += 1;
    this.clips = [];
    this.#forget();
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load();
    }
  }

  get leader() {
    return this.videos[1].duration > this.videos[0].duration ? 1 : 0;
  }

  get duration() {
    const durations = this.videos.map((video) => video.duration).filter(Number.isFinite);
    return Math.max(0, ...durations);
  }

  get time() {
    return this.videos[this.leader].currentTime;
  }

  /** Frame numbers on screen, from 0. */
  get frames() {
    return this.clips.map(({ fps, frames }, side) =>
      frameAt(this.videos[side].currentTime, fps, frames),
    );
  }

  /** Share of each clip's frames that was on the screen. */
  get coverage() {
    if (this.clips.length === 0) return [0, 0];
    return this.clips.map(({ frames }, side) => Math.min(1, this.seen[side].size / frames));
  }

  /** Has the side played to its end while the other goes on? */
  hasEnded(side) {
    const video = this.videos[side];
    return video.ended && this.playing;
  }

  async play() {
    if (this.playing || this.clips.length === 0) return;
    this.counts.plays += 1;
    const turn = (this.turn += 1);
    this.playing = true;
    this.#tell("change");
    if (this.videos.every((video) => video.ended || video.currentTime >= video.duration - 1e-3)) {
      await this.#seekBoth(0);
    }
    if (turn === this.turn) await this.#start(turn);
  }

  async #start(turn) {
    if (this.time < 1 / this.clips[this.leader].fps) this.wholePass = true;
    for (const video of this.videos) video.playbackRate = this.speed;
    const going = this.videos.filter((video) => !video.ended);
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
    if (this.stalled || this.videos.some((video) => video.seeking || video.paused)) return;
    const leader = this.videos[this.leader];
    const follower = this.videos[1 - this.leader];
    const drift = follower.currentTime - leader.currentTime;
    if (this.drifts.length < 20_000) this.drifts.push(Math.abs(drift));
    if (Math.abs(drift) > SEEK_BAND) {
      this.counts.jumps += 1;
      follower.currentTime = leader.currentTime;
    } else {
      const rate = followerRate(drift, this.speed);
      if (follower.playbackRate !== rate) follower.playbackRate = rate;
    }
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

  /** After a pause both sides show the frame of the same moment. */
  #align() {
    if (this.clips.length === 0) return;
    const leader = this.videos[this.leader];
    const follower = this.videos[1 - this.leader];
    if (follower.ended || follower.error || follower.readyState < 1) return;
    const time = Math.min(leader.currentTime, this.#lastMoment(1 - this.leader));
    if (Math.abs(follower.currentTime - time) > 1e-3) follower.currentTime = time;
  }

  #lastMoment(side) {
    const { fps, frames } = this.clips[side];
    return frameMiddle(frames - 1, fps);
  }

  async #seekBoth(time) {
    const moments = this.videos.map((_, side) => Math.min(time, this.#lastMoment(side)));
    await Promise.all(this.videos.map((video, side) => seek(video, moments[side])));
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
    await this.#seekBoth(0);
    if (turn === this.turn) await this.#start(turn);
  }

  /** Steps by frames of the side with the higher rate, so that no frame of either is passed over. */
  async step(by) {
    if (this.clips.length === 0) return;
    this.pause();
    this.counts.steps += 1;
    this.wholePass = false;
    const turn = (this.turn += 1);
    const finer = this.clips[1].fps > this.clips[0].fps ? 1 : 0;
    const { fps } = this.clips[finer];
    const last = Math.ceil(this.duration * fps - 1e-6) - 1;
    const frame = Math.floor(this.time * fps + 1e-6) + by;
    const time = frameMiddle(Math.max(0, Math.min(last, frame)), fps);
    if (turn === this.turn) await this.#seekBoth(time);
  }

  setSpeed(speed) {
    this.speed = speed;
    this.counts.speeds += 1;
    for (const video of this.videos) video.playbackRate = speed;
    this.#tell("change");
  }

  setLoop(loop) {
    this.loop = loop;
    this.#tell("change");
  }

  #ended() {
    if (!this.playing || !this.videos.every((video) => video.ended)) return;
    if (this.wholePass) this.#markShown();
    this.counts.loops += 1;
    if (this.loop) this.#fromStart();
    else this.pause();
  }

  #stall(video) {
    const nearEnd = video.duration - video.currentTime < 0.1;
    if (!this.playing || this.stalled || video.ended || video.seeking || nearEnd) return;
    this.stalled = true;
    for (const each of this.videos) each.pause();
  }

  #recover() {
    if (!this.stalled || this.videos.some((video) => !video.ended && video.readyState < 3)) return;
    this.stalled = false;
    if (this.playing) this.#start(this.turn);
  }

  #watchFrames(video) {
    const side = this.videos.indexOf(video);
    const seen = (_, { mediaTime }) => {
      const clip = this.clips[side];
      if (clip) this.seen[side].add(frameAt(mediaTime + 0.5 / clip.fps, clip.fps, clip.frames));
      if (!this.wasShown && this.coverage.every((share) => share >= SHOWN)) this.#markShown();
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback?.(seen);
  }

  #markShown() {
    if (this.wasShown) return;
    this.wasShown = true;
    this.#tell("shown");
  }
}
