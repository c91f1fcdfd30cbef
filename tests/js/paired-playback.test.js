import assert from "node:assert/strict";
import { test } from "node:test";

import { frameAt, frameMiddle } from "../../static/js/lib/clip-frames.js";
import { DEAD_BAND, Drift, DriftControl, followerRate, neighbourSpeed, p95 } from "../../static/js/lib/drift.js";

test("inside the dead band the follower keeps the speed", () => {
  assert.equal(followerRate(DEAD_BAND, 1), 1);
  assert.equal(followerRate(-DEAD_BAND, 0.5), 0.5);
});

test("a follower that is ahead slows down, one that is behind speeds up", () => {
  assert.ok(followerRate(0.03, 1) < 1);
  assert.ok(followerRate(-0.03, 1) > 1);
});

test("no nudge is stronger than 8 %", () => {
  assert.equal(followerRate(0.14, 1), 0.92);
  assert.equal(followerRate(-0.14, 2), 2.16);
});

test("the middle of every frame lies in that frame, at any rate", () => {
  for (const fps of [8, 16, 23.976, 24, 29.97, 30, 60]) {
    for (let frame = 0; frame < 200; frame += 1) {
      assert.equal(frameAt(frameMiddle(frame, fps), fps, 200), frame);
      assert.equal(frameAt(frame / fps, fps, 200), frame);
    }
  }
});

test("frame numbers stay inside the clip", () => {
  assert.equal(frameAt(-0.1, 24, 10), 0);
  assert.equal(frameAt(99, 24, 10), 9);
});

test("p95 is the value that 95 % do not exceed", () => {
  assert.equal(p95([]), null);
  assert.equal(p95([7]), 7);
  assert.equal(p95(Array.from({ length: 100 }, (_, n) => n)), 95);
});

test("speeds stop at both ends", () => {
  assert.equal(neighbourSpeed(1, 1), 1.5);
  assert.equal(neighbourSpeed(0.25, -1), 0.25);
  assert.equal(neighbourSpeed(2, 1), 2);
});

test("a large drift is jumped over, and a stretched follower is compared in its own time", () => {
  const control = new DriftControl();
  const leader = { currentTime: 2 };
  const follower = { currentTime: 1.5, playbackRate: 1 };
  assert.equal(control.correct(leader, follower, { speed: 1, scale: 1 }), Drift.JUMPED);
  assert.equal(follower.currentTime, 2);
  follower.currentTime = 1;
  assert.equal(control.correct(leader, follower, { speed: 1, scale: 0.5 }), Drift.FOLLOWED);
  assert.equal(follower.playbackRate, 0.5);
  assert.deepEqual(control.samples, [0.5, 0]);
});
