"""A trainer that counts: standard library only, checkpoints like a real one, misbehaves on demand.

    python -I counting.py RUN_DIR

Config: steps, pause (seconds per step), save_every, and `fault` with the step in `at`:
one of FAULTS, or at the end no_outcome, bad_hash, killed_before_outcome.
`untied` lets it outlive its parent.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, supervise

_PR_SET_PDEATHSIG = 1


def count(run: Supervised) -> Outcome:
    config = run.dir.config()
    value, start = resume(run)
    note(run, "start", start)
    if config.get("fault") == "untied":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0)
    for step in range(start + 1, config["steps"] + 1):
        run.check(lambda: save(run, step - 1, value))  # noqa: B023 - called at once
        misbehave(config, step, run)
        time.sleep(config.get("pause", 0.0))
        value += step
        note(run, "step", step)
        run.dir.log_metrics(step, config["steps"], {"value": value}, stage="counting")
        if step % config.get("save_every", 5) == 0:
            save(run, step, value)
    if config.get("fault") == "no_outcome":
        os._exit(0)
    return finish(run, config, value)


def finish(run: Supervised, config: dict, value: int) -> Outcome:
    sha256 = write_json(run.dir.outputs / "sum.json", "sum/1", {"value": value})
    if config.get("folder"):
        # As the real trainers do: a folder of that name may not be there yet.
        commit_folder(run.dir.outputs / "folder", lambda _: None)
    if config.get("fault") == "killed_before_outcome" and run.fence == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.get("fault") == "bad_hash":
        sha256 = "0" * 64
    path = config.get("output_path", "outputs/sum.json")
    output = Output(OutputKind.SCORES, path, sha256, {"value": value})
    return Outcome(0, outputs=(output,), summary={"value": value})


def resume(run: Supervised) -> tuple[int, int]:
    newest = newest_verified(run.dir.checkpoints, print)
    if newest is None:
        return 0, 0
    return json.loads((newest.path / "value.json").read_text())["value"], newest.step


def save(run: Supervised, step: int, value: int) -> None:
    def fill(folder: Path) -> None:
        (folder / "value.json").write_text(json.dumps({"value": value}))

    commit_checkpoint(run.dir.checkpoints, step, run.fence, fill)


def note(run: Supervised, what: str, step: int) -> None:
    """One line per step with the time: tests look for overlaps and repeated work in them."""
    with (run.dir.root / "steps.jsonl").open("a") as file:
        line = {"what": what, "step": step, "fence": run.fence, "pid": os.getpid()}
        file.write(json.dumps(line | {"time": time.monotonic()}) + "\n")


def misbehave(config: dict, step: int, run: Supervised) -> None:
    if step == config.get("at") and "fault" in config:
        note(run, config["fault"], step)
        child = FAULTS[config["fault"]]()
        if child is not None:
            (run.dir.root / "grandchild").write_text(str(child.pid))


def crash() -> None:
    raise RuntimeError("the counter broke")


def refuse() -> None:
    raise BadConfigError("this counter cannot count so far")


def ignore_everybody() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


FAULTS = {
    "crash": crash,
    "bad_config": refuse,
    "deaf": ignore_everybody,
    "hang": lambda: time.sleep(3600),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "again": lambda: os._exit(75),
    # A grandchild that leaves the session and would outlive everybody.
    "spawn": lambda: subprocess.Popen(["sleep", "3600"], start_new_session=True),
}


if __name__ == "__main__":
    sys.exit(supervise(count, RunDir(sys.argv[-1])))
