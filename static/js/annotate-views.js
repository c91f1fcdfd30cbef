// The parts of the voting page that only show something. What a press does stands in annotate.js.

const byId = (id) => document.getElementById(id);

/** Text for eyes at once and for screen readers when they are free. */
export function announce(text) {
  byId("live").textContent = text;
}

/** One line above the pair: something that must not be missed. */
export class Notice {
  constructor() {
    this.element = byId("notice");
    this.button = byId("notice-action");
    this.button.addEventListener("click", () => this.action?.());
  }

  show(text, { kind = "", action = null, title = "" } = {}) {
    this.kind = kind;
    byId("notice-text").textContent = text;
    this.action = action;
    this.button.hidden = action === null;
    this.button.textContent = title;
    this.element.hidden = false;
  }

  /** Hides what is shown, or only what is of this kind. */
  hide(kind = this.kind) {
    if (kind === this.kind) this.element.hidden = true;
  }
}

/** The whole stage when there is no pair: loading, empty, offline, another tab. */
export class Message {
  constructor(root) {
    this.root = root;
    this.button = byId("message-action");
    this.button.addEventListener("click", () => this.act());
  }

  get shown() {
    return this.root.dataset.mode !== "pair";
  }

  show({ title, text, action = null, button = "", mode = "message" }) {
    clearInterval(this.ticking);
    byId("message-title").textContent = title;
    byId("message-text").textContent = text;
    this.action = action;
    this.button.hidden = action === null;
    this.button.textContent = button;
    this.root.dataset.mode = mode;
  }

  /** Does the action by itself after `seconds`, and says how many are left. */
  actIn(seconds) {
    let left = Math.ceil(seconds);
    const text = this.button.textContent;
    const tell = () => {
      this.button.textContent = `${text} (${left} s)`;
      if (left <= 0) this.act();
      left -= 1;
    };
    tell();
    this.ticking = setInterval(tell, 1000);
  }

  act() {
    clearInterval(this.ticking);
    this.action?.();
  }

  hide() {
    clearInterval(this.ticking);
    this.root.dataset.mode = "pair";
  }
}

/** The prompt, cut to two lines until it is opened, with its translations. */
export class PromptView {
  constructor() {
    this.section = document.querySelector(".prompt");
    this.translation = byId("translation");
  }

  show({ text, translations }) {
    byId("prompt").textContent = text;
    this.translations = translations ?? {};
    this.translation.hidden = true;
    const languages = Object.keys(this.translations);
    byId("languages").replaceChildren(...languages.map((language) => this.#button(language)));
    const own = languages.find((language) => navigator.language.toLowerCase().startsWith(language));
    if (own) this.#translate(own);
    this.open(false);
    byId("expand").hidden = !this.#isCut();
  }

  #button(language) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-quiet";
    button.textContent = language;
    button.lang = language;
    button.title = "Show the translation";
    button.addEventListener("click", () => {
      if (this.translation.hidden) this.#translate(language);
      else this.translation.hidden = true;
    });
    return button;
  }

  #translate(language) {
    this.translation.textContent = this.translations[language];
    this.translation.lang = language;
    this.translation.hidden = false;
  }

  #isCut() {
    const text = byId("prompt");
    return text.scrollHeight > text.clientHeight + 1;
  }

  open(wanted = !this.section.classList.contains("is-open")) {
    this.section.classList.toggle("is-open", wanted);
    byId("expand").setAttribute("aria-expanded", String(wanted));
    byId("expand").textContent = wanted ? "less" : "more";
  }
}

/** The drawer with what each dimension means. */
export class Guideline {
  constructor() {
    this.drawer = byId("guideline");
    this.opener = document.querySelector('.vote-bar [data-command="guideline"]');
  }

  get isOpen() {
    return !this.drawer.hidden;
  }

  show(dimensions) {
    const sections = dimensions.map(({ key, title, question, guideline }) => {
      const section = document.createElement("section");
      section.dataset.dimension = key;
      const heading = document.createElement("h3");
      heading.textContent = title;
      const line = document.createElement("p");
      line.className = "small muted";
      line.textContent = question;
      const list = document.createElement("ul");
      for (const each of guideline ?? []) {
        const item = document.createElement("li");
        item.textContent = each;
        list.append(item);
      }
      section.append(heading, line, list);
      return section;
    });
    byId("guideline-rows").replaceChildren(...sections);
  }

  mark(key) {
    for (const section of byId("guideline-rows").children) {
      section.classList.toggle("is-current", section.dataset.dimension === key);
    }
  }

  toggle(wanted = !this.isOpen) {
    const hadFocus = this.drawer.contains(document.activeElement);
    this.drawer.hidden = !wanted;
    this.opener.setAttribute("aria-expanded", String(wanted));
    if (wanted) this.drawer.focus();
    else if (hadFocus) this.opener.focus();
  }
}

export const counted = (n, one, many) => `${n} ${n === 1 ? one : many}`;

/** The badge "saved" / "2 waiting" / "1 problem", and the list behind it. */
export class SyncView {
  constructor(outbox) {
    this.outbox = outbox;
    this.badge = byId("sync");
    this.dialog = byId("outbox");
    this.badge.addEventListener("click", () => this.dialog.showModal());
    byId("outbox-retry").addEventListener("click", () => outbox.retry());
  }

  render() {
    const { waiting, problems, needsLogin } = this.outbox.state;
    let [text, look] = ["saved", "badge-ok"];
    if (problems.length > 0) [text, look] = [counted(problems.length, "problem", "problems"), "badge-bad"];
    else if (needsLogin) [text, look] = ["log in", "badge-bad"];
    else if (waiting > 0) [text, look] = [`${waiting} waiting`, "badge-warn"];
    this.badge.textContent = text;
    this.badge.className = `badge sync ${look}`;
    this.#renderList();
  }

  #sentence({ waiting, needsLogin, retryAt }) {
    if (this.outbox.entries.length === 0) return "Everything you did is on the site.";
    if (needsLogin) return "Your log-in has ended. What you did is kept here until you log in again.";
    const again = retryAt ? ` Next try at ${new Date(retryAt).toLocaleTimeString()}.` : "";
    const kept = waiting > 0 ? `${counted(waiting, "vote is", "votes are")} kept in this browser.` : "";
    return `${kept}${again}`;
  }

  #renderList() {
    const { state, entries } = this.outbox;
    byId("outbox-text").textContent = this.#sentence(state);
    byId("outbox-login").hidden = !state.needsLogin;
    byId("outbox-retry").hidden = entries.length === 0;
    byId("outbox-list").replaceChildren(...entries.map((entry) => this.#item(entry)));
  }

  #item(entry) {
    const item = document.createElement("li");
    const text = document.createElement("span");
    const problem = entry.problem ? ` — ${entry.problem.message}` : "";
    text.textContent = `${entry.title}${problem}`;
    item.append(text);
    if (entry.problem) item.append(this.#discardButton(entry));
    return item;
  }

  #discardButton(entry) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-danger";
    button.textContent = "Throw away";
    // Two presses: the only way in which something a person did can vanish.
    button.addEventListener("click", () => {
      if (button.dataset.sure) this.outbox.discard(entry.key);
      button.dataset.sure = "yes";
      button.textContent = "Really throw it away";
    });
    return button;
  }
}

/** Buttons and figures under the players. */
export class Transport {
  constructor(playback) {
    this.playback = playback;
    playback.addEventListener("change", () => this.render());
    playback.addEventListener("tick", () => this.tick());
  }

  render() {
    const { playing, speed, loop } = this.playback;
    byId("toggle").setAttribute("aria-label", playing ? "Pause" : "Play");
    byId("toggle-icon").textContent = playing ? "❚❚" : "▶";
    byId("speed").textContent = `${speed}×`;
    byId("loop").setAttribute("aria-pressed", String(loop));
    this.tick();
  }

  tick() {
    const { time, duration, frames } = this.playback;
    byId("timeline").value = duration > 0 ? Math.min(1, time / duration) : 0;
    const shown = frames.map((frame, side) => ` · ${"AB"[side]} ${String(frame + 1).padStart(2, "\u2007")}`);
    byId("clock").textContent = `${time.toFixed(2)} s${shown.join("")}`;
    for (const mark of document.querySelectorAll("[data-ended]")) {
      mark.hidden = !this.playback.hasEnded(Number(mark.dataset.ended));
    }
  }
}

/** A clip this small is scaled up pixel by pixel. */
const TINY = 200;

export function showAsTiny(video, { width, height }) {
  video.classList.toggle("is-tiny", Math.max(width, height) <= TINY);
}

/** "12 by you · 40 of 120 pairs settled" and the bar beside it. */
export function showProgress({ mine, done, total }) {
  const bar = byId("progress");
  bar.max = Math.max(1, total);
  bar.value = done;
  byId("progress-text").textContent = `${mine} by you · ${done} of ${total} settled`;
}
