// What a person did and the site has not confirmed yet. It lives in IndexedDB, so that a reload,
// a crash or a lost connection loses nothing, and it is sent under a key that makes twice be once.

const FIRST_WAIT = 1; // s
const LONGEST_WAIT = 60; // s

/** Seconds to wait before attempt number `attempt` + 1; a server's own wish goes first. */
export function waitBefore(attempt, { retryAfter = null, random = Math.random } = {}) {
  if (retryAfter !== null) return Math.min(LONGEST_WAIT, Math.max(0, retryAfter));
  const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.max(0, attempt - 1));
  return wait * (0.75 + 0.5 * random()); // many browsers must not come back in the same second
}

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The entries on disk. An entry: see entries.js, with its user and times. */
export class OutboxStore {
  static async open(name = "tiebreak") {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("outbox", { keyPath: "key" });
    return new OutboxStore(await done(request));
  }

  constructor(database) {
    this.database = database;
  }

  async #write(act) {
    // "strict" asks the browser to flush before it reports success.
    const transaction = this.database.transaction("outbox", "readwrite", { durability: "strict" });
    act(transaction.objectStore("outbox"));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  put(entry) {
    return this.#write((store) => store.put(entry));
  }

  remove(key) {
    return this.#write((store) => store.delete(key));
  }

  /** One person's entries, oldest first: another person at this browser never sends them. */
  async of(user) {
    const store = this.database.transaction("outbox").objectStore("outbox");
    const entries = await done(store.getAll());
    return entries.filter((entry) => entry.user === user).sort((x, y) => x.made - y.made);
  }
}

/**
 * Sends the entries in order. Events: `change` (see `state`), `sent` with {entry, answer}.
 * `state`: {waiting, problems, needsLogin, retryAt, oldest}. A refused entry becomes a problem and
 * stays until the person sends it again or throws it away.
 */
export class Outbox extends EventTarget {
  constructor({ store, api, user, now = Date.now }) {
    super();
    Object.assign(this, { store, api, user, now });
    this.entries = [];
    this.needsLogin = false;
    this.retryAt = null;
    this.timer = null;
    this.sending = null;
  }

  get state() {
    const problems = this.entries.filter((entry) => entry.problem);
    return {
      waiting: this.entries.length - problems.length,
      problems,
      needsLogin: this.needsLogin,
      retryAt: this.retryAt,
      oldest: this.entries[0]?.made ?? null,
    };
  }

  /** Is there an entry that ends this lease: a vote, a skip, a report of the clip? */
  has(lease) {
    return this.entries.some((entry) => entry.lease === lease || entry.key === lease);
  }

  async open() {
    this.entries = await this.store.of(this.user);
    this.#tell();
    this.flush();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  /** Returns once the entry is on disk; sending goes on behind. */
  async add(entry) {
    const whole = { ...entry, user: this.user, made: this.now(), attempts: 0, problem: null };
    await this.store.put(whole);
    this.entries.push(whole);
    this.#tell();
    this.flush();
  }

  async discard(key) {
    await this.store.remove(key);
    this.entries = this.entries.filter((entry) => entry.key !== key);
    this.#tell();
  }

  /** Sends everything again now, the refused entries too. */
  async retry() {
    this.needsLogin = false;
    for (const entry of this.entries) entry.problem = null;
    this.#tell();
    await this.flush();
  }

  /** Sends what waits; calls that come while it is sending join the one under way. */
  flush() {
    clearTimeout(this.timer);
    this.retryAt = null;
    this.sending ??= this.#sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async #sendAll() {
    for (;;) {
      const entry = this.entries.find((each) => !each.problem);
      if (!entry || this.needsLogin) return;
      if (!(await this.#send(entry))) return;
    }
  }

  /** True when the next entry may follow at once. */
  async #send(entry) {
    entry.attempts += 1;
    await this.store.put(entry); // an entry that was ever tried may have arrived
    try {
      const { method, path, headers, body } = entry;
      const answer = await this.api.call(method, path, { headers, body });
      await this.discard(entry.key);
      this.dispatchEvent(new CustomEvent("sent", { detail: { entry, answer } }));
      return true;
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      return this.#refused(entry, error);
    }
  }

  async #refused(entry, error) {
    if (error.needsLogin) {
      this.needsLogin = true;
      this.#tell();
      return false;
    }
    if (error.isPassing) {
      this.#again(waitBefore(entry.attempts, { retryAfter: error.retryAfter }));
      return false;
    }
    entry.problem = { status: error.status, code: error.code, message: error.message };
    await this.store.put(entry);
    this.#tell();
    return true;
  }

  #again(seconds) {
    this.retryAt = this.now() + seconds * 1000;
    this.timer = setTimeout(() => this.flush(), seconds * 1000);
    this.#tell();
  }
}
