// How a vote came about: times since the pair was shown, in ms, on the monotonic clock.

const IDLE_AFTER = 30_000; // ms without a sign of life stop the active time
const MOST_ANSWERS = 200;

export class VoteTimer {
  constructor({ now = () => performance.now() } = {}) {
    this.now = now;
    this.visible = true;
    this.focused = true;
    this.start();
  }

  /** `assignedAt`: when the site gave the pair out, on the same clock. */
  start({ assignedAt = null } = {}) {
    this.shownAt = this.now();
    this.assignedAt = assignedAt;
    this.active = 0;
    this.hidden = 0;
    this.lastSeen = this.shownAt;
    this.readyAt = null;
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
    if (!this.visible) this.hidden += passed;
    else if (this.focused) this.active += Math.min(passed, IDLE_AFTER);
    this.lastSeen = now;
    if (input) this.inputs.add(input);
  }

  setVisible(visible) {
    this.touch();
    this.visible = visible;
  }

  setFocused(focused) {
    this.touch();
    this.focused = focused;
  }

  /** Both clips showed their first frame. */
  ready() {
    this.readyAt ??= this.#elapsed();
  }

  played() {
    this.firstPlay ??= this.#elapsed();
  }

  answered({ key, before, after }) {
    if (this.answers.length < MOST_ANSWERS) this.answers.push([this.#elapsed(), key, before, after]);
  }

  /** What goes along with the vote; `more`: what only the stage knows. */
  report(playback, more) {
    this.touch();
    const [left, right = 0] = playback.coverage;
    const ahead = this.assignedAt === null ? null : Math.round(this.shownAt - this.assignedAt);
    return {
      total_ms: this.#elapsed(),
      active_ms: Math.round(this.active),
      hidden_ms: Math.round(this.hidden),
      assigned_before_ms: ahead,
      ready_ms: this.readyAt,
      first_play_ms: this.firstPlay,
      submit_ms: this.#elapsed(),
      answers: this.answers,
      inputs: [...this.inputs].sort(),
      coverage: { left: Number(left.toFixed(3)), right: Number(right.toFixed(3)) },
      playback: { ...playback.counts },
      watches: { left: playback.watches[0], right: playback.watches[1] },
      ...more,
    };
  }
}
