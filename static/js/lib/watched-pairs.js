// Clips of the base beside those of a later step: same prompt, same seed, played in step.

import { PairedPlayback } from "./paired-playback.js";

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

function video(label) {
  const element = document.createElement("video");
  element.muted = true;
  element.playsInline = true;
  element.preload = "metadata";
  element.setAttribute("aria-label", label);
  return element;
}

/** What the judges say of two clips: "Training judge +0.31". */
export function scoresText(base, now, titles) {
  return Object.keys(now.scores)
    .filter((key) => key in base.scores && titles.has(key))
    .map((key) => {
      const change = now.scores[key] - base.scores[key];
      return `${titles.get(key)} ${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(2)}`;
    })
    .join(" · ");
}

class Pair {
  constructor(watcher) {
    this.element = document.createElement("article");
    this.element.className = "watched-pair";
    this.prompt = document.createElement("p");
    this.prompt.className = "prompt small";
    this.videos = [video("base"), video("now")];
    const figures = this.videos.map((each) => {
      const figure = document.createElement("figure");
      figure.className = "clip";
      const caption = document.createElement("figcaption");
      caption.className = "small muted";
      figure.append(each, caption);
      return figure;
    });
    this.captions = figures.map((each) => each.lastElementChild);
    this.scores = document.createElement("p");
    this.scores.className = "scores small muted number";
    this.element.append(this.prompt, ...figures, this.scores);
    this.player = new PairedPlayback(...this.videos);
    this.wanted = false; // playing, as long as it can be seen
    this.seen = false;
    this.urls = "";
    watcher.observe(this.element);
  }

  /** Play, or stand still; nothing plays out of sight. */
  play(isWanted) {
    this.wanted = isWanted;
    this.#follow();
  }

  show(base, now, step, titles) {
    this.prompt.textContent = `${base.prompt} · seed ${base.seed}`;
    this.prompt.title = this.prompt.textContent;
    this.captions[0].textContent = "base";
    this.captions[1].textContent = step ? `step ${step}` : "base";
    this.scores.textContent = step ? scoresText(base, now, titles) : "";
    for (const [index, name] of ["base", `step ${step}`].entries()) {
      this.videos[index].setAttribute("aria-label", `${base.prompt}, seed ${base.seed}, ${name}`);
    }
    this.clips = [base, now].map(({ url, fps, frames }) => ({ url, fps, frames }));
    this.#follow();
  }

  /** Seen or out of sight. */
  see(isSeen) {
    this.seen = isSeen;
    this.#follow();
  }

  async #follow() {
    if (!this.seen || !this.clips) {
      this.player.pause();
      return;
    }
    const urls = this.clips.map(({ url }) => url).join(" ");
    try {
      if (urls !== this.urls) {
        this.urls = urls;
        await this.player.load(this.clips);
      }
      if (this.wanted) await this.player.play();
      else this.player.pause();
    } catch {
      this.scores.textContent = "This clip cannot be played.";
    }
  }

  remove(watcher) {
    watcher.unobserve(this.element);
    this.player.unload();
    this.element.remove();
  }
}

export class WatchedPairs {
  constructor(place) {
    this.place = place;
    this.pairs = new Map();
    this.playing = !still;
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        [...this.pairs.values()].find((each) => each.element === target)?.see(isIntersecting);
      }
    });
  }

  /** All of them, or none. */
  play(isWanted) {
    this.playing = isWanted;
    for (const pair of this.pairs.values()) pair.play(isWanted);
  }

  /** `base` and `look`: looks of one run; `seed`: the only one to be shown, or empty for all. */
  show(base, look, { seed = "", titles = new Map() } = {}) {
    const wanted = new Map();
    base.clips.forEach((clip, index) => {
      if (!seed || String(clip.seed) === seed) wanted.set(`${clip.prompt}\n${clip.seed}`, index);
    });
    for (const [key, pair] of this.pairs) {
      if (wanted.has(key)) continue;
      pair.remove(this.watcher);
      this.pairs.delete(key);
    }
    for (const [key, index] of wanted) {
      const now = look.clips[index];
      if (!now) continue;
      if (!this.pairs.has(key)) {
        const pair = new Pair(this.watcher);
        pair.wanted = this.playing;
        this.pairs.set(key, pair);
        this.place.append(pair.element);
      }
      this.pairs.get(key).show(base.clips[index], now, look.step, titles);
    }
  }
}
