"""A trainer of several processes that talk over gloo in every step, as real ones do.

Sums ranks over all processes, saves every few steps, goes on from what was saved. Says in the run
directory who runs where: `places.jsonl`, one line per process and attempt.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

from formats.checkpoints import commit_checkpoint, newest_verified
from formats.files import write_json
from formats.outcome import Outcome, Output, OutputKind
from formats.run_dir import RunDir
from formats.supervised import Supervised, supervise


def work(run: Supervised) -> Outcome:
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()

    def most(value: int) -> int:
        tensor = torch.tensor(value)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor)

    run.agree = most
    note(run, rank)
    config = run.dir.config()
    value, start = resume(run)
    for step in range(start + 1, config["steps"] + 1):
        run.check(lambda: save(run, rank, step - 1, value))  # noqa: B023 - called at once
        time.sleep(config.get("pause", 0.0))
        tensor = torch.tensor(step * (rank + 1))
        dist.all_reduce(tensor)
        value += int(tensor)
        if rank == 0:
            run.dir.log_metrics(step, config["steps"], {"value": value}, stage="together")
        if step % 5 == 0:
            save(run, rank, step, value)
    dist.destroy_process_group()
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
    sys.exit(supervise(work, RunDir(sys.argv[-1])))
