import assert from "node:assert/strict";
import { test } from "node:test";

import { edgeOf, magnified, pixelFactor, withinEdges } from "../../static/js/lib/zoom.js";

const pane = { width: 600, height: 340 };

test("a clip larger than its pane is shown pixel for pixel", () => {
  assert.equal(pixelFactor({ width: 1280, height: 720 }, pane, 1), 1);
  assert.deepEqual(magnified({ width: 1280, height: 720 }, 1, 2), { width: 640, height: 360 });
});

test("a small clip is enlarged by the least whole number that shows more than the whole of it", () => {
  assert.equal(pixelFactor({ width: 64, height: 64 }, pane, 1), 6); // 340 / 64 = 5.3
  assert.equal(pixelFactor({ width: 256, height: 256 }, pane, 2), 3); // 2 * 340 / 256 = 2.7
});

test("no edge of a picture comes into its pane", () => {
  assert.equal(withinEdges(0.1, 1200, 600), 0.25);
  assert.equal(withinEdges(0.9, 1200, 600), 0.75);
  assert.equal(withinEdges(0.9, 500, 600), 0.5);
  assert.equal(edgeOf(0.75, 1200, 600), -600);
  assert.equal(edgeOf(0.5, 500, 600), 50);
});
