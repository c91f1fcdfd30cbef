// Curves as SVG: no library, no inline style, colours from the style sheet. The arithmetic is pure.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 140;
const PAD = { left: 46, right: 8, top: 8, bottom: 20 };

/** Exponential smoothing with the bias of its start taken out; `weight` 0 gives the points back. */
export function smoothed(points, weight) {
  let mean = 0;
  let norm = 0;
  return points.map(([x, y]) => {
    mean = weight * mean + (1 - weight) * y;
    norm = weight * norm + (1 - weight);
    return [x, mean / norm];
  });
}

/** About `count` round numbers that cover low to high. */
export function ticks(low, high, count = 3) {
  if (low === high) return [low];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const first = Math.ceil(low / step - 1e-9) || 0; // not minus zero
  const found = [];
  for (let k = first; k * step <= high + step * 1e-9; k += 1) found.push(k * step);
  return found;
}

/** A number in at most five characters or so. */
export function brief(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace("e+", "e");
  if (size >= 10000) return `${Math.round(value / 1000)}k`;
  return String(Number(value.toPrecision(4)));
}

/** The point whose x is nearest; `points` are sorted by x. */
export function nearest(points, x) {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle;
    else high = middle;
  }
  return Math.abs(points[high][0] - x) < Math.abs(points[low][0] - x) ? points[high] : points[low];
}

/** Points of one curve by step: a step that comes again replaces what was there. */
export class Series {
  constructor() {
    this.values = new Map();
    this.points = [];
  }

  add(step, value) {
    const isLast = !this.points.length || step > this.points[this.points.length - 1][0];
    this.values.set(step, value);
    if (isLast) this.points.push([step, value]);
    else this.points = [...this.values].sort((a, b) => a[0] - b[0]);
  }

  get last() {
    return this.points[this.points.length - 1];
  }
}

/** An element of a drawing. */
export function svg(name, attributes = {}, parent = null) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

function range(points) {
  let [low, high] = [Infinity, -Infinity];
  for (const [, y] of points) {
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - margin, high + margin];
}

/** One chart with a title, the latest value, axes, and the value under the pointer. */
export class Curve {
  constructor(name) {
    this.element = document.createElement("figure");
    this.element.className = "curve";
    const caption = document.createElement("figcaption");
    this.title = document.createElement("span");
    this.title.textContent = name;
    this.reading = document.createElement("span");
    this.reading.className = "number";
    caption.append(this.title, this.reading);
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name });
    this.element.append(caption, this.svg);
    this.points = [];
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#leave());
  }

  draw(points, smoothing = 0) {
    this.points = points;
    if (!points.length) return;
    this.x = [points[0][0], Math.max(points[points.length - 1][0], points[0][0] + 1)];
    this.y = range(points);
    this.svg.replaceChildren();
    this.#axes();
    this.#path(points, smoothing > 0 ? "curve-raw" : "curve-line");
    if (smoothing > 0) this.#path(smoothed(points, smoothing), "curve-line");
    this.mark = svg("g", { class: "curve-mark", visibility: "hidden" }, this.svg);
    svg("line", { y1: PAD.top, y2: HEIGHT - PAD.bottom }, this.mark);
    svg("circle", { r: 3 }, this.mark);
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
      label.textContent = brief(tick);
    }
    for (const [step, anchor] of [[this.x[0], "start"], [this.x[1], "end"]]) {
      const [x] = this.#at([step, this.y[0]]);
      const label = svg("text", { x, y: HEIGHT - 5, "text-anchor": anchor }, this.svg);
      label.textContent = brief(step);
    }
  }

  #path(points, name) {
    const d = points.map((point, index) => {
      const [x, y] = this.#at(point);
      return `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    svg("path", { class: name, d: d.join("") }, this.svg);
    if (points.length === 1) {
      const [cx, cy] = this.#at(points[0]);
      svg("circle", { class: "curve-dot", cx, cy, r: 3 }, this.svg);
    }
  }

  #point(event) {
    if (!this.points.length) return;
    const box = this.svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width) * WIDTH;
    const width = WIDTH - PAD.left - PAD.right;
    const step = this.x[0] + ((share - PAD.left) / width) * (this.x[1] - this.x[0]);
    const point = nearest(this.points, step);
    const [x, y] = this.#at(point);
    const [line, dot] = this.mark.children;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", y);
    this.mark.setAttribute("visibility", "visible");
    this.reading.textContent = `${brief(point[1])} at ${point[0]}`;
  }

  #leave() {
    this.mark?.setAttribute("visibility", "hidden");
    const last = this.points[this.points.length - 1];
    if (last) this.reading.textContent = brief(last[1]);
  }
}
