import assert from "node:assert/strict";
import { test } from "node:test";

import { withChanges } from "../../static/js/lib/keymap.js";
import { capsOf, commandOf } from "../../static/js/lib/shortcuts.js";

const three = { rows: 3, reasonsOpen: false, letters: true };
const six = { ...three, rows: 6 };
const key = (code, more = {}) => ({ code, key: "", target: null, ...more });

test("the grid under the left hand votes row by row", () => {
  const vote = (code) => commandOf(key(code), three);
  assert.deepEqual(vote("KeyQ"), { name: "vote", row: 0, label: "left" });
  assert.deepEqual(vote("KeyS"), { name: "vote", row: 1, label: "tie" });
  assert.deepEqual(vote("KeyC"), { name: "vote", row: 2, label: "right" });
  assert.deepEqual(vote("KeyV"), { name: "vote", row: 2, label: "invalid" });
  assert.deepEqual(vote("Numpad9"), { name: "vote", row: 0, label: "right" });
});

test("a row that is not there takes no vote", () => {
  assert.equal(commandOf(key("KeyZ"), { ...three, rows: 2 }), null);
});

test("with more rows than the hand has, digits act on the row in focus", () => {
  assert.deepEqual(commandOf(key("Digit3"), six), { name: "vote", row: null, label: "right" });
  assert.deepEqual(commandOf(key("Numpad4"), six), { name: "vote", row: null, label: "invalid" });
  assert.equal(commandOf(key("KeyQ"), six), null);
});

test("while reasons are open a digit chooses one", () => {
  const state = { ...three, reasonsOpen: true };
  assert.deepEqual(commandOf(key("Digit4"), state), { name: "reason", number: 4 });
});

test("input methods, text fields and browser shortcuts keep their keys", () => {
  assert.equal(commandOf(key("KeyQ", { isComposing: true }), three), null);
  assert.equal(commandOf(key("KeyQ", { keyCode: 229 }), three), null);
  assert.equal(commandOf(key("KeyA", { ctrlKey: true }), three), null);
  const field = { closest: (what) => (what.includes("input") ? field : null) };
  assert.equal(commandOf(key("KeyQ", { target: field }), three), null);
});

test("a field of a sheet that has closed keeps no key", () => {
  const closed = (what) => what.includes("input") || what === "dialog:not([open])";
  const field = { closest: (what) => (closed(what) ? field : null) };
  assert.notEqual(commandOf(key("KeyQ", { target: field }), three), null);
});

test("a held key neither votes nor submits again", () => {
  assert.deepEqual(commandOf(key("KeyQ", { repeat: true }), three), { name: "nothing" });
  assert.deepEqual(commandOf(key("Enter", { repeat: true }), three), { name: "nothing" });
  assert.deepEqual(commandOf(key("Period", { repeat: true }), three), { name: "step", by: 1 });
});

test("Enter belongs to a button in focus, but submits from a choice", () => {
  const control = (role) => {
    const element = { getAttribute: () => role, closest: (what) => (what.includes("button") ? element : null) };
    element.closest = (what) => (what.startsWith("button") ? element : null);
    return element;
  };
  assert.equal(commandOf(key("Enter", { target: control(null) }), three), null);
  assert.deepEqual(commandOf(key("Enter", { target: control("radio") }), three), { name: "submit" });
});

test("single letters can be switched off; digits and the number pad stay", () => {
  const off = { ...three, letters: false };
  assert.equal(commandOf(key("KeyQ"), off), null);
  assert.equal(commandOf(key("KeyT"), off), null);
  assert.deepEqual(commandOf(key("Numpad7"), off), { name: "vote", row: 0, label: "left" });
  assert.deepEqual(commandOf(key("Digit1"), off), { name: "vote", row: null, label: "left" });
});

test("steps are one frame, or ten with shift", () => {
  assert.deepEqual(commandOf(key("Comma"), three), { name: "step", by: -1 });
  assert.deepEqual(commandOf(key("Period", { shiftKey: true }), three), { name: "step", by: 10 });
});

test("a single clip is scored by digits; letters say only invalid", () => {
  const single = { ...three, single: true };
  assert.deepEqual(commandOf(key("Digit5"), single), { name: "vote", row: null, label: "5" });
  assert.deepEqual(commandOf(key("Numpad3"), single), { name: "vote", row: null, label: "3" });
  assert.equal(commandOf(key("Digit6"), single), null);
  assert.equal(commandOf(key("KeyQ"), single), null);
  assert.deepEqual(commandOf(key("KeyF"), single), { name: "vote", row: 1, label: "invalid" });
});

test("a person's own keys replace the standard ones", () => {
  const keys = withChanges({ "vote-1-left": "KeyU", toggle: "Semicolon" });
  const state = { ...three, keys };
  assert.deepEqual(commandOf(key("KeyU"), state), { name: "vote", row: 0, label: "left" });
  assert.equal(commandOf(key("KeyQ"), state), null);
  assert.deepEqual(commandOf(key("Semicolon"), state), { name: "toggle" });
  assert.deepEqual(capsOf(0, { rows: 3, labels: ["left", "tie"], keys }), ["KeyU", "KeyW"]);
});

test("arrows move a magnified picture while it has the focus, and rows otherwise", () => {
  const panes = { closest: (what) => (what === "#panes" ? panes : null) };
  const zoomed = { ...three, zoomed: true };
  assert.deepEqual(commandOf(key("ArrowUp", { target: panes }), zoomed), { name: "pan", x: 0, y: -1 });
  assert.deepEqual(commandOf(key("ArrowUp"), zoomed), { name: "move", by: -1 });
  assert.deepEqual(commandOf(key("ArrowUp", { target: panes }), three), { name: "move", by: -1 });
});

test("digits beyond the rows enlarge and nudge one side", () => {
  assert.deepEqual(commandOf(key("Digit5"), three), { name: "enlarge", side: 0 });
  assert.deepEqual(commandOf(key("Digit9"), three), { name: "nudge", side: 1, by: -1 });
  assert.deepEqual(commandOf(key("Digit5", { repeat: true }), three), { name: "nothing" });
});

test("no key does two things", () => {
  const labels = ["left", "tie", "right", "invalid"];
  const caps = [0, 1, 2].flatMap((row) => capsOf(row, { rows: 3, labels }));
  assert.equal(new Set(caps).size, 12);
  for (const code of caps) assert.equal(commandOf(key(code), three).name, "vote");
});
