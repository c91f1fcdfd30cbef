// Which physical key does what by default, and how a person may change it. Pure.
// Physical codes, so that the grid under the left hand stays a grid on every layout.

import { gettext } from "./i18n.js";

const GRID = ["QWER", "ASDF", "ZXCV"];
const LABELS = ["left", "tie", "right", "invalid"];

/** The grid fits under one hand up to three rows; with more, digits act on the row in focus. */
export const GRID_ROWS = GRID.length;

const GRID_ACTIONS = GRID.flatMap((letters, row) =>
  [...letters].map((letter, place) => ({
    id: `vote-${row + 1}-${LABELS[place]}`,
    group: "votes",
    code: `Key${letter}`,
    command: { name: "vote", row, label: LABELS[place] },
  })),
);

const action = (group, id, code, command, title) => ({ group, id, code, command, title });

/** Everything that has a key of its own. */
export const ACTIONS = [
  ...GRID_ACTIONS,
  action("play", "toggle", "Space", { name: "toggle" }, gettext("play or pause")),
  action("play", "restart", "Home", { name: "restart" }, gettext("from the start")),
  action("play", "step-back", "Comma", { name: "step", by: -1 }, gettext("one frame back; ten with Shift")),
  action("play", "step-forward", "Period", { name: "step", by: 1 }, gettext("one frame on; ten with Shift")),
  action("play", "slower", "BracketLeft", { name: "slower" }, gettext("slower")),
  action("play", "faster", "BracketRight", { name: "faster" }, gettext("faster")),
  action("play", "normal-speed", "Backslash", { name: "normal-speed" }, gettext("normal speed")),
  action("play", "loop", "KeyL", { name: "loop" }, gettext("play in a loop")),
  action("play", "mute", "KeyM", { name: "mute" }, gettext("sound on or off")),
  action("play", "stretch", "KeyJ", { name: "stretch" }, gettext("stretch both to equal progress")),
  action("look", "pixels", "KeyP", { name: "zoom" }, gettext("pixel by pixel; arrow keys move the picture")),
  action("look", "enlarge-left", "Digit5", { name: "enlarge", side: 0 }, gettext("A alone and large, while held")),
  action("look", "enlarge-right", "Digit6", { name: "enlarge", side: 1 }, gettext("B alone and large, while held")),
  action("look", "nudge-left-back", "Digit7", { name: "nudge", side: 0, by: -1 }, gettext("only A: one frame back")),
  action("look", "nudge-left-forward", "Digit8", { name: "nudge", side: 0, by: 1 }, gettext("only A: one frame on")),
  action("look", "nudge-right-back", "Digit9", { name: "nudge", side: 1, by: -1 }, gettext("only B: one frame back")),
  action("look", "nudge-right-forward", "Digit0", { name: "nudge", side: 1, by: 1 }, gettext("only B: one frame on")),
  action("look", "image", "KeyI", { name: "image" }, gettext("the reference image, large")),
  action("look", "expand", "KeyY", { name: "expand" }, gettext("the whole prompt")),
  action("go", "submit", "Enter", { name: "submit" }, gettext("submit, or go to the first open row")),
  action("go", "reopen", "Backspace", { name: "reopen" }, gettext("open your last vote again; once more for the one before")),
  action("go", "remark", "KeyN", { name: "remark" }, gettext("write a remark; Esc leaves it")),
  action("go", "skip", "KeyT", { name: "skip" }, gettext("skip this pair")),
  action("go", "flag", "KeyK", { name: "flag" }, gettext("report a clip")),
  action("go", "guideline", "KeyG", { name: "guideline" }, gettext("guideline")),
];

const KNOWN = new Map(ACTIONS.map((each) => [each.id, each]));

// Keys with a fixed meaning: the digits and the number pad vote, the arrows move, Tab walks.
const RESERVED =
  /^(Digit[1-4]|Numpad.*|Arrow.*|Escape|Tab|F\d+|(Shift|Control|Alt|Meta)(Left|Right)|CapsLock|ContextMenu|Process|Unidentified|)$/;

export const isReserved = (code) => RESERVED.test(code);

/** {id: code} for every action: the defaults with a person's changes. */
export function withChanges(changed = {}) {
  return Object.fromEntries(ACTIONS.map(({ id, code }) => [id, changed[id] ?? code]));
}

/** The two actions that share a key, or null. */
export function clashIn(keys) {
  const taken = new Map();
  for (const [id, code] of Object.entries(keys)) {
    if (taken.has(code)) return [taken.get(code), id];
    taken.set(code, id);
  }
  return null;
}

/** What of `keys` differs from the defaults: that is what is stored. */
export function changesOf(keys) {
  return Object.fromEntries(ACTIONS.filter(({ id, code }) => keys[id] !== code).map(({ id }) => [id, keys[id]]));
}

/**
 * A stored map as it may be used: unknown actions are dropped, and a map in which two actions share
 * a key, or one has a reserved key, is refused whole.
 */
export function usable(changed) {
  const known = Object.entries(changed ?? {}).filter(([id, code]) => KNOWN.has(id) && typeof code === "string");
  const keys = withChanges(Object.fromEntries(known));
  const reserved = known.find(([, code]) => isReserved(code));
  if (reserved || clashIn(keys)) return { keys: withChanges(), refused: true };
  return { keys, refused: false };
}

/** Keys by code: `commandAt(keys)` looks up what a code means. */
export function byCode(keys) {
  return new Map(Object.entries(keys).map(([id, code]) => [code, KNOWN.get(id)]));
}

/**
 * `keys` with `code` for `id`; `refused` names why not: "reserved", or the action that has the key.
 */
export function changed(keys, id, code) {
  if (isReserved(code)) return { keys, refused: "reserved" };
  const owner = Object.keys(keys).find((other) => other !== id && keys[other] === code);
  if (owner) return { keys, refused: owner };
  return { keys: { ...keys, [id]: code }, refused: null };
}

const NAMES = {
  Space: "Space", Enter: "Enter", Backspace: "⌫", Home: "Home", End: "End", Comma: ",", Period: ".",
  BracketLeft: "[", BracketRight: "]", Backslash: "\\", Slash: "/", Semicolon: ";", Quote: "'",
  Minus: "-", Equal: "=", Backquote: "`",
};

/** What stands on a key: the person's own layout where the browser tells it. */
export function capText(code, layout = null) {
  const own = layout?.get(code);
  return own?.toUpperCase() ?? NAMES[code] ?? code.replace(/^(Key|Digit|Numpad)/, "");
}
