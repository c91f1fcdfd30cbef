"""A trainer of several processes that talk over gloo in every step, as real ones do.

With `"talk": false` they do not, and need no torch: nobody notices by himself that one is lost.
Sums ranks over all processes, saves every few steps, goes on from what was saved. Says in the run
directory who runs where: `places.jsonl`, one line per process and attempt.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import Supervised, end_process, supervise


class Silent:
    """Each process knows what the others say, so nobody has to say it."""

    def __init__(self, rank: int, size: int):
        self.rank, self.size = rank, size

    def most(self, value: int) -> int:
        return value

    def sum_of(self, step: int) -> int:
        return sum(step * (rank + 1) for rank in range(self.size))


class Talking(Silent):
    def __init__(self, rank: int, size: int):
        import torch
        import torch.distributed as dist

        super().__init__(rank, size)
        self._dist, self._tensor = dist, torch.tensor
        dist.init_process_group("gloo")

    def most(self, value: int) -> int:
        return self._reduced(value, self._dist.ReduceOp.MAX)

    def sum_of(self, step: int) -> int:
        return self._reduced(step * (self.rank + 1), self._dist.ReduceOp.SUM)

    def _reduced(self, value: int, how: Any) -> int:
        tensor = self._tensor(value)
        self._dist.all_reduce(tensor, op=how)
        return int(tensor)


def work(run: Supervised) -> Outcome:
    config = run.dir.config()
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    world = (Talking if config.get("talk", True) else Silent)(rank, size)
    run.agree = world.most
    note(run, rank)
    value, start = resume(run)
    for step in range(start + 1, config["steps"] + 1):
        run.check(lambda: save(run, rank, step - 1, value))  # noqa: B023 - called at once
        time.sleep(config.get("pause", 0.0))
        value += world.sum_of(step)
        if rank == 0:
            run.dir.log_metrics(step, config["steps"], {"value": value}, stage="together")
        if step % 5 == 0:
            save(run, rank, step, value)
    sha256 = write_json(run.dir.outputs / f"sum-{rank}.json", "sum/1", {"value": value})
    output = Output(OutputKind.SCORES, "outputs/sum-0.json", sha256, {"value": value})
    return Outcome(0, outputs=(output,), summary={"value": value, "processes": size})


def note(run: Supervised, rank: int) -> None:
    line = {"rank": rank, "pid": os.getpid(), "fence": run.fence, "host": socket.gethostname()}
    line["address"] = os.environ.get("TIEBREAK_HOST_ADDRESS", "")
    with (run.dir.root / "places.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def resume(run: Supervised) -> tuple[int, int]:
    newest = newest_verified(run.dir.checkpoints, print)
    if newest is None:
        return 0, 0
    return json.loads((newest.path / "value.json").read_text())["value"], newest.step


def save(run: Supervised, rank: int, step: int, value: int) -> None:
    def fill(folder: Path) -> None:
        (folder / "value.json").write_text(json.dumps({"value": value}))

    if rank == 0 and not (run.dir.checkpoints / f"ckpt-{step}-{run.fence}").exists():
        commit_checkpoint(run.dir.checkpoints, step, run.fence, fill)


if __name__ == "__main__":
    end_process(supervise(work, RunDir(sys.argv[-1])))
