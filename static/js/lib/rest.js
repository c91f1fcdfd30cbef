// When a person should rest. Times in ms; the state lives in the browser, so that it survives a
// reload. A pair is never interrupted: the page asks `due` between two pairs.

export const SUGGESTED_REST = 2 * 60_000;
export const REQUIRED_REST = 5 * 60_000;
const SUGGEST_AFTER_VOTES = 60;
const AWAY = REQUIRED_REST; // who was away that long has rested
const MOST_SPEEDS = 400;
const FRESH = { active: 0, votes: 0, since: 0, sinceVotes: 0, until: null, seen: null };

/** `kept`: {get(name), set(name, value)}. */
export class Rest {
  constructor({ kept, now = Date.now }) {
    Object.assign(this, { kept, now });
    this.limits = { suggest_after_ms: 0, require_after_ms: 0 };
    this.state = { ...FRESH, ...kept.get("rest") };
    this.speeds = kept.get("speeds") ?? [];
  }

  #change(values) {
    this.state = { ...this.state, ...values };
    this.kept.set("rest", this.state);
  }

  /** A vote was given that took `active` ms. */
  worked(active) {
    const now = this.now();
    const away = this.state.seen !== null && now - this.state.seen - active > AWAY;
    const { votes, since, sinceVotes } = away ? FRESH : this.state;
    const before = away ? 0 : this.state.active;
    this.#change({
      active: before + active, votes: votes + 1, since: since + active, sinceVotes: sinceVotes + 1, seen: now,
    });
    const today = new Date(now).toDateString();
    this.speeds = [...this.speeds.filter(([at]) => new Date(at).toDateString() === today), [now, active]];
    this.speeds = this.speeds.slice(-MOST_SPEEDS);
    this.kept.set("speeds", this.speeds);
  }

  /** "required", "suggested" or null. */
  get due() {
    const { active, since, sinceVotes, until, seen } = this.state;
    const now = this.now();
    if (until !== null && now < until) return "required";
    if (seen !== null && now - seen > AWAY) return null;
    const { suggest_after_ms: suggest, require_after_ms: require } = this.limits;
    if (require > 0 && active >= require) return "required";
    if (suggest > 0 && (since >= suggest || sinceVotes >= SUGGEST_AFTER_VOTES)) return "suggested";
    return null;
  }

  /** Starts a required rest, or goes on with one that a reload interrupted. */
  begin() {
    if (this.state.until === null || this.state.until <= this.now()) {
      this.#change({ until: this.now() + REQUIRED_REST });
    }
  }

  get left() {
    return Math.max(0, (this.state.until ?? 0) - this.now());
  }

  /** After a required rest, or a suggested one that was taken, everything starts anew. */
  taken() {
    this.#change(FRESH);
  }

  /** A suggestion that was passed on comes again after the same while. */
  passedOn() {
    this.#change({ since: 0, sinceVotes: 0 });
  }
}

const median = (values) => {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)];
};

/** Median ms per vote in up to `parts` equal stretches of the day, oldest first; [] when too few. */
export function trend(speeds, parts = 6, least = 5) {
  const count = Math.min(parts, Math.floor(speeds.length / least));
  if (count < 2) return [];
  const size = speeds.length / count;
  return Array.from({ length: count }, (_, part) =>
    median(speeds.slice(Math.round(part * size), Math.round((part + 1) * size)).map(([, ms]) => ms)),
  );
}
