// Both clips pixel by pixel, moved together: the middle of the view is one share of each picture.

import { edgeOf, magnified, pixelFactor, withinEdges } from "../lib/zoom.js";

const ARROW = 0.1; // share of a pane that an arrow key moves

/** `panes`: elements that hold one video each. Events: `change`; `refitted` when a clip came later. */
export class Magnifier extends EventTarget {
  constructor(root, panes) {
    super();
    Object.assign(this, { root, panes });
    this.on = false;
    this.uses = 0;
    this.#centre();
    this.observer = new ResizeObserver(() => this.#draw());
    for (const pane of panes) {
      this.observer.observe(pane);
      // The key may come before the clip: its size is known only now.
      pane.querySelector("video").addEventListener("loadedmetadata", () => this.#refit());
      pane.addEventListener("pointerdown", (event) => this.#grab(event, pane));
      pane.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    }
  }

  #centre() {
    this.centre = { x: 0.5, y: 0.5 };
  }

  /** A new pair starts in full view. */
  reset() {
    this.uses = 0;
    this.#centre();
    this.switch(false);
  }

  switch(on = !this.on) {
    if (on && !this.on) this.uses += 1;
    this.on = on;
    if (on) this.factor = this.#factor();
    this.root.classList.toggle("is-magnified", on);
    this.#draw();
    this.dispatchEvent(new Event("change"));
  }

  #refit() {
    if (!this.on) return;
    this.factor = this.#factor();
    this.#draw();
    this.dispatchEvent(new Event("refitted"));
  }

  get #shown() {
    return this.panes
      .map((pane) => ({ pane, video: pane.querySelector("video") }))
      .filter(({ video }) => video.videoWidth > 0);
  }

  /** One factor for both, so that their pixels are equally large. */
  #factor() {
    const factors = this.#shown.map(({ pane, video }) => {
      const clip = { width: video.videoWidth, height: video.videoHeight };
      return pixelFactor(clip, { width: pane.clientWidth, height: pane.clientHeight }, devicePixelRatio);
    });
    return Math.max(1, ...factors);
  }

  #sizeOf(video) {
    return magnified({ width: video.videoWidth, height: video.videoHeight }, this.factor, devicePixelRatio);
  }

  #draw() {
    for (const pane of this.panes) {
      const { style } = pane.querySelector("video");
      for (const name of ["width", "height", "left", "top"]) style.removeProperty(name);
    }
    if (!this.on) return;
    for (const { pane, video } of this.#shown) {
      const { width, height } = this.#sizeOf(video);
      video.style.width = `${width}px`;
      video.style.height = `${height}px`;
      video.style.left = `${edgeOf(this.centre.x, width, pane.clientWidth)}px`;
      video.style.top = `${edgeOf(this.centre.y, height, pane.clientHeight)}px`;
    }
  }

  /** Moves the view by CSS pixels of the first pane. */
  moveBy(x, y) {
    if (!this.on || this.#shown.length === 0) return;
    const { pane, video } = this.#shown[0];
    const { width, height } = this.#sizeOf(video);
    this.centre = {
      x: withinEdges(this.centre.x + x / width, width, pane.clientWidth),
      y: withinEdges(this.centre.y + y / height, height, pane.clientHeight),
    };
    this.#draw();
  }

  /** One press of an arrow key: `x` and `y` are -1, 0 or 1. */
  arrow(x, y) {
    const { clientWidth, clientHeight } = this.panes[0];
    this.moveBy(x * ARROW * clientWidth, y * ARROW * clientHeight);
  }

  #grab(event, pane) {
    if (!this.on || event.button !== 0) return;
    event.preventDefault();
    pane.setPointerCapture(event.pointerId);
    const drag = new AbortController();
    let { clientX, clientY } = event;
    const move = (moved) => {
      this.moveBy(clientX - moved.clientX, clientY - moved.clientY);
      ({ clientX, clientY } = moved);
    };
    pane.addEventListener("pointermove", move, { signal: drag.signal });
    for (const end of ["pointerup", "pointercancel"]) {
      pane.addEventListener(end, () => drag.abort(), { signal: drag.signal });
    }
  }

  #wheel(event) {
    if (!this.on || event.ctrlKey) return;
    event.preventDefault();
    this.moveBy(event.deltaX, event.deltaY);
  }

  /** "1:1", "8:1": device pixels to clip pixels. */
  get words() {
    return `${this.factor ?? 1}:1`;
  }
}
