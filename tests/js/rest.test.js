import assert from "node:assert/strict";
import { test } from "node:test";

import { Rest, trend } from "../../static/js/lib/rest.js";

const MINUTE = 60_000;
const LIMITS = { suggest_after_ms: 25 * MINUTE, require_after_ms: 90 * MINUTE };

function start() {
  const disk = new Map();
  const clock = { now: 1_700_000_000_000 };
  const kept = { get: (name) => disk.get(name) ?? null, set: (name, value) => disk.set(name, structuredClone(value)) };
  const open = () => Object.assign(new Rest({ kept, now: () => clock.now }), { limits: LIMITS });
  const work = (rest, votes, each) => {
    for (let n = 0; n < votes; n += 1) {
      clock.now += each;
      rest.worked(each);
    }
  };
  return { clock, open, work };
}

test("a rest is suggested after the active time, or after sixty votes", () => {
  const { open, work } = start();
  const slow = open();
  work(slow, 24, MINUTE);
  assert.equal(slow.due, null);
  work(slow, 1, MINUTE);
  assert.equal(slow.due, "suggested");
  slow.passedOn();
  assert.equal(slow.due, null);
  work(slow, 25, MINUTE);
  assert.equal(slow.due, "suggested");

  const quick = start();
  const rest = quick.open();
  quick.work(rest, 60, 5000);
  assert.equal(rest.due, "suggested");
});

test("after ninety minutes a rest is required, and a new page goes on with it", () => {
  const { clock, open, work } = start();
  const rest = open();
  for (let part = 0; part < 4; part += 1) {
    work(rest, 23, MINUTE);
    if (part < 3) rest.passedOn();
  }
  assert.equal(rest.due, "required");
  rest.begin();
  clock.now += 2 * MINUTE;
  const again = open();
  assert.equal(again.due, "required");
  assert.equal(again.left, 3 * MINUTE);
  again.begin(); // asked again, it does not start anew
  assert.equal(again.left, 3 * MINUTE);
  clock.now += 3 * MINUTE;
  again.taken();
  assert.equal(again.due, null);
});

test("who was away for five minutes has rested", () => {
  const { clock, open, work } = start();
  const rest = open();
  work(rest, 24, MINUTE);
  clock.now += 6 * MINUTE;
  work(rest, 2, MINUTE);
  assert.equal(rest.due, null);
});

test("the trend is the median of equal stretches, and says nothing of a few votes", () => {
  const speeds = Array.from({ length: 20 }, (_, n) => [0, n < 10 ? 8000 : 4000]);
  assert.deepEqual(trend(speeds, 2), [8000, 4000]);
  assert.deepEqual(trend(speeds.slice(0, 9)), []);
});
