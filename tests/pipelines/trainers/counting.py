"""A trainer that counts: standard library only, checkpoints like a real one, misbehaves on demand.

    python -I counting.py RUN_DIR

Config: steps, pause (seconds per step), save_every, and `fault` with the step in `at`:
one of FAULTS, or of FAULTS_OF_A_SAVE from that step on; or at the end no_outcome, bad_hash,
killed_before_outcome.
`untied` lets it outlive its parent.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from formats.checkpoints import commit_checkpoint, commit_folder, newest_verified
from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, end_process, supervise

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
    config = run.dir.config()

    def fill(folder: Path) -> None:
        (folder / "value.json").write_text(json.dumps({"value": value}))
        fault = FAULTS_OF_A_SAVE.get(config.get("fault"))
        if fault is not None and step >= config["at"]:
            note(run, config["fault"], step)
            fault(folder, run)

    commit_checkpoint(run.dir.checkpoints, step, run.fence, fill)


def note(run: Supervised, what: str, step: int) -> None:
    """One line per step with the time: tests look for overlaps and repeated work in them."""
    with (run.dir.root / "steps.jsonl").open("a") as file:
        line = {"what": what, "step": step, "fence": run.fence, "pid": os.getpid()}
        file.write(json.dumps(line | {"time": time.monotonic()}) + "\n")


def misbehave(config: dict, step: int, run: Supervised) -> None:
    if step == config.get("at") and config.get("fault") in FAULTS:
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


def burn() -> None:
    while True:
        pass


def fill_the_disk(folder: Path, _run: Supervised) -> None:
    (folder / "weights").write_bytes(bytes(10))  # and then, as the kernel says it:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def outgrow_the_limit(folder: Path, _run: Supervised) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.RLIM_INFINITY))
    (folder / "weights").write_bytes(bytes(2**20))


def eat(_folder: Path, run: Supervised) -> None:
    """As much as a step of the config needs, or the half of it."""
    bytearray(run.dir.config()["appetite"] // run.dir.split())


FAULTS_OF_A_SAVE = {"full_disk": fill_the_disk, "file_limit": outgrow_the_limit, "hungry": eat}
FAULTS = {
    "crash": crash,
    "bad_config": refuse,
    "deaf": ignore_everybody,
    "hang": lambda: time.sleep(3600),
    "burn": burn,
    "nap": lambda: time.sleep(4.0),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "again": lambda: os._exit(75),
    # A grandchild that leaves the session and would outlive everybody.
    "spawn": lambda: subprocess.Popen(["sleep", "3600"], start_new_session=True),
}


if __name__ == "__main__":
    end_process(supervise(count, RunDir(sys.argv[-1])))
