import assert from "node:assert/strict";
import { test } from "node:test";

import { placed, walked } from "../../static/js/lib/tips.js";

test("arrows, Home and End walk over the marks and stop at the ends", () => {
  assert.equal(walked("ArrowRight", 0, 3), 1);
  assert.equal(walked("ArrowDown", 2, 3), 2);
  assert.equal(walked("ArrowLeft", 0, 3), 0);
  assert.equal(walked("ArrowUp", 2, 3), 1);
  assert.equal(walked("Home", 2, 3), 0);
  assert.equal(walked("End", 0, 3), 2);
});

test("other keys are left to the page", () => {
  for (const key of ["Tab", "Enter", "a", "PageDown"]) assert.equal(walked(key, 1, 3), null);
});

const view = { width: 400, height: 300 };
const tip = { width: 100, height: 20 };

test("a tip stands above its mark, in its middle", () => {
  const mark = { left: 190, width: 20, top: 100, bottom: 110 };
  assert.deepEqual(placed(mark, tip, view), { left: 150, top: 72 });
});

test("a tip never leaves the window", () => {
  const corner = { left: 0, width: 10, top: 5, bottom: 15 };
  assert.deepEqual(placed(corner, tip, view), { left: 8, top: 23 }); // below: no room above
  const right = { left: 390, width: 10, top: 100, bottom: 110 };
  assert.equal(placed(right, tip, view).left, 292);
  const tall = { left: 100, width: 10, top: 5, bottom: 295 };
  assert.equal(placed(tall, tip, view).top, 280);
});
