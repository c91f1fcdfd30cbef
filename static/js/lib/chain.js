// How several runs in one box look together; of one run, how it looks. As pipelines/graph.py has it.

const LOUDEST = [
  "failed",
  "cancelled",
  "starting",
  "running",
  "pausing",
  "cancelling",
  "committing",
  "paused",
  "queued",
  "succeeded",
];
const ACTIVE = new Set(["starting", "running", "pausing", "cancelling", "committing"]);

function shareOf(run) {
  if (run.state === "succeeded") return 1;
  return run.total ? Math.min(1, run.step / run.total) : 0;
}

export function shownOf(runs) {
  const states = new Set(runs.map((run) => run.state));
  const state = LOUDEST.find((each) => states.has(each)) ?? runs[0].state;
  const share = runs.reduce((sum, run) => sum + shareOf(run), 0) / runs.length;
  let words = "";
  if (runs.length > 1) {
    const done = runs.filter((run) => run.state === "succeeded").length;
    words = `${done} of ${runs.length} done`;
  } else if (ACTIVE.has(state) && share > 0 && share < 1) {
    words = `${Math.round(100 * share)}%`;
  }
  return { state, words, share };
}
