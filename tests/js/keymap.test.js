import assert from "node:assert/strict";
import { test } from "node:test";

import { ACTIONS, capText, changed, changesOf, clashIn, usable, withChanges } from "../../static/js/lib/keymap.js";

test("no two commands share a key", () => {
  assert.equal(clashIn(withChanges()), null);
  assert.equal(new Set(ACTIONS.map(({ id }) => id)).size, ACTIONS.length);
});

test("a key that has a meaning, or a fixed one, is refused and changes nothing", () => {
  const keys = withChanges();
  assert.deepEqual(changed(keys, "loop", "KeyQ"), { keys, refused: "vote-1-left" });
  for (const code of ["Digit1", "Numpad5", "ArrowUp", "Escape", "Tab", ""]) {
    assert.deepEqual(changed(keys, "loop", code), { keys, refused: "reserved" });
  }
});

test("only what differs from the standard is stored", () => {
  const { keys, refused } = changed(withChanges(), "loop", "KeyU");
  assert.equal(refused, null);
  assert.deepEqual(changesOf(keys), { loop: "KeyU" });
  assert.deepEqual(changesOf(changed(keys, "loop", "KeyL").keys), {});
});

test("a stored map that clashes, or names a fixed key, is refused whole; unknown commands are dropped", () => {
  assert.equal(usable({ loop: "KeyQ" }).refused, true);
  assert.equal(usable({ loop: "Digit2" }).refused, true);
  assert.deepEqual(usable({ loop: "KeyQ" }).keys, withChanges());
  assert.deepEqual(usable({ dance: "KeyU", loop: 5 }), { keys: withChanges(), refused: false });
  assert.equal(usable({ loop: "KeyT", skip: "KeyL" }).refused, false); // swapped
});

test("a key cap shows the own layout, and a name where a key has no letter", () => {
  assert.equal(capText("KeyQ"), "Q");
  assert.equal(capText("KeyQ", new Map([["KeyQ", "a"]])), "A");
  assert.deepEqual(["Space", "Backspace", "BracketLeft", "Digit5"].map((code) => capText(code)), ["Space", "⌫", "[", "5"]);
});
