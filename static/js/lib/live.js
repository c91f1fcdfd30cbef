// Pages that stay true: ask every two seconds, show it, say so when the site does not answer.

const PERIOD = 2000;
const BADGES = {
  queued: "",
  succeeded: "badge-ok",
  failed: "badge-bad",
  cancelled: "badge-warn",
  cancelling: "badge-warn",
  pausing: "badge-warn",
  paused: "badge-warn",
};

/**
 * Call `ask` now and again until it gives false. A hidden page asks nothing; failures are shown and
 * asked again, ever more slowly.
 */
export function keepAsking(ask, { period = PERIOD, lost = () => {} } = {}) {
  let failures = 0;
  async function turn() {
    if (document.hidden) {
      document.addEventListener("visibilitychange", turn, { once: true });
      return;
    }
    let goOn = true;
    try {
      goOn = await ask();
      if (failures) lost(false);
      failures = 0;
    } catch (error) {
      failures += 1;
      lost(true, error);
    }
    if (goOn !== false) setTimeout(turn, period * Math.min(1 + failures, 8));
  }
  turn();
}

export async function getJSON(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

/** How many notices are new, in the frame of the site. */
export function showUnread(count) {
  const place = document.querySelector("[data-unread]");
  if (!place || count === undefined) return;
  place.textContent = String(count);
  place.hidden = !count;
}

/** Whether the notice that the site does not answer is shown. */
export function showLost(isLost) {
  for (const each of document.querySelectorAll("[data-lost]")) each.hidden = !isLost;
}

/** Put the values of a run's card where its element has a place for them. */
export function showCard(element, run) {
  const field = (name) => element.querySelector(`[data-field="${name}"]`);
  const text = (name, value, wanted = Boolean(value)) => {
    const place = field(name);
    if (!place) return;
    if (place.textContent !== value) place.textContent = value;
    place.hidden = !wanted;
  };
  const badge = field("state");
  if (badge && badge.textContent !== run.state) {
    badge.textContent = run.state;
    badge.className = `badge ${BADGES[run.state] ?? "badge-active"}`;
  }
  const progress = field("progress");
  if (progress) {
    progress.max = run.total || 1;
    progress.value = run.step;
    progress.hidden = !run.total || run.ended;
  }
  text("count", `${run.step} of ${run.total}`, Boolean(run.total));
  text("stage", run.stage);
  text("rate", run.rate);
  text("left", `${run.left} left`, Boolean(run.left));
  text("took", run.took, true);
  text("words", run.words);
  field("words")?.classList.toggle("is-bad", run.state === "failed");
  for (const each of element.querySelectorAll("[data-if]")) each.hidden = !run[each.dataset.if];
  element.dataset.ended = run.ended ? "1" : "";
}
