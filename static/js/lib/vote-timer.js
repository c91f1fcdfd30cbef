// How a vote came about: times since the pair was shown, in ms, on the monotonic clock.

const IDLE_AFTER = 30_000; // ms without a sign of life stop the active time

export class VoteTimer {
  constructor({ now = () => performance.now() } = {}) {
    this.now = now;
    this.start();
  }

  start() {
    this.shownAt = this.now();
    this.active = 0;
    this.hidden = 0;
    this.lastSeen = this.shownAt;
    this.visible = true;
    this.firstPlay = null;
    this.answers = [];
    this.inputs = new Set();
  }

  #elapsed() {
    return Math.round(this.now() - this.shownAt);
  }

  /** Something happened: the time since the last sign counts as active, up to the idle limit. */
  touch(input = null) {
    const now = this.now();
    const passed = now - this.lastSeen;
    if (this.visible) this.active += Math.min(passed, IDLE_AFTER);
    else this.hidden += passed;
    this.lastSeen = now;
    if (input) this.inputs.add(input);
  }

  setVisible(visible) {
    this.touch();
    this.visible = visible;
  }

  played() {
    this.firstPlay ??= this.#elapsed();
  }

  answered({ key, before, after }) {
    if (this.answers.length < 200) this.answers.push([this.#elapsed(), key, before, after]);
  }

  /** What goes along with the vote. */
  report(playback, screen) {
    this.touch();
    const [left, right] = playback.coverage;
    return {
      total_ms: this.#elapsed(),
      active_ms: Math.round(this.active),
      hidden_ms: Math.round(this.hidden),
      first_play_ms: this.firstPlay,
      answers: this.answers,
      inputs: [...this.inputs].sort(),
      coverage: { left: Number(left.toFixed(3)), right: Number(right.toFixed(3)) },
      playback: { ...playback.counts },
      screen,
    };
  }
}
