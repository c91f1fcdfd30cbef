"""A trainer that leaves a folder and may be killed behind any step of its commit.

    python -I leaving.py RUN_DIR

Config: `kill`, one of the steps of `formats.checkpoints.commit_folder`; in the first attempt the
process is killed when that step is done, or half done where it is `fill`.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from formats import checkpoints
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise

STEPS = ("begin", "fill", "hash", "describe", "sync", "show", "check")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_behind(call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        call(*args)
        die()

    return wrapper


def leave(run: Supervised) -> Outcome:
    config = run.dir.config()
    step = config.get("kill") if run.fence == 1 else None
    if step not in (None, "fill"):
        name = f"_{step}"
        setattr(checkpoints, name, killed_behind(getattr(checkpoints, name)))

    def fill(folder: Path) -> None:
        (folder / "weights.bin").write_bytes(f"weights {config['seed']}".encode() * 1000)
        if step == "fill":
            die()
        (folder / "card.json").write_text("{}")

    sha256 = checkpoints.commit_folder(run.dir.outputs / "model", fill)
    run.dir.log_metrics(1, 1, {})
    return Outcome(0, outputs=(Output(OutputKind.SCORES, "outputs/model", sha256),))


if __name__ == "__main__":
    end_process(supervise(leave, RunDir(sys.argv[-1])))
