"""A trainer of several processes without torch: each says that it was there. `fault` as asked.

python -I -m trainers.torchrun N -I together.py RUN_DIR
"""

import os
import signal
import sys
import time

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, end_process, supervise


def work(run: Supervised) -> Outcome:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    (run.dir.root / f"rank-{rank}").write_text(str(os.getpid()))
    while len(list(run.dir.root.glob("rank-*"))) < size:
        time.sleep(0.01)
    if rank == 1:
        misbehave(run.dir.config().get("fault", ""))
    if run.dir.config().get("fault"):
        while True:  # As one that waits for what the other was to send.
            run.check()
            time.sleep(0.02)
    if rank == 0:
        run.dir.log_metrics(1, 1, {"processes": size}, stage="together")
    return Outcome(0, "done", f"{size} processes", summary={"processes": size, "writer": rank})


def misbehave(fault: str) -> None:
    if fault == "refuse":
        raise BadConfigError("the second process cannot do that")
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_process(supervise(work, RunDir(sys.argv[-1])))
