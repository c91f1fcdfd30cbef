import assert from "node:assert/strict";
import { test } from "node:test";

import { VoteTimer } from "../../static/js/lib/vote-timer.js";

const playback = { coverage: [1, 0.5], counts: { plays: 1 }, watches: [1, 0] };

function timed(act) {
  const clock = { now: 1000 };
  const timer = new VoteTimer({ now: () => clock.now });
  const pass = (ms) => {
    clock.now += ms;
  };
  act(timer, pass);
  return timer.report(playback, { pixels: 2 });
}

test("only time that was seen, in focus and not idle counts as active", () => {
  const report = timed((timer, pass) => {
    timer.start({ assignedAt: 400 });
    pass(2000);
    timer.touch("key"); // 2 s
    pass(100_000);
    timer.touch("key"); // 30 s of it
    timer.setVisible(false);
    pass(7000);
    timer.setVisible(true);
    timer.setFocused(false);
    pass(5000);
    timer.setFocused(true);
    pass(1000);
  });
  assert.equal(report.active_ms, 33_000);
  assert.equal(report.hidden_ms, 7000);
  assert.equal(report.total_ms, 115_000);
  assert.equal(report.assigned_before_ms, 600);
});

test("the first of everything is kept, and every answer with what it replaced", () => {
  const report = timed((timer, pass) => {
    pass(50);
    timer.ready();
    timer.played();
    pass(50);
    timer.played();
    timer.answered({ key: "VQ", before: null, after: "left" });
    pass(50);
    timer.answered({ key: "VQ", before: "left", after: "tie" });
  });
  assert.deepEqual([report.ready_ms, report.first_play_ms, report.submit_ms], [50, 50, 150]);
  assert.deepEqual(report.answers, [[100, "VQ", null, "left"], [150, "VQ", "left", "tie"]]);
  assert.deepEqual(report.watches, { left: 1, right: 0 });
  assert.equal(report.pixels, 2);
});

test("a single clip has no right side to cover", () => {
  const timer = new VoteTimer({ now: () => 0 });
  const single = { coverage: [0.9], counts: {}, watches: [1, 0] };
  assert.deepEqual(timer.report(single, {}).coverage, { left: 0.9, right: 0 });
});
