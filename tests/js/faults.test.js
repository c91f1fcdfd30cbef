import assert from "node:assert/strict";
import { test } from "node:test";

import { Faults } from "../../static/js/annotate/faults.js";
import { ClipMissing } from "../../static/js/lib/assignments.js";
import { Unplayable } from "../../static/js/lib/clip-frames.js";

const videos = (answer) => [{ canPlayType: () => answer }, { canPlayType: () => answer }];

test("a clip that is gone is the clip's fault, and says which one", () => {
  const { isOfClip, side } = new Faults().judge(new ClipMissing(404, 1), videos("probably"));
  assert.deepEqual([isOfClip, side], [true, 1]);
});

test("a site that is busy, and a connection that broke, blame no clip", () => {
  const faults = new Faults();
  assert.equal(faults.judge(new ClipMissing(503, 0), videos("probably")).isOfClip, false);
  assert.equal(faults.judge(new TypeError("network"), videos("probably")).isOfClip, false);
});

test("what does not play is the clip's fault only where the browser plays such clips at all", () => {
  const good = videos("probably");
  assert.equal(new Faults().judge(new Unplayable(good[1]), good).isOfClip, true);
  assert.equal(new Faults().judge(new Unplayable(good[1]), good).side, 1);
  const bad = videos("");
  const { isOfClip, text } = new Faults().judge(new Unplayable(bad[0]), bad);
  assert.equal(isOfClip, false);
  assert.match(text, /another browser/);
});

test("after two in a row the page suspects itself, until a pair plays", () => {
  const faults = new Faults();
  const next = () => faults.judge(new ClipMissing(404, 0), videos("probably")).isOfClip;
  assert.deepEqual([next(), next(), next()], [true, true, false]);
  faults.played();
  assert.equal(next(), true);
});
