import assert from "node:assert/strict";
import { test } from "node:test";

import { bandPath, linePath, rangeOf } from "../../static/js/lib/chart.js";

const same = ([x, y]) => [x, y];

test("the range holds curves, intervals and the level they are compared with", () => {
  const [low, high] = rangeOf([{ points: [[0, 1, 0.5, 2], [1, 3]] }], 0);
  assert.ok(Math.abs(low - (0 - 0.18)) < 1e-9);
  assert.ok(Math.abs(high - (3 + 0.18)) < 1e-9);
});

test("a range of one value, or of none, can be drawn", () => {
  assert.deepEqual(rangeOf([{ points: [] }]), [0, 1]);
  const [low, high] = rangeOf([{ points: [[0, 2]] }]);
  assert.ok(low < 2 && high > 2);
});

test("a band goes up along the highs and back along the lows", () => {
  const points = [[0, 1, 0, 2], [10, 2, 1, 3]];
  assert.equal(bandPath(points, same), "M0.0 2.0L10.0 3.0L10.0 1.0L0.0 0.0Z");
});

test("points without an interval make no band", () => {
  assert.equal(bandPath([[0, 1, null, null], [1, 2, 1, 3]], same), "");
});

test("a line begins with a move", () => {
  assert.equal(linePath([[0, 0], [1, 2]]), "M0.0 0.0L1.0 2.0");
});
