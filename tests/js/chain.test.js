import assert from "node:assert/strict";
import { test } from "node:test";

import { shownOf } from "../../static/js/lib/chain.js";

const run = (state, step = 0, total = 0) => ({ state, step, total });

test("one run shows its state and how far it is", () => {
  assert.deepEqual(shownOf([run("running", 1, 4)]), { state: "running", words: "25%", share: 0.25 });
  assert.deepEqual(shownOf([run("queued")]), { state: "queued", words: "", share: 0 });
  assert.equal(shownOf([run("succeeded", 3, 4)]).share, 1);
});

test("several runs show the loudest state and how many are done", () => {
  const shown = shownOf([run("succeeded"), run("queued"), run("failed"), run("succeeded")]);
  assert.deepEqual(shown, { state: "failed", words: "2 of 4 done", share: 0.5 });
});
