"""A trainer of several processes that agree on each step over gloo, as the real ones do.

    python -I -m trainers.torchrun N -I agreeing.py RUN_DIR

Config: steps, and `stopped_at`: the step at which the last process stops dead (SIGSTOP).
"""

import os
import signal
import sys
import time

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise
from trainers.world import joined


def work(run: Supervised) -> Outcome:
    config = run.dir.config()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with joined(size) as world:
        run.agree = world.most
        for step in range(1, config["steps"] + 1):
            run.check()
            if rank == 0:
                run.dir.log_metrics(step, config["steps"], stage="agreeing")
            if rank == size - 1 and step == config.get("stopped_at") and run.fence == 1:
                (run.dir.root / "stopped").write_text(str(time.monotonic()))
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.02)
    return Outcome(0, "done", summary={"processes": size})


if __name__ == "__main__":
    end_process(supervise(work, RunDir(sys.argv[-1])))
