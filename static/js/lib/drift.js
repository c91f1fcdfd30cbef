// How a following clip is kept beside the leading one: both media clocks are compared on every
// drawn frame, small drifts are nudged away by the playback rate, large ones by a jump.

export const DEAD_BAND = 0.02; // s: within it the clips count as being in step
export const SEEK_BAND = 0.15; // s: beyond it a nudge would take too long, so the follower jumps
const MAX_NUDGE = 0.08; // share of the speed; more would show as a change of motion
const NUDGE_PER_SECOND = 2; // a drift of 40 ms is answered with 8 %
const MOST_SAMPLES = 20_000;
export const SPEEDS = [0.25, 0.5, 1, 1.5, 2];

/** What a correction did. */
export const Drift = { FOLLOWED: "followed", JUMPED: "jumped" };

/** Playback rate of the follower that is `drift` seconds ahead of the leader. */
export function followerRate(drift, speed) {
  if (Math.abs(drift) <= DEAD_BAND) return speed;
  const nudge = Math.max(-MAX_NUDGE, Math.min(MAX_NUDGE, drift * NUDGE_PER_SECOND));
  return speed * (1 - nudge);
}

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

export class DriftControl {
  constructor() {
    this.forget();
  }

  forget() {
    this.samples = []; // |drift| in seconds
  }

  /** `scale`: how much faster than the leader the follower is meant to run. */
  correct(leader, follower, { speed, scale }) {
    const drift = follower.currentTime - leader.currentTime * scale;
    if (this.samples.length < MOST_SAMPLES) this.samples.push(Math.abs(drift));
    if (Math.abs(drift) > SEEK_BAND) {
      follower.currentTime = leader.currentTime * scale;
      return Drift.JUMPED;
    }
    const rate = followerRate(drift, speed * scale);
    if (follower.playbackRate !== rate) follower.playbackRate = rate;
    return Drift.FOLLOWED;
  }
}
