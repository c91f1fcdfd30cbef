// Which key means what. Pure: a keyboard event and the state of the page in, a command out.
// Physical codes, so that the grid under the left hand stays a grid on every layout.

const GRID = [
  { KeyQ: "left", KeyW: "tie", KeyE: "right", KeyR: "invalid" },
  { KeyA: "left", KeyS: "tie", KeyD: "right", KeyF: "invalid" },
  { KeyZ: "left", KeyX: "tie", KeyC: "right", KeyV: "invalid" },
];

const NUMPAD_GRID = [
  { Numpad7: "left", Numpad8: "tie", Numpad9: "right" },
  { Numpad4: "left", Numpad5: "tie", Numpad6: "right" },
  { Numpad1: "left", Numpad2: "tie", Numpad3: "right" },
];

const IN_FOCUS = { 1: "left", 2: "tie", 3: "right", 4: "invalid" };

const PLAIN = {
  Space: { name: "toggle" },
  Home: { name: "restart" },
  BracketLeft: { name: "slower" },
  BracketRight: { name: "faster" },
  Backslash: { name: "normal-speed" },
  Enter: { name: "submit" },
  NumpadEnter: { name: "submit" },
  Backspace: { name: "reopen" },
  ArrowUp: { name: "move", by: -1 },
  ArrowDown: { name: "move", by: 1 },
  Escape: { name: "close" },
};

const LETTERS = {
  KeyL: { name: "loop" },
  KeyT: { name: "skip" },
  KeyG: { name: "guideline" },
};

/** The grid fits under one hand up to three rows; with more, digits act on the row in focus. */
export const GRID_ROWS = GRID.length;

const digitOf = (code) => /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1] ?? null;

/** True for keys that belong to somebody else: an input method, a text field, the browser. */
export function isForeign(event) {
  if (event.isComposing || event.keyCode === 229) return true;
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  return Boolean(event.target?.closest?.("input, textarea, select, [contenteditable]"));
}

/** Enter and Space belong to a button or link in focus; Enter on a choice still submits. */
function belongsToFocus(event) {
  const control = event.target?.closest?.("button, a[href], summary");
  if (!control) return false;
  if (event.code === "Space") return true;
  return /Enter$/.test(event.code) && control.getAttribute("role") !== "radio";
}

function voteOf(code, { rows, reasonsOpen, letters }) {
  const digit = digitOf(code);
  if (reasonsOpen && digit) return { name: "reason", number: Number(digit) };
  if (rows > GRID_ROWS) {
    if (digit && IN_FOCUS[digit]) return { name: "vote", row: null, label: IN_FOCUS[digit] };
    return letters && code === "KeyR" ? { name: "vote", row: null, label: "invalid" } : null;
  }
  for (let row = 0; row < rows; row += 1) {
    const label = (letters ? GRID[row][code] : null) ?? NUMPAD_GRID[row][code];
    if (label) return { name: "vote", row, label };
  }
  const label = code.startsWith("Digit") ? IN_FOCUS[digit] : null;
  return label ? { name: "vote", row: null, label } : null;
}

function stepOf(event) {
  const sign = { Comma: -1, Period: 1 }[event.code];
  return sign ? { name: "step", by: sign * (event.shiftKey ? 10 : 1) } : null;
}

function voteUnlessHeld(event, state) {
  if (event.shiftKey) return null;
  const vote = voteOf(event.code, state);
  // A held key votes once; the repeats must not run through the rows.
  return vote && event.repeat ? { name: "nothing" } : vote;
}

function otherOf(event, { letters }) {
  if (event.key === "?" || (event.code === "Slash" && event.shiftKey)) return { name: "keys" };
  if (event.shiftKey) return null;
  const command = PLAIN[event.code] ?? (letters ? LETTERS[event.code] : undefined);
  if (!command) return null;
  return event.repeat && command.name !== "move" ? { name: "nothing" } : command;
}

/**
 * The command of a key press, or null when the key is not ours.
 * `rows`: number of dimensions; `reasonsOpen`: a list of reasons waits for a digit;
 * `letters`: single letters are commands (a person can switch them off, WCAG 2.1.4).
 */
export function commandOf(event, state) {
  if (isForeign(event) || belongsToFocus(event)) return null;
  return stepOf(event) ?? voteUnlessHeld(event, state) ?? otherOf(event, state);
}

/** The codes printed on the four buttons of a row. */
export function capsOf(row, rows) {
  if (rows > GRID_ROWS) return ["Digit1", "Digit2", "Digit3", "Digit4"];
  return Object.keys(GRID[row]);
}

/** What stands on a key: the person's own layout where the browser tells it. */
export function capText(code, layout = null) {
  const own = layout?.get(code);
  return (own ?? code.replace(/^(Key|Digit|Numpad)/, "")).toUpperCase();
}
