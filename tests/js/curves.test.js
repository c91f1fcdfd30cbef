import assert from "node:assert/strict";
import { test } from "node:test";

import { Series, brief, nearest, smoothed, ticks } from "../../static/js/lib/curves.js";

test("no smoothing gives the points back, and a constant stays what it is", () => {
  assert.deepEqual(smoothed([[1, 2], [2, 4]], 0), [[1, 2], [2, 4]]);
  const flat = smoothed([[1, 3], [2, 3], [3, 3]], 0.9);
  for (const [, y] of flat) assert.ok(Math.abs(y - 3) < 1e-12);
});

test("smoothing takes the bias of the start out", () => {
  // 0.5: means 2/1, (2*0.25 + 4*0.5) / 0.75
  const [first, second] = smoothed([[1, 2], [2, 4]], 0.5);
  assert.equal(first[1], 2);
  assert.ok(Math.abs(second[1] - 2.5 / 0.75) < 1e-12);
});

test("ticks are round numbers within the range", () => {
  assert.deepEqual(ticks(0.1, 0.95), [0.5]);
  assert.deepEqual(ticks(0, 3), [0, 1, 2, 3]);
  assert.deepEqual(ticks(5, 5), [5]);
});

test("numbers stay short", () => {
  assert.deepEqual([0, 0.69314718, 25000, 2e-4, -3].map(brief), ["0", "0.6931", "25k", "2.0e-4", "-3"]);
});

test("the nearest point is found", () => {
  const points = [[0, 1], [10, 2], [20, 3]];
  assert.deepEqual(nearest(points, 14), [10, 2]);
  assert.deepEqual(nearest(points, 16), [20, 3]);
  assert.deepEqual(nearest(points, -5), [0, 1]);
});

test("a step that comes again replaces what was there", () => {
  const series = new Series();
  for (const [step, value] of [[1, 1], [2, 2], [3, 3], [2, 9]]) series.add(step, value);
  assert.deepEqual(series.points, [[1, 1], [2, 9], [3, 3]]);
  assert.deepEqual(series.last, [3, 3]);
});
