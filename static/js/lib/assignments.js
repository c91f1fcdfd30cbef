// The pairs that this tab holds: the one on screen and up to two fetched ahead, clips included.

const AHEAD = 2;
const HEARTBEAT = 60; // s
const MB = 2 ** 20;

/** Bytes of clips that may be held: less on phones, and half on slow or metered connections. */
export function budget({ mobile = false, saveData = false, effectiveType = "4g" } = {}) {
  const whole = (mobile ? 32 : 96) * MB;
  return saveData || effectiveType !== "4g" ? whole / 2 : whole;
}

/** The site answered, but not with the clip: it is not there. */
export class ClipMissing extends Error {
  constructor(status, side) {
    super(`The clip could not be fetched (${status}).`);
    Object.assign(this, { name: "ClipMissing", status, side });
  }
}

async function fetchClip(url, side) {
  // A log-in page in the place of a clip arrives as a redirect, which is not followed.
  const response = await fetch(url, { credentials: "same-origin", redirect: "manual" });
  if (!response.ok) throw new ClipMissing(response.status, side);
  const blob = await response.blob();
  return { url: URL.createObjectURL(blob), bytes: blob.size };
}

/** The clips whole: nothing stalls while a person compares. Tries once more before it gives up. */
async function fetchClips({ left, right }) {
  const sides = right ? [left, right] : [left];
  const clips = await Promise.allSettled(
    sides.map(({ url }, side) => fetchClip(url, side).catch(() => fetchClip(url, side))),
  );
  const failed = clips.find((clip) => clip.status === "rejected");
  const there = clips.filter((clip) => clip.status === "fulfilled").map((clip) => clip.value);
  if (!failed) return there;
  forget(there);
  throw failed.reason;
}

function forget(clips) {
  for (const { url } of clips) URL.revokeObjectURL(url);
}

/** An assignment of the API together with its clips as object URLs. */
export class Pair {
  constructor(assignment) {
    this.assignment = assignment;
    this.lease = assignment.lease;
    this.assignedAt = performance.now();
    this.bytes = 0;
    this.fetchMedia();
  }

  fetchMedia() {
    this.media = fetchClips(this.assignment);
    this.media.then(
      (clips) => (this.bytes = clips.reduce((sum, { bytes }) => sum + bytes, 0)),
      () => {}, // whoever shows the pair awaits it and sees the error
    );
  }

  dispose() {
    this.media.then(forget, () => {});
  }
}

/** Events: `lapsed` with the lease whose time ran out while its pair was on screen. */
export class Assignments extends EventTarget {
  /**
   * `isAnswered(lease)`: its vote waits in the outbox, so the site does not know yet;
   * `screenWidth()`: CSS pixels of one pane; `budget`: bytes of clips to hold.
   */
  constructor({ api, campaign, tab, isAnswered, leaseSeconds, screenWidth, budget: bytes }) {
    super();
    Object.assign(this, { api, campaign, tab, isAnswered, screenWidth, bytes });
    this.current = null;
    this.ahead = [];
    this.filling = null;
    this.heartbeat = setInterval(
      () => this.#renewAll(),
      Math.min(HEARTBEAT, leaseSeconds / 3) * 1000,
    );
  }

  /** The next pair, or the API's {empty, gate, reason, retry_after}. Throws ApiError. */
  async take() {
    this.#drop(this.current);
    this.current = null;
    await this.filling; // what is on its way would otherwise be asked for twice
    const ready = this.ahead.shift();
    if (ready) {
      this.current = ready;
      return ready;
    }
    return this.#ask();
  }

  #next(prefetch) {
    return this.api.next(this.campaign, this.tab, { prefetch, screenWidth: this.screenWidth() });
  }

  async #ask() {
    let answer = await this.#next(false);
    if (answer.lease && this.isAnswered(answer.lease)) answer = await this.#next(true);
    if (answer.empty) return answer;
    this.current = new Pair(answer);
    return this.current;
  }

  /** The same lease again with fresh addresses of its clips, for clips that did not come. */
  async sign(pair) {
    const answer = await this.#next(false);
    if (answer.lease === pair.lease) pair.assignment = answer;
    pair.fetchMedia();
  }

  /** Fetches up to two pairs ahead; says nothing when there are none or the site is away. */
  fill() {
    this.filling ??= this.#fill().finally(() => {
      this.filling = null;
    });
    return this.filling;
  }

  async #fill() {
    while (this.ahead.length < AHEAD && this.#hasRoom()) {
      let answer;
      try {
        answer = await this.#next(true);
      } catch {
        return; // the next take() asks again and reports what is wrong
      }
      if (answer.empty || this.#knows(answer.lease)) return;
      this.ahead.push(new Pair(answer));
    }
  }

  /** Would one more pair, as large as the largest here, stay within the budget? */
  #hasRoom() {
    const held = [this.current, ...this.ahead].filter(Boolean);
    const largest = Math.max(0, ...held.map(({ bytes }) => bytes));
    return (held.length + 1) * largest <= this.bytes;
  }

  #knows(lease) {
    const held = [this.current, ...this.ahead].some((pair) => pair?.lease === lease);
    return held || this.isAnswered(lease);
  }

  #drop(pair) {
    pair?.dispose();
  }

  async #renewAll() {
    if (document.visibilityState !== "visible") return;
    for (const pair of [this.current, ...this.ahead]) {
      if (pair) await this.#renew(pair);
    }
  }

  async #renew(pair) {
    try {
      await this.api.renew(pair.lease);
    } catch (error) {
      if (error.status !== 410) return; // no connection: the next heartbeat tries again
      if (pair === this.current) {
        this.dispatchEvent(new CustomEvent("lapsed", { detail: { lease: pair.lease } }));
      } else {
        this.ahead = this.ahead.filter((each) => each !== pair);
        this.#drop(pair);
      }
    }
  }

  /** Gives back what was fetched ahead, and the pair on screen too when `all`. */
  release({ all }) {
    const given = all && this.current ? [this.current, ...this.ahead] : this.ahead;
    for (const { lease } of given) {
      if (!this.isAnswered(lease)) this.api.release(lease).catch(() => {});
    }
    this.ahead = [];
    if (all) this.current = null;
  }

  stop() {
    clearInterval(this.heartbeat);
  }
}
