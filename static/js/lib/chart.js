// One chart of several curves: bands, a level to compare with, and steps that are marked. Colours
// come from the style sheet; the arithmetic is pure.

import { brief, nearest, smoothed, svg, ticks } from "./curves.js";

const WIDTH = 320;
const HEIGHT = 150;
const PAD = { left: 46, right: 8, top: 8, bottom: 20 };

/** The least range that holds all that is drawn, with a margin; `level` is always inside. */
export function rangeOf(curves, level = null) {
  const values = level === null ? [] : [level];
  for (const { points } of curves) {
    for (const [, y, low, high] of points) {
      for (const each of [y, low, high]) if (Number.isFinite(each)) values.push(each);
    }
  }
  if (!values.length) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - margin, high + margin];
}

/** Closed path of the points that have an interval: up along the highs, back along the lows. */
export function bandPath(points, at) {
  const known = points.filter(([, , low, high]) => Number.isFinite(low) && Number.isFinite(high));
  if (known.length < 2) return "";
  const upper = known.map(([x, , , high]) => at([x, high]));
  const lower = known.map(([x, , low]) => at([x, low])).reverse();
  return `${linePath([...upper, ...lower])}Z`;
}

/** A line through places. */
export function linePath(places) {
  return places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/**
 * `curves`: [{name, points: [[step, value, low, high], …]}]; low and high may be missing.
 * `marks`: [{step, stopped, title}], drawn as lines. `level`: what the curves are compared with.
 */
export class Chart {
  constructor(title, { level = null } = {}) {
    this.title = title;
    this.level = level;
    this.element = document.createElement("figure");
    this.element.className = "curve";
    this.caption = document.createElement("figcaption");
    this.name = document.createElement("span");
    this.name.textContent = title;
    this.reading = document.createElement("span");
    this.reading.className = "number";
    this.caption.append(this.name, this.reading);
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
    this.element.append(this.caption, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#leave());
  }

  draw(curves, { steps = 0, marks = [], smoothing = 0 } = {}) {
    this.curves = curves.filter(({ points }) => points.length);
    this.element.hidden = !this.curves.length;
    if (!this.curves.length) return;
    const all = this.curves.flatMap(({ points }) => points.map(([x]) => x));
    this.x = [Math.min(...all), Math.max(...all, steps, Math.min(...all) + 1)];
    this.y = rangeOf(this.curves, this.level);
    this.svg.replaceChildren();
    this.#axes();
    for (const each of marks) this.#alarm(each);
    this.curves.forEach((curve, index) => this.#curve(curve, curve.number ?? index + 1, smoothing));
    this.mark = svg("g", { class: "chart-mark", visibility: "hidden" }, this.svg);
    svg("line", { y1: PAD.top, y2: HEIGHT - PAD.bottom }, this.mark);
    this.#leave();
  }

  #at([x, y]) {
    const width = WIDTH - PAD.left - PAD.right;
    const height = HEIGHT - PAD.top - PAD.bottom;
    return [
      PAD.left + ((x - this.x[0]) / (this.x[1] - this.x[0])) * width,
      PAD.top + (1 - (y - this.y[0]) / (this.y[1] - this.y[0])) * height,
    ];
  }

  #axes() {
    for (const tick of ticks(...this.y)) {
      const [, y] = this.#at([this.x[0], tick]);
      svg("line", { class: "curve-grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: y, y2: y }, this.svg);
      const label = svg("text", { x: PAD.left - 6, y: y + 3.5, "text-anchor": "end" }, this.svg);
      label.textContent = brief(Number(tick.toPrecision(12)));
    }
    if (this.level !== null) {
      const [, y] = this.#at([this.x[0], this.level]);
      svg("line", { class: "chart-level", x1: PAD.left, x2: WIDTH - PAD.right, y1: y, y2: y }, this.svg);
    }
    for (const [step, anchor] of [[this.x[0], "start"], [this.x[1], "end"]]) {
      const [x] = this.#at([step, this.y[0]]);
      const label = svg("text", { x, y: HEIGHT - 5, "text-anchor": anchor }, this.svg);
      label.textContent = brief(step);
    }
  }

  #alarm({ step, stopped, title }) {
    if (step < this.x[0] || step > this.x[1]) return;
    const [x] = this.#at([step, this.y[0]]);
    const name = stopped ? "chart-alarm is-stop" : "chart-alarm";
    const line = svg("line", { class: name, x1: x, x2: x, y1: PAD.top, y2: HEIGHT - PAD.bottom }, this.svg);
    svg("title", {}, line).textContent = `${title}, step ${step}`;
  }

  #curve({ points }, number, smoothing) {
    const group = svg("g", { class: `series-${number}` }, this.svg);
    const at = (place) => this.#at(place);
    const band = bandPath(points, at);
    if (band) svg("path", { class: "chart-band", d: band }, group);
    const places = points.map(at);
    if (smoothing > 0 && points.length > 2) {
      svg("path", { class: "chart-raw", d: linePath(places) }, group);
      const smooth = smoothed(points.map(([x, y]) => [x, y]), smoothing);
      svg("path", { class: "chart-line", d: linePath(smooth.map(at)) }, group);
    } else {
      svg("path", { class: "chart-line", d: linePath(places) }, group);
    }
    if (points.length < 60 && !smoothing) {
      for (const [cx, cy] of places) svg("circle", { class: "chart-dot", cx, cy, r: 2.4 }, group);
    }
  }

  #read(pick) {
    const parts = [];
    this.curves.forEach((curve, index) => {
      const [step, value, low, high] = pick(curve.points);
      const part = document.createElement("span");
      part.className = `series-${curve.number ?? index + 1}`;
      if (this.curves.length > 1) {
        const key = document.createElement("span");
        key.className = "key";
        key.textContent = `${curve.name} `;
        part.append(key);
      }
      const known = Number.isFinite(low) && Number.isFinite(high);
      part.append(brief(value), known ? ` (${brief(low)} to ${brief(high)})` : "");
      if (parts.length) parts.push("  ");
      parts.push(part);
      this.shown = step;
    });
    this.reading.replaceChildren(...parts);
  }

  #point(event) {
    if (!this.curves?.length) return;
    const box = this.svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width) * WIDTH;
    const width = WIDTH - PAD.left - PAD.right;
    const step = this.x[0] + ((share - PAD.left) / width) * (this.x[1] - this.x[0]);
    this.#read((points) => nearest(points, step));
    const [x] = this.#at([this.shown, this.y[0]]);
    const [line] = this.mark.children;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    this.mark.setAttribute("visibility", "visible");
    this.reading.append(` at ${this.shown}`);
  }

  #leave() {
    this.mark?.setAttribute("visibility", "hidden");
    this.#read((points) => points[points.length - 1]);
  }
}
