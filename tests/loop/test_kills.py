"""kill -9 of a real trainer and of its worker: the run goes on from its last checkpoint."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from formats.checkpoints import checkpoints
from formats.run_dir import RunDir
from pipelines.loops import demo_site
from pipelines.models import Run, RunState
from pipelines.starting import start_run
from tests.loop.conftest import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("loop"),
]

SECONDS = 150


def processes_of(run: Run, runs_root: Path) -> Iterator[int]:
    """Living processes that have this run's directory as an argument."""
    wanted = str(runs_root / str(run.pk)).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in words:
            yield int(entry.name)


def test_a_real_training_survives_the_kill_of_its_trainer_and_of_its_worker(
    worker: Callable[..., Any], mia: Any, settings: Any, tmp_path: Path
) -> None:
    config = {**demo_site.preset("micro")["pretrain_vlm"], "steps": 60, "save_every": 3}
    run = start_run("pretrain", config, user=mia, name="Tiny VLM")
    folder = RunDir(settings.RUNS_ROOT / str(run.pk))
    log = tmp_path / "worker.log"

    def story() -> str:
        run.refresh_from_db()
        trainer = folder.log_file.read_text()[-1500:] if folder.log_file.exists() else ""
        return f"{run.state} {run.message}\n{trainer}\n{log.read_text()[-1500:]}"

    def saved(step: int) -> Callable[[], bool]:
        return lambda: any(each.step >= step for each in checkpoints(folder.checkpoints))

    with worker() as first:
        wait_until(saved(3), SECONDS, story)
        for pid in processes_of(run, settings.RUNS_ROOT):
            os.kill(pid, signal.SIGKILL)
        wait_until(saved(12), SECONDS, story)
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_until(lambda: not list(processes_of(run, settings.RUNS_ROOT)), 10, story)
    with worker():
        wait_until(lambda: Run.objects.get(pk=run.pk).state == RunState.SUCCEEDED, SECONDS, story)
    run.refresh_from_db()
    assert run.fence == 3  # the first start, after the trainer's death, after the worker's
    logged = [line.step for line in folder.metrics_from(0)[0] if line.stage == "pretraining"]
    # It never began again at the first step, and each step was logged at least once.
    assert logged.count(1) == 1
    assert set(logged) == set(range(1, 61))
    assert list(processes_of(run, settings.RUNS_ROOT)) == []
