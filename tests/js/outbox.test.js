import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../static/js/lib/api.js";
import { Outbox, waitBefore } from "../../static/js/lib/outbox.js";

class MemoryStore {
  constructor() {
    this.rows = new Map();
  }

  async put(entry) {
    this.rows.set(entry.key, structuredClone(entry));
  }

  async remove(key) {
    this.rows.delete(key);
  }

  async of(user) {
    return structuredClone([...this.rows.values()].filter((entry) => entry.user === user));
  }
}

/** Answers with the given results in turn: an ApiError is thrown, anything else returned. */
function apiOf(...results) {
  const calls = [];
  return {
    calls,
    async call(method, path, request) {
      calls.push({ method, path, ...request });
      const result = results.shift();
      if (result instanceof ApiError) throw result;
      return result;
    },
  };
}

const vote = (key) => ({
  key, method: "POST", path: "/api/votes", headers: { "Idempotency-Key": key }, body: { lease: key }, title: key,
});

test("an entry is on disk before it is sent, and gone once the site has it", async () => {
  const store = new MemoryStore();
  const api = apiOf({ state: "counted" });
  const outbox = new Outbox({ store, api, user: 1 });
  await outbox.add(vote("a"));
  assert.equal(store.rows.size, 1);
  await outbox.flush();
  assert.equal(store.rows.size, 0);
  assert.equal(api.calls.length, 1);
  assert.equal(api.calls[0].headers["Idempotency-Key"], "a");
});

test("without an answer the entry stays and is sent again under the same key", async () => {
  const store = new MemoryStore();
  const api = apiOf(new ApiError("away"), { state: "counted" });
  const outbox = new Outbox({ store, api, user: 1 });
  await outbox.add(vote("a"));
  await outbox.flush();
  assert.equal(outbox.state.waiting, 1);
  assert.ok(outbox.state.retryAt);
  await outbox.flush();
  assert.equal(outbox.state.waiting, 0);
  assert.deepEqual(api.calls.map((call) => call.headers["Idempotency-Key"]), ["a", "a"]);
});

test("another page finds what the first could not send", async () => {
  const store = new MemoryStore();
  const first = new Outbox({ store, api: apiOf(new ApiError("away")), user: 1 });
  await first.add(vote("a"));
  await first.flush();
  clearTimeout(first.timer);
  const api = apiOf({ state: "counted" });
  const second = new Outbox({ store, api, user: 1 });
  await second.open();
  await second.flush();
  assert.equal(api.calls.length, 1);
  assert.equal(store.rows.size, 0);
});

test("another person at the same browser never sends it", async () => {
  const store = new MemoryStore();
  const mine = new Outbox({ store, api: apiOf(new ApiError("away")), user: 1 });
  await mine.add(vote("a"));
  await mine.flush();
  clearTimeout(mine.timer);
  const api = apiOf();
  const other = new Outbox({ store, api, user: 2 });
  await other.open();
  await other.flush();
  assert.equal(api.calls.length, 0);
  assert.equal(store.rows.size, 1);
});

test("a refused entry is kept as a problem and does not hold up the others", async () => {
  const store = new MemoryStore();
  const refusal = new ApiError("other clips", { status: 422, code: "bad_vote" });
  const outbox = new Outbox({ store, api: apiOf(refusal, { state: "counted" }), user: 1 });
  await outbox.add(vote("a"));
  await outbox.add(vote("b"));
  await outbox.flush();
  assert.deepEqual(outbox.state.problems.map((entry) => entry.key), ["a"]);
  assert.equal(outbox.state.problems[0].problem.message, "other clips");
  assert.deepEqual([...store.rows.keys()], ["a"]);
});

test("an ended log-in keeps everything and sends nothing more", async () => {
  const store = new MemoryStore();
  const api = apiOf(new ApiError("log in", { status: 401 }));
  const outbox = new Outbox({ store, api, user: 1 });
  await outbox.add(vote("a"));
  await outbox.add(vote("b"));
  await outbox.flush();
  assert.equal(outbox.state.needsLogin, true);
  assert.equal(api.calls.length, 1);
  assert.equal(store.rows.size, 2);
});

test("waits double up to a minute, and the wish of the site goes first", () => {
  const even = { random: () => 0.5 };
  assert.deepEqual([1, 2, 3, 4, 7, 20].map((n) => waitBefore(n, even)), [1, 2, 4, 8, 60, 60]);
  assert.equal(waitBefore(1, { retryAfter: 17 }), 17);
  assert.ok(waitBefore(3, { random: () => 0 }) < waitBefore(3, { random: () => 1 }));
});
