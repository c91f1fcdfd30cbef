// Pairs of a report: base and candidate play in step while they can be seen.

import { PairedPlayback } from "./lib/paired-playback.js";

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const buttons = [...document.querySelectorAll("[data-play-pairs]")];
const pairs = new Map();
let wanted = !still; // playing; nothing plays for people who asked for less motion

class Pair {
  constructor(element) {
    this.element = element;
    this.videos = [...element.querySelectorAll("video[data-side]")];
    this.player = new PairedPlayback(...this.videos);
    this.clips = this.videos.map((video) => ({
      url: video.currentSrc || video.src,
      fps: Number(video.dataset.fps),
      frames: Number(video.dataset.frames),
    }));
    this.isLoaded = false;
    this.isSeen = false;
    for (const video of this.videos) {
      // One press for both: controls of their own would put them out of step.
      video.controls = false;
      video.tabIndex = 0;
      video.addEventListener("click", () => this.turn());
      video.addEventListener("keydown", (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        this.turn();
      });
    }
  }

  turn() {
    if (this.player.playing) this.player.pause();
    else this.play();
  }

  async play() {
    try {
      if (!this.isLoaded) {
        this.isLoaded = true;
        await this.player.load(this.clips);
      }
      await this.player.play();
    } catch {
      // What the browser cannot play in step is left to its own controls.
      for (const video of this.videos) video.controls = true;
    }
  }

  follow() {
    if (this.isSeen && wanted) this.play();
    else this.player.pause();
  }
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const pair = pairs.get(target);
    pair.isSeen = isIntersecting;
    pair.follow();
  }
});

function name() {
  for (const button of buttons) button.textContent = wanted ? "Pause all" : "Play all";
}

for (const element of document.querySelectorAll("[data-pair]")) {
  pairs.set(element, new Pair(element));
  watcher.observe(element);
}
for (const button of buttons) {
  button.hidden = false;
  button.addEventListener("click", () => {
    wanted = !wanted;
    name();
    for (const pair of pairs.values()) pair.follow();
  });
}
name();
