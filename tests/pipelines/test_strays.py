"""Processes that outlived their attempt are killed; a host that cannot kill them takes no run."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from pipelines import launching, strays, waiting, worker
from pipelines.models import Run, RunState, WorkerHeartbeat
from pipelines.worker import Worker

pytestmark = pytest.mark.django_db
Start = Callable[[Run, int], subprocess.Popen[bytes]]


@pytest.fixture
def process_of(settings: Any, tmp_path: Any) -> Iterator[Start]:
    """A process that carries the tag of an attempt, as whatever a trainer starts does."""
    settings.RUNS_ROOT = tmp_path
    started = []

    def start(run: Run, fence: int) -> subprocess.Popen[bytes]:
        tag = {launching.TAG: f"{launching.run_dir(run).root}#{fence}"}
        process = subprocess.Popen(["sleep", "600"], env={**os.environ, **tag})
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def run_in(state: RunState, fence: int) -> Run:
    active = state not in (RunState.QUEUED, RunState.SUCCEEDED, RunState.PAUSED)
    lease = timezone.now() + timedelta(minutes=1) if active else None
    return Run.objects.create(
        kind="counting", config={}, config_sha="", state=state, fence=fence, lease_until=lease
    )


def test_what_outlived_its_attempt_is_killed_and_what_works_is_left_alone(
    process_of: Start,
) -> None:
    running = run_in(RunState.RUNNING, 2)
    working, earlier = process_of(running, 2), process_of(running, 1)
    ended = process_of(run_in(RunState.SUCCEEDED, 1), 1)
    paused = process_of(run_in(RunState.PAUSED, 1), 1)
    unknown = process_of(Run(pk=10**6), 1)  # of a database that we do not know
    assert strays.hunt() == []
    gone = [each.wait(5) for each in (earlier, ended, paused)]
    assert gone == [-9, -9, -9]
    assert (working.poll(), unknown.poll()) == (None, None)


@pytest.fixture
def unkillable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the kernel holds a process: signals are sent and nothing happens."""
    deaf = SimpleNamespace(**{**vars(os), "kill": lambda _pid, _number: None})
    monkeypatch.setattr(strays, "os", deaf)
    monkeypatch.setattr(launching, "os", deaf)
    monkeypatch.setattr(launching, "signal_group", lambda _process, _number: None)
    monkeypatch.setattr(strays, "_PATIENCE", 0.1)


def test_a_host_that_cannot_kill_a_process_says_so_and_takes_no_run_until_it_is_gone(
    process_of: Start, unkillable: None, short_times: Any, test_kinds: None
) -> None:
    process = process_of(run_in(RunState.SUCCEEDED, 1), 1)
    waits = Run.objects.create(kind="counting", config={"steps": 1}, config_sha="")
    with_stray = Worker(["default"], slots=1)
    assert not with_stray.run_once()
    worker.beat(worker.owner_name(), ["default"], slots=1)
    beat = WorkerHeartbeat.objects.get()
    assert [each["pid"] for each in beat.stuck] == [process.pid]
    said = f"where process {process.pid} of an ended run cannot be killed"
    assert said in waiting.waiting_for(waits)
    process.kill()
    process.wait()
    assert with_stray.run_once()
    waits.refresh_from_db()
    assert waits.state == RunState.SUCCEEDED


def test_the_stuck_of_a_worker_that_is_long_gone_count_no_more(short_times: Any) -> None:
    worker.beat(worker.owner_name(), ["default"], slots=1)
    past = timezone.now() - timedelta(minutes=5)
    WorkerHeartbeat.objects.update(stuck=[{"pid": 1, "run": 1, "state": "D"}])
    assert not worker.may_claim()
    WorkerHeartbeat.objects.update(seen_at=past)
    assert worker.may_claim()


def test_ending_a_child_that_will_not_die_takes_its_patience_and_no_longer(
    process_of: Start, unkillable: None
) -> None:
    run = run_in(RunState.RUNNING, 1)
    process = process_of(run, 1)
    assert launching.end(process, run, patience=0.2) == [process.pid]
    assert process.poll() is None


def test_a_process_has_a_letter_of_the_kernel() -> None:
    assert strays.state_of(os.getpid()) in "RS"
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert strays.state_of(ended.pid) == "X"
