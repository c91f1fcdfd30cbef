// What a mark of a chart says, shown beside it: on hover, on touch, and by keyboard. A chart is one
// stop of the Tab key; arrows, Home and End walk over its marks. Without this script the tables
// behind the charts hold the same figures.

const MARKS = "[data-tip]";

/** The mark that a key leads to; null where the key is for something else. */
export function walked(key, at, count) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  if (!(key in steps)) return null;
  return Math.min(count - 1, Math.max(0, at + steps[key]));
}

/** Where the tip stands: above the mark, inside the window; below where there is no room above. */
export function placed(mark, tip, view, gap = 8) {
  const middle = mark.left + mark.width / 2 - tip.width / 2;
  const left = Math.max(gap, Math.min(view.width - tip.width - gap, middle));
  const above = mark.top - tip.height - gap;
  return { left, top: above >= gap ? above : Math.min(mark.bottom + gap, view.height - tip.height) };
}

function makeTip() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  // A mark's own label says the same to a screen reader.
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  return tip;
}

// The visible part of a mark, not the strip around it.
function boxOf(mark) {
  return (mark.querySelector(".dot, .bar, .share") ?? mark).getBoundingClientRect();
}

/** Listens on `root` for all charts in it, also those that come later. */
export function followTips(root) {
  const tip = makeTip();

  function show(mark) {
    tip.textContent = mark.dataset.tip;
    tip.hidden = false;
    const view = { width: document.documentElement.clientWidth, height: window.innerHeight };
    const { left, top } = placed(boxOf(mark), tip.getBoundingClientRect(), view);
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  function hide() {
    tip.hidden = true;
  }

  // One mark of each chart can be reached by Tab: the first, then the one that was visited last.
  function prepare() {
    for (const chart of root.querySelectorAll("[data-chart]:not([data-ready])")) {
      chart.dataset.ready = "";
      [...chart.querySelectorAll(MARKS)].forEach((mark, index) => {
        mark.setAttribute("tabindex", index ? "-1" : "0");
      });
    }
  }

  root.addEventListener("pointerover", (event) => {
    const mark = event.target.closest(MARKS);
    if (mark) show(mark);
    else hide();
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("focusin", (event) => {
    const mark = event.target.closest(MARKS);
    if (mark) show(mark);
    else hide();
  });
  root.addEventListener("focusout", hide);
  window.addEventListener("scroll", hide, { passive: true, capture: true });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const mark = event.target.closest(MARKS);
    const chart = mark?.closest("[data-chart]");
    if (!chart) return;
    const marks = [...chart.querySelectorAll(MARKS)];
    const next = walked(event.key, marks.indexOf(mark), marks.length);
    if (next === null) return;
    event.preventDefault();
    mark.setAttribute("tabindex", "-1");
    marks[next].setAttribute("tabindex", "0");
    marks[next].focus();
  });
  root.addEventListener("htmx:afterSettle", prepare);
  prepare();
}
