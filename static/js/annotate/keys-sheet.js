// The sheet of keys: what each does, another key for it, letters on or off. Kept with the person on
// the site and, for the next start, in this browser.

import { counted, gettext, interpolate, ngettext } from "../lib/i18n.js";
import { ACTIONS, GRID_ROWS, capText, changed, changesOf, usable, withChanges } from "../lib/keymap.js";
import { isComposing } from "../lib/shortcuts.js";
import { byId, make } from "./dom.js";

const GROUPS = {
  play: () => gettext("Playing"),
  look: () => gettext("Looking"),
  go: () => gettext("Going on"),
};
const ANSWERS = {
  left: () => gettext("A better"),
  tie: () => gettext("Same"),
  right: () => gettext("B better"),
  invalid: () => gettext("Invalid"),
};
const MODIFIER = /^(Shift|Control|Alt|Meta|CapsLock)/;

function titleOf({ command, title }) {
  if (command.name !== "vote") return title;
  return interpolate(gettext("row %(row)s: %(answer)s"), { row: command.row + 1, answer: ANSWERS[command.label]() });
}

const actionOf = new Map(ACTIONS.map((action) => [action.id, action]));

/** Event: `change`, when keys or the switch of letters are others now. */
export class KeysSheet extends EventTarget {
  constructor({ api, kept }) {
    super();
    Object.assign(this, { api, kept });
    this.dialog = byId("keys");
    this.layout = null;
    this.waiting = null; // the action whose new key is awaited
    this.#take(kept.get("keys"), kept.get("letters") ?? true);
    this.dialog.addEventListener("close", () => this.#await(null));
    this.dialog.addEventListener("click", (event) => this.#clicked(event));
    byId("letters").addEventListener("change", (event) => this.#switchLetters(event.target.checked));
    byId("keys-reset").addEventListener("click", () => this.#change(withChanges()));
  }

  #take(changes, letters) {
    const { keys, refused } = usable(changes);
    this.keys = keys;
    this.letters = letters;
    this.refused = refused;
    byId("letters").checked = letters;
  }

  /** What stands on the person's keyboard, and what the site knows of the person. */
  async start() {
    this.layout = (await navigator.keyboard?.getLayoutMap?.().catch(() => null)) ?? null;
    this.#tell();
    try {
      const { keys, single_letters: letters } = await this.api.profile();
      this.#take(keys, letters);
      this.kept.set("keys", keys);
      this.kept.set("letters", letters);
      this.#tell();
    } catch (error) {
      if (error.name !== "ApiError") throw error; // without the site the browser's copy holds
    }
    if (this.refused) this.#say(gettext("Your own keys clash with each other; the standard keys are used."));
  }

  #tell() {
    this.#render();
    this.dispatchEvent(new Event("change"));
  }

  open() {
    this.#say("");
    this.#render();
    this.dialog.showModal();
  }

  // ---- the sheet ----

  #render() {
    this.#showCaps();
    byId("keys-votes").replaceChildren(...[...Array(GRID_ROWS).keys()].map((row) => this.#gridRow(row)));
    const lists = Object.entries(GROUPS).map(([group, title]) => this.#group(group, title()));
    byId("keys-groups").replaceChildren(...lists);
    const changes = Object.keys(changesOf(this.keys)).length;
    byId("keys-reset").hidden = changes === 0;
    byId("keys-changed").textContent =
      changes === 0 ? "" : counted(ngettext("%(count)s key is your own.", "%(count)s keys are your own.", changes), changes);
  }

  /** The keys printed on the page's own buttons. */
  #showCaps() {
    for (const cap of document.querySelectorAll("kbd[data-cap]")) {
      const code = this.keys[cap.dataset.cap];
      cap.textContent = capText(code, this.layout);
      cap.hidden = !this.letters && code.startsWith("Key");
    }
  }

  #gridRow(row) {
    const actions = ACTIONS.filter(({ command }) => command.name === "vote" && command.row === row);
    const cells = actions.map((action) => make("td", {}, this.#key(action)));
    return make("tr", {}, make("th", { scope: "row", textContent: interpolate(gettext("Row %(row)s"), { row: row + 1 }) }), ...cells);
  }

  #group(group, title) {
    const rows = ACTIONS.filter((action) => action.group === group).map((action) =>
      make("tr", {}, make("td", {}, this.#key(action)), make("td", { textContent: titleOf(action) })),
    );
    const caption = make("caption", { textContent: title });
    return make("table", { className: "table keys-table" }, caption, make("tbody", {}, ...rows));
  }

  #key(action) {
    const waits = this.waiting === action.id;
    const text = waits ? gettext("press a key…") : capText(this.keys[action.id], this.layout);
    const button = make("button", { type: "button", className: "key", textContent: text });
    button.dataset.action = action.id;
    button.setAttribute("aria-pressed", String(waits));
    button.setAttribute("aria-label", `${titleOf(action)}: ${text}`);
    return button;
  }

  #clicked(event) {
    const id = event.target.closest("[data-action]")?.dataset.action;
    if (!id) return;
    this.#await(this.waiting === id ? null : id);
    this.dialog.querySelector(`[data-action="${id}"]`)?.focus();
  }

  #await(id) {
    this.waiting = id;
    if (id) this.#say(interpolate(gettext("Press the new key for “%(title)s”; Esc leaves it."), { title: titleOf(actionOf.get(id)) }));
    this.#render();
  }

  // ---- a new key ----

  /** True when the press was for this sheet alone. */
  takeKey(event) {
    if (!this.waiting || isComposing(event) || MODIFIER.test(event.code)) return Boolean(this.waiting);
    event.preventDefault();
    const id = this.waiting;
    if (event.code === "Escape") {
      this.#say("");
      this.#await(null);
      return true;
    }
    const { keys, refused } = changed(this.keys, id, event.code);
    if (refused) this.#refuse(event.code, refused);
    else {
      this.waiting = null;
      this.#change(keys);
    }
    this.dialog.querySelector(`[data-action="${id}"]`)?.focus();
    return true;
  }

  #refuse(code, owner) {
    const key = capText(code, this.layout);
    if (owner === "reserved") {
      this.#say(interpolate(gettext("%(key)s has a fixed meaning; press another key."), { key }));
      return;
    }
    const title = titleOf(actionOf.get(owner));
    this.#say(interpolate(gettext("%(key)s already means “%(title)s”; press another key."), { key, title }));
  }

  #change(keys) {
    this.keys = keys;
    this.kept.set("keys", changesOf(keys));
    this.#tell();
    this.#save();
  }

  #switchLetters(on) {
    this.letters = on;
    this.kept.set("letters", on);
    this.#tell();
    this.#save();
  }

  async #save() {
    try {
      await this.api.saveProfile({ keys: changesOf(this.keys), single_letters: this.letters });
      this.#say(gettext("Saved."));
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      this.#say(interpolate(gettext("Kept in this browser only: %(reason)s"), { reason: error.message }));
    }
  }

  #say(text) {
    byId("keys-text").textContent = text;
  }
}
