// The prompt with its translations, what the focused dimension asks to check, the reference image.

import { gettext } from "../lib/i18n.js";
import { byId, make } from "./dom.js";

/** The language of the page, without its region. */
const pageLanguage = () => document.documentElement.lang.toLowerCase();

/** What stands before the colon of each sentence of a guideline: the words to check. */
export function checksOf(sentences = []) {
  return sentences.map((sentence) => /^([^:：]{1,24})[:：]/.exec(sentence)?.[1]).filter(Boolean);
}

export class PromptView {
  constructor() {
    this.section = document.querySelector(".prompt");
    this.translation = byId("translation");
    this.image = byId("reference");
    byId("reference-large").addEventListener("close", () => byId("reference-picture").removeAttribute("src"));
  }

  show({ text, translations, image }) {
    byId("prompt").textContent = text;
    this.translations = translations ?? {};
    byId("translated").hidden = true;
    const languages = Object.keys(this.translations);
    byId("languages").replaceChildren(...languages.map((language) => this.#button(language)));
    const wanted = pageLanguage();
    const own = languages.find((language) => wanted === language || wanted.startsWith(`${language}-`));
    if (own) this.#translate(own);
    this.#showImage(image ?? null);
    this.open(false);
    byId("expand").hidden = !this.#isCut();
  }

  #button(language) {
    const button = make("button", {
      type: "button", className: "button button-quiet", textContent: language, lang: language,
      title: gettext("Show the translation"),
    });
    button.addEventListener("click", () => {
      if (byId("translated").hidden) this.#translate(language);
      else byId("translated").hidden = true;
    });
    return button;
  }

  #translate(language) {
    this.translation.textContent = this.translations[language];
    this.translation.lang = language;
    byId("translated").hidden = false;
  }

  #showImage(image) {
    byId("reference-open").hidden = image === null;
    if (image === null) {
      this.image.removeAttribute("src");
      return;
    }
    this.image.width = image.width;
    this.image.height = image.height;
    this.image.src = image.url;
  }

  /** The reference image in its own size, or as large as the window. */
  enlarge() {
    if (byId("reference-open").hidden) return;
    byId("reference-picture").src = this.image.src;
    byId("reference-large").showModal();
  }

  /** What to look for, in a few words, for the dimension in focus. */
  check(dimension) {
    const words = checksOf(dimension?.guideline);
    byId("checks").replaceChildren(...words.map((word) => make("li", { textContent: word })));
    byId("checks-of").textContent = words.length > 0 ? dimension.title : "";
  }

  #isCut() {
    const text = byId("prompt");
    return text.scrollHeight > text.clientHeight + 1;
  }

  open(wanted = !this.section.classList.contains("is-open")) {
    this.section.classList.toggle("is-open", wanted);
    byId("expand").setAttribute("aria-expanded", String(wanted));
    byId("expand").querySelector("span").textContent = wanted ? gettext("less") : gettext("more");
  }
}
