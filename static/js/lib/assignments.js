// The pairs that this tab holds: the one on screen and up to two fetched ahead, clips included.

const AHEAD = 2;
const HEARTBEAT = 60; // s

async function fetchClip(url) {
  // A log-in page in the place of a clip arrives as a redirect, which is not followed.
  const response = await fetch(url, { credentials: "same-origin", redirect: "manual" });
  if (!response.ok) throw new Error(`The clip could not be fetched (${response.status}).`);
  return URL.createObjectURL(await response.blob());
}

/** Both clips whole: nothing stalls while a person compares. Tries once more before it gives up. */
async function fetchClips(assignment) {
  const sides = [assignment.left, assignment.right];
  const clips = await Promise.allSettled(
    sides.map(({ url }) => fetchClip(url).catch(() => fetchClip(url))),
  );
  const failed = clips.find((clip) => clip.status === "rejected");
  if (!failed) return clips.map((clip) => clip.value);
  forget(clips.filter((clip) => clip.status === "fulfilled").map((clip) => clip.value));
  throw failed.reason;
}

function forget(urls) {
  for (const url of urls) URL.revokeObjectURL(url);
}

/** An assignment of the API together with its clips as object URLs. */
export class Pair {
  constructor(assignment) {
    this.assignment = assignment;
    this.lease = assignment.lease;
    this.fetchMedia();
  }

  fetchMedia() {
    this.media = fetchClips(this.assignment);
    this.media.catch(() => {}); // whoever shows the pair awaits it and sees the error
  }

  dispose() {
    this.media.then(forget, () => {});
  }
}

/** Events: `lapsed` with the lease whose time ran out while its pair was on screen. */
export class Assignments extends EventTarget {
  /** `isAnswered(lease)`: its vote waits in the outbox, so the site does not know yet. */
  constructor({ api, campaign, tab, isAnswered, leaseSeconds }) {
    super();
    Object.assign(this, { api, campaign, tab, isAnswered });
    this.current = null;
    this.ahead = [];
    this.filling = null;
    this.heartbeat = setInterval(
      () => this.#renewAll(),
      Math.min(HEARTBEAT, leaseSeconds / 3) * 1000,
    );
  }

  /** The next pair, or the API's {empty, reason, retry_after}. Throws ApiError. */
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

  async #ask() {
    let answer = await this.api.next(this.campaign, this.tab);
    if (answer.lease && this.isAnswered(answer.lease)) {
      answer = await this.api.next(this.campaign, this.tab, { prefetch: true });
    }
    if (answer.empty) return answer;
    this.current = new Pair(answer);
    return this.current;
  }

  /** The same lease again with fresh addresses of its clips, for clips that did not come. */
  async sign(pair) {
    const answer = await this.api.next(this.campaign, this.tab);
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
    while (this.ahead.length < AHEAD) {
      let answer;
      try {
        answer = await this.api.next(this.campaign, this.tab, { prefetch: true });
      } catch {
        return; // the next take() asks again and reports what is wrong
      }
      if (answer.empty || this.#knows(answer.lease)) return;
      this.ahead.push(new Pair(answer));
    }
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
