// Small words for the page's own elements.

import { gettext, interpolate } from "../lib/i18n.js";

export const byId = (id) => document.getElementById(id);

/** `make("p", {className: "small"}, "text", child)` */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Text for eyes at once and for screen readers when they are free. */
export function announce(text) {
  byId("live").textContent = text;
}

export function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID(); // missing on plain http
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Values kept for one person in this browser. */
export function keptFor(user) {
  const place = (name) => `tiebreak-${name}-${user}`;
  return {
    get: (name) => JSON.parse(localStorage.getItem(place(name)) ?? "null"),
    set: (name, value) => localStorage.setItem(place(name), JSON.stringify(value)),
  };
}

/** "1 h 12 min", "4 min". */
export function asTime(ms) {
  const minutes = Math.floor(ms / 60_000);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours === 0) return interpolate(gettext("%(minutes)s min"), { minutes });
  return interpolate(gettext("%(hours)s h %(minutes)s min"), { hours, minutes: rest });
}

/** "4:05" */
export function asCountdown(ms) {
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
