// Buttons and figures under the players.

import { gettext, interpolate } from "../lib/i18n.js";
import { byId } from "./dom.js";

const pressed = (command, on) => {
  for (const button of document.querySelectorAll(`[data-command="${command}"][aria-pressed]`)) {
    button.setAttribute("aria-pressed", String(on));
  }
};

export class Transport {
  constructor(playback) {
    this.playback = playback;
    this.timeline = byId("timeline");
    playback.addEventListener("change", () => this.render());
    playback.addEventListener("tick", () => this.tick());
    this.timeline.addEventListener("input", () => playback.seekTo(Number(this.timeline.value)));
    // After a pointer, keys belong to the page again.
    this.timeline.addEventListener("pointerup", () => this.timeline.blur());
  }

  render() {
    const { playing, speed, loop, muted, stretch, lengths } = this.playback;
    byId("toggle").setAttribute("aria-label", playing ? gettext("Pause") : gettext("Play"));
    byId("toggle-icon").textContent = playing ? "❚❚" : "▶";
    byId("speed").textContent = `${speed}×`;
    pressed("loop", loop);
    pressed("mute", !muted);
    pressed("stretch", stretch);
    byId("stretched").hidden = !stretch;
    for (const [side, length] of lengths.entries()) byId(`length-${side}`).style.width = `${100 * length}%`;
    this.tick();
    this.timeline.ariaValueText = byId("clock").textContent;
  }

  tick() {
    const { time, duration, frames } = this.playback;
    const share = duration > 0 ? Math.min(1, time / duration) : 0;
    this.timeline.value = share;
    const shown = frames.map((frame, side) => ` · ${"AB"[side]} ${String(frame + 1).padStart(2, "\u2007")}`);
    byId("clock").textContent = `${time.toFixed(2)} s${frames.length > 1 ? shown.join("") : ` · ${(frames[0] ?? 0) + 1}`}`;
    for (const mark of document.querySelectorAll("[data-ended]")) {
      mark.hidden = !this.playback.hasEnded(Number(mark.dataset.ended));
    }
  }

  /** For screen readers, after a step. */
  get words() {
    const frames = this.playback.frames.map((frame) => frame + 1);
    return interpolate(gettext("frame %(frames)s"), { frames: frames.join(" / ") });
  }
}
