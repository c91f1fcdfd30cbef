import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.matchMedia = () => ({ matches: false });
const { scoresText } = await import("../../static/js/lib/watched-pairs.js");

const titles = new Map([["reward", "Training judge"], ["judge", "Independent judge"]]);

test("what judges say is the change from base to now, with its sign", () => {
  const base = { scores: { reward: 0.5, judge: 0.25 } };
  const now = { scores: { reward: 0.75, judge: 0.125 } };
  assert.equal(scoresText(base, now, titles), "Training judge +0.25 · Independent judge −0.13");
});

test("a judge that has not seen both says nothing", () => {
  assert.equal(scoresText({ scores: {} }, { scores: { reward: 1 } }, titles), "");
  assert.equal(scoresText({ scores: { x: 1 } }, { scores: { x: 2 } }, titles), "");
});
