import assert from "node:assert/strict";
import { test } from "node:test";

import { budget } from "../../static/js/lib/assignments.js";
import { endsPair, flagEntry, voteEntry } from "../../static/js/lib/entries.js";
import { ApiError } from "../../static/js/lib/api.js";
import { interpolate, ngettext } from "../../static/js/lib/i18n.js";

const MB = 2 ** 20;
const pair = {
  lease: "l1",
  assignment: { left: { id: "a" }, right: null, guideline: 3, prompt: { text: "x".repeat(80) } },
};

test("phones hold less ahead, and slow or metered connections half of it", () => {
  assert.equal(budget(), 96 * MB);
  assert.equal(budget({ mobile: true }), 32 * MB);
  assert.equal(budget({ effectiveType: "3g" }), 48 * MB);
  assert.equal(budget({ mobile: true, saveData: true }), 16 * MB);
});

test("a vote on a single clip names no right clip, and carries remark and guideline", () => {
  const { body, title } = voteEntry(pair, { judgements: {}, timing: {}, remark: "odd" });
  assert.equal(body.right_video, null);
  assert.deepEqual([body.remark, body.guideline], ["odd", 3]);
  assert.equal(title.length, 60);
});

test("only a report that takes the clip away ends the pair", () => {
  assert.deepEqual(["disturbing", "broken", "recognised", "other"].map(endsPair), [true, true, false, false]);
  assert.equal(flagEntry(pair, { kind: "broken", side: "left", note: "" }).lease, "l1");
  assert.equal(flagEntry(pair, { kind: "other", side: "", note: "" }).lease, null);
});

test("texts fill their places, and without a catalogue they stay English", () => {
  assert.equal(interpolate("%(a)s of %(b)s", { a: 1, b: 2 }), "1 of 2");
  assert.equal(ngettext("%(count)s vote", "%(count)s votes", 2), "%(count)s votes");
  assert.equal(new ApiError("x", { status: 503 }).isPassing, true);
});
