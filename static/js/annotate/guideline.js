// The guideline: the drawer beside the pair, and the same text as a page that asks for acceptance.

import { gettext, interpolate } from "../lib/i18n.js";
import { announce, byId, make } from "./dom.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

const sentencesOf = (sentences) =>
  make("ul", {}, ...(sentences ?? []).map((sentence) => make("li", { textContent: sentence })));

function exampleOf({ video, good, note }) {
  const clip = make("video", {
    src: video.url, muted: true, loop: true, controls: true, playsInline: true, preload: "metadata",
    width: video.width, height: video.height,
  });
  const word = good ? gettext("Good") : gettext("Bad");
  clip.setAttribute("aria-label", note ? `${word}: ${note}` : word);
  const mark = make("span", { className: good ? "badge badge-ok" : "badge badge-bad", textContent: word });
  return make("figure", { className: "example" }, clip, make("figcaption", { className: "small" }, mark, ` ${note ?? ""}`));
}

/** One section per dimension. */
function sections(rows) {
  return rows.map(({ key, title, question, sentences, examples }) => {
    const section = make(
      "section",
      {},
      make("h3", { textContent: title }),
      make("p", { className: "small muted", textContent: question }),
      sentencesOf(sentences),
      make("div", { className: "examples" }, ...(examples ?? []).map(exampleOf)),
    );
    section.dataset.dimension = key;
    return section;
  });
}

const paragraphs = (text) =>
  (text ?? "").split(/\n{2,}/).filter(Boolean).map((part) => make("p", { textContent: part }));

/** The answer of the API in the order of the dimensions on the ballot. */
function rowsOf(guideline) {
  return Object.entries(guideline.dimensions).map(([key, row]) => ({
    key, ...row, examples: guideline.examples?.[key],
  }));
}

/** Languages in which parts are shown because the page's own has none yet. */
function otherLanguages({ dimensions, instructions, instructions_language: spoken }) {
  const shown = Object.values(dimensions).map(({ language }) => language);
  if (instructions) shown.push(spoken);
  return [...new Set(shown)].filter((language) => language && language !== document.documentElement.lang);
}

/** The whole guideline as a node, for the page that asks for acceptance. */
export function guidelineText(guideline) {
  return make("div", { className: "sheet-text" }, ...paragraphs(guideline.instructions), ...sections(rowsOf(guideline)));
}

export class Guideline {
  /** `fetch()`: the guideline of the API in the person's language. */
  constructor(fetchIt) {
    this.fetchIt = fetchIt;
    this.drawer = byId("guideline");
    this.opener = document.querySelector('.vote-bar [data-command="guideline"]');
    this.version = null; // of what the drawer shows
    this.current = null;
  }

  get isOpen() {
    return !this.drawer.hidden;
  }

  /** What the assignment itself says; the site's text replaces it when the drawer is opened. */
  show(dimensions, version) {
    if (this.version !== null && this.version === version) return;
    this.wanted = version;
    this.version = null;
    this.#fill(dimensions.map((each) => ({ ...each, sentences: each.guideline })));
    byId("guideline-version").textContent = "";
    if (this.isOpen) this.#load();
  }

  #fill(rows) {
    byId("guideline-rows").replaceChildren(...sections(rows));
    this.mark(this.current);
  }

  async #load() {
    const { wanted } = this;
    if (!wanted || this.version === wanted) return;
    let guideline;
    try {
      guideline = await this.fetchIt();
    } catch (error) {
      if (error.name !== "ApiError") throw error;
      byId("guideline-version").textContent = interpolate(
        gettext("The examples could not be fetched: %(reason)s"), { reason: error.message },
      );
      return;
    }
    if (wanted !== this.wanted) return;
    this.version = wanted;
    if (guideline.instructions) byId("instructions").replaceChildren(...paragraphs(guideline.instructions));
    this.#fill(rowsOf(guideline));
    this.#showVersion(guideline);
    this.#play();
  }

  #showVersion(guideline) {
    const line = interpolate(gettext("Version %(version)s"), { version: guideline.version });
    const others = otherLanguages(guideline);
    const told = interpolate(gettext("not translated yet, shown in: %(language)s"), { language: others.join(", ") });
    byId("guideline-version").textContent = others.length > 0 ? `${line} · ${told}` : line;
  }

  mark(key) {
    this.current = key;
    for (const section of byId("guideline-rows").children) {
      const isCurrent = section.dataset.dimension === key;
      if (isCurrent && !section.classList.contains("is-current") && this.isOpen) {
        section.scrollIntoView({ block: "nearest" });
      }
      section.classList.toggle("is-current", isCurrent);
    }
    this.#play();
  }

  /** The examples of the dimension in focus play while the drawer is open. */
  #play() {
    for (const section of byId("guideline-rows").children) {
      const plays = this.isOpen && !calm.matches && section.dataset.dimension === this.current;
      for (const clip of section.querySelectorAll("video")) {
        if (plays) clip.play().catch(() => {}); // it still has its own button
        else clip.pause();
      }
    }
  }

  toggle(wanted = !this.isOpen) {
    if (wanted && !this.isOpen) this.before = document.activeElement;
    const hadFocus = this.drawer.contains(document.activeElement);
    this.drawer.hidden = !wanted;
    this.opener.setAttribute("aria-expanded", String(wanted));
    this.#play();
    if (wanted) {
      this.drawer.focus();
      this.#load();
      announce(gettext("Guideline"));
    } else if (hadFocus) this.#giveBackFocus();
  }

  /** To where it was, so that Space plays again and does not open the drawer once more. */
  #giveBackFocus() {
    if (this.before?.isConnected && this.before !== document.body) this.before.focus({ preventScroll: true });
    else document.activeElement.blur();
  }
}
