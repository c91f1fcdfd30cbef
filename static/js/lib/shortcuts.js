// Which key press means what. Pure: a keyboard event and the state of the page in, a command out.

import { byCode, GRID_ROWS, withChanges } from "./keymap.js";

const NUMPAD_GRID = [
  { Numpad7: "left", Numpad8: "tie", Numpad9: "right" },
  { Numpad4: "left", Numpad5: "tie", Numpad6: "right" },
  { Numpad1: "left", Numpad2: "tie", Numpad3: "right" },
];
const IN_FOCUS = { 1: "left", 2: "tie", 3: "right", 4: "invalid" };
const PAN = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const FIXED = {
  NumpadEnter: { name: "submit" },
  ArrowUp: { name: "move", by: -1 },
  ArrowDown: { name: "move", by: 1 },
  Escape: { name: "close" },
};
const REPEATS = new Set(["step", "move", "nudge", "pan"]);
const STANDARD = withChanges();

const digitOf = (code) => /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1] ?? null;

/** True while an input method composes a character: every key belongs to it. */
export const isComposing = (event) => Boolean(event.isComposing) || event.keyCode === 229;

/** True for keys that belong to somebody else: an input method, a text field, the browser. */
export function isForeign(event) {
  if (isComposing(event)) return true;
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  const field = event.target?.closest?.("input, textarea, select, [contenteditable]");
  // The focus stays in a sheet for a moment after it closed; what is pressed then is not for it.
  return Boolean(field) && !field.closest?.("dialog:not([open])");
}

/** Enter and Space belong to a button or link in focus; Enter on a choice still submits. */
function belongsToFocus(event) {
  const control = event.target?.closest?.("button, a[href], summary");
  if (!control) return false;
  if (event.code === "Space") return true;
  return /Enter$/.test(event.code) && control.getAttribute("role") !== "radio";
}

/** What a digit, or a key of the number pad, says of the ballot. */
function digitVote(code, { rows, reasonsOpen, single }) {
  const digit = digitOf(code);
  if (reasonsOpen && digit) return { name: "reason", number: Number(digit) };
  if (single) return digit && digit <= 5 ? { name: "vote", row: null, label: digit } : null;
  if (rows <= GRID_ROWS) {
    const row = NUMPAD_GRID.slice(0, rows).findIndex((keys) => keys[code]);
    if (row >= 0) return { name: "vote", row, label: NUMPAD_GRID[row][code] };
    if (!code.startsWith("Digit")) return null;
  }
  return IN_FOCUS[digit] ? { name: "vote", row: null, label: IN_FOCUS[digit] } : null;
}

/** The grid of letters, where this ballot has the rows for it. */
function gridVote({ row, label }, { rows, single }) {
  if (single && label !== "invalid") return null;
  if (rows > GRID_ROWS) return label === "invalid" && row === 0 ? { name: "vote", row: null, label } : null;
  return row < rows ? { name: "vote", row, label } : null;
}

function ownKey(event, state) {
  const action = byCode(state.keys ?? STANDARD).get(event.code);
  if (!action || (!state.letters && /^Key[A-Z]$/.test(event.code))) return null;
  const { command } = action;
  if (command.name === "step") return { name: "step", by: command.by * (event.shiftKey ? 10 : 1) };
  if (event.shiftKey) return null;
  if (state.single && (command.name === "enlarge" || command.side === 1)) return null;
  return command.name === "vote" ? gridVote(command, state) : command;
}

/** Arrow keys move the magnified picture while the focus is on it. */
function panOf(event, { zoomed }) {
  const [x, y] = PAN[event.code] ?? [];
  if (!zoomed || x === undefined || !event.target?.closest?.("#panes")) return null;
  return { name: "pan", x, y };
}

function meaning(event, state) {
  if (event.key === "?" || (event.code === "Slash" && event.shiftKey)) return { name: "keys" };
  const vote = event.shiftKey ? null : digitVote(event.code, state);
  const fixed = event.shiftKey ? null : FIXED[event.code];
  return vote ?? panOf(event, state) ?? ownKey(event, state) ?? fixed ?? null;
}

/**
 * The command of a key press, or null when the key is not ours.
 * `rows`: number of dimensions; `reasonsOpen`: a list of reasons waits for a digit; `single`: one
 * clip, scored from 1 to 5; `zoomed`: the clips are magnified; `keys`: the person's own key map;
 * `letters`: single letters are commands (a person can switch them off, WCAG 2.1.4).
 */
export function commandOf(event, state) {
  if (isForeign(event) || belongsToFocus(event)) return null;
  const command = meaning(event, state);
  // A held key acts once; the repeats must not run through the rows.
  return command && event.repeat && !REPEATS.has(command.name) ? { name: "nothing" } : command;
}

/** The codes printed on the buttons of a row: labels in their order. */
export function capsOf(row, { rows, labels, single = false, keys = STANDARD }) {
  return labels.map((label) => {
    if (single && label !== "invalid") return `Digit${label}`;
    if (rows <= GRID_ROWS) return keys[`vote-${row + 1}-${label}`];
    const digit = Object.keys(IN_FOCUS).find((each) => IN_FOCUS[each] === label);
    return single ? keys["vote-1-invalid"] : `Digit${digit}`;
  });
}
