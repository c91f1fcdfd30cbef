"""Processes are killed, stopped and frozen while they work; the run goes on and nothing is left."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from pipelines import launching, worker
from pipelines.models import Artifact, Metric, Run, RunState, WorkerHeartbeat
from pipelines.worker import Worker
from tests.pipelines.conftest import steps_of, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
Start = Callable[..., subprocess.Popen[bytes]]


def state_of(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def counted(run: Run, steps: int) -> Callable[[], bool]:
    return lambda: len([line for line in steps_of(run) if line["what"] == "step"]) >= steps


def succeeded(run: Run, seconds: float = 20) -> Run:
    wait_until(lambda: state_of(run) == RunState.SUCCEEDED, f"run {run.pk} succeeds", seconds)
    return Run.objects.get(pk=run.pk)


def starts(run: Run) -> list[int]:
    return [line["step"] for line in steps_of(run) if line["what"] == "start"]


def child_of(run: Run) -> int:
    pid: int = steps_of(run)[-1]["pid"]
    return pid


def assert_nothing_is_left(*runs: Run) -> None:
    for run in runs:
        run.refresh_from_db()
        assert launching.leftovers(run) == []


@pytest.mark.promise("J4")
def test_kill_9_of_the_trainer_costs_at_most_what_lies_behind_the_last_checkpoint(
    start_worker: Start, queue_count: Any
) -> None:
    run = queue_count(steps=60, pause=0.02, save_every=5)
    start_worker()
    wait_until(counted(run, 17), "17 steps")
    os.kill(child_of(run), signal.SIGKILL)
    run = succeeded(run)
    assert (run.attempt, run.fence) == (2, 2)
    assert run.events.filter(before="running", after="queued", note="killed").count() == 1
    assert run.summary == {"value": 1830}  # 1 + 2 + … + 60
    assert starts(run)[1] >= 15
    assert Metric.objects.filter(run=run).count() == 60
    assert Artifact.objects.filter(run=run).count() == 1
    assert_nothing_is_left(run)


@pytest.mark.promise("J4")
def test_kill_9_of_the_worker_takes_the_trainer_along_and_the_next_worker_goes_on(
    start_worker: Start, queue_count: Any
) -> None:
    run = queue_count(steps=60, pause=0.02, save_every=5)
    first = start_worker()
    wait_until(counted(run, 17), "17 steps")
    run.refresh_from_db()
    first.kill()
    first.wait()
    wait_until(lambda: launching.leftovers(run) == [], "the trainer is gone", 1.0)
    run.refresh_from_db()
    assert run.state == RunState.RUNNING  # Nobody could say goodbye.
    # Longer than a busy machine takes to start a worker.
    lease_until = run.lease_until + timedelta(minutes=5)
    Run.objects.filter(pk=run.pk).update(lease_until=lease_until)
    start_worker()
    run = succeeded(run)
    # The owner was a process of this host, so nobody waited for its lease.
    assert run.events.get(note="lost").at < lease_until
    assert run.fence == 2
    assert starts(run)[1] >= 15
    assert run.summary == {"value": 1830}
    assert_nothing_is_left(run)


@pytest.mark.promise("J4")
def test_kill_9_of_the_worker_takes_a_django_bound_child_along_too(
    start_worker: Start, queue_count: Any
) -> None:
    run = queue_count(kind="performing", steps=200, pause=0.02)
    process = start_worker()
    wait_until(lambda: Metric.objects.exists() or Run.objects.get(pk=run.pk).step > 3, "steps", 20)
    run.refresh_from_db()
    assert len(launching.leftovers(run)) == 1
    process.kill()
    process.wait()
    wait_until(lambda: launching.leftovers(run) == [], "the child is gone", 1.0)


def test_a_django_bound_run_is_performed_by_its_function(
    start_worker: Start, queue_count: Any
) -> None:
    run = queue_count(kind="performing", steps=2)
    process = start_worker("--once")
    assert process.wait(30) == 0
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.message
    assert run.summary["kind"] == "performing"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_asked_to_leave_puts_its_runs_back_and_leaves_nothing(
    start_worker: Start, queue_count: Any, number: signal.Signals
) -> None:
    runs = [queue_count(steps=2000, pause=0.01, save_every=10_000) for _ in range(2)]
    process = start_worker("--slots", "2")
    for run in runs:
        wait_until(counted(run, 5), "5 steps")
    assert WorkerHeartbeat.objects.get().slots == 2
    process.send_signal(number)
    assert process.wait(10) == 0
    for run in runs:
        run.refresh_from_db()
        assert (run.state, run.reason, run.attempt) == (RunState.QUEUED, "worker_left", 0)
        assert len(list(launching.run_dir(run).checkpoints.iterdir())) == 1
    assert not WorkerHeartbeat.objects.exists()
    assert_nothing_is_left(*runs)


def freeze(process: subprocess.Popen[bytes], run: Run) -> None:
    """Stop a process between two transactions.

    In the middle of one it would keep its lock until PostgreSQL ends the session after 30 s
    (settings), which is the longest that a frozen worker can delay its successor.
    """
    while True:
        process.send_signal(signal.SIGSTOP)
        if is_unlocked(run):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.03)


def is_unlocked(run: Run) -> bool:
    try:
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2)) as other:
                other.execute("BEGIN IMMEDIATE")
            return True
        with transaction.atomic():
            return Run.objects.select_for_update(nowait=True).get(pk=run.pk) is not None
    except (sqlite3.OperationalError, OperationalError):
        return False


@pytest.mark.promise("J5")
def test_a_frozen_worker_loses_its_run_and_writes_nothing_when_it_wakes(
    start_worker: Start, queue_count: Any
) -> None:
    run = queue_count(steps=250, pause=0.02, save_every=5)
    zombie = start_worker()
    wait_until(counted(run, 10), "10 steps")
    freeze(zombie, run)
    start_worker()
    wait_until(lambda: 2 in {line["fence"] for line in steps_of(run)}, "the second takes over", 60)
    zombie.send_signal(signal.SIGCONT)
    run = succeeded(run)
    assert run.fence == 2
    lines = steps_of(run)
    last_of_first = max(line["time"] for line in lines if line["fence"] == 1)
    first_of_second = min(line["time"] for line in lines if line["fence"] == 2)
    # The child of the frozen worker obeyed the deadline in its lease file: 0 s of overlap.
    assert last_of_first < first_of_second
    assert [(e.after, e.fence) for e in run.events.all() if e.after == "succeeded"] == [
        ("succeeded", 2)
    ]
    resumed_at = starts(run)[1]
    behind = Metric.objects.filter(run=run, step__gt=resumed_at)
    assert set(behind.values_list("fence", flat=True)) == {2}
    assert Artifact.objects.filter(run=run).count() == 1
    assert zombie.poll() is None
    assert_nothing_is_left(run)


@pytest.mark.promise("J4")
def test_many_random_kills_of_workers_and_trainers_lose_no_run(
    start_worker: Start, queue_count: Any
) -> None:
    chance = random.Random(7)
    runs = [queue_count(steps=40, pause=0.02, save_every=4) for _ in range(5)]
    Run.objects.update(max_attempts=50)
    workers = [start_worker("--slots", "2") for _ in range(2)]
    for _ in range(10):
        time.sleep(0.35)
        n = chance.randrange(2)
        if chance.random() < 0.3:
            workers[n].kill()
            workers[n].wait()
            workers[n] = start_worker("--slots", "2")
            continue
        active = [run for run in runs if state_of(run) == RunState.RUNNING and steps_of(run)]
        if active:
            victim = chance.choice(active)
            victim.refresh_from_db()
            for pid in launching.leftovers(victim):
                with suppress(ProcessLookupError):  # it ended by itself in between
                    os.kill(pid, signal.SIGKILL)
    for run in runs:
        assert succeeded(run, 40).summary == {"value": 820}  # 1 + 2 + … + 40
        assert run.events.filter(after="succeeded").count() == 1
        assert Artifact.objects.filter(run=run).count() == 1
        for before, after in pairwise(starts(run)):
            assert after >= before
    assert_nothing_is_left(*runs)


@pytest.mark.promise("J10")
def test_a_poison_run_stops_itself_and_the_others_finish(
    start_worker: Start, queue_count: Any
) -> None:
    poison = queue_count(steps=5, fault="segfault", at=1)
    healthy = [queue_count(steps=3) for _ in range(4)]
    process = start_worker("--until-idle")
    assert process.wait(40) == 0
    poison.refresh_from_db()
    assert (poison.state, poison.reason, poison.attempt) == (RunState.FAILED, "killed", 3)
    assert {state_of(run) for run in healthy} == {"succeeded"}


def test_a_slot_survives_what_nobody_thought_of(
    queue_count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queue_count(steps=1), queue_count(steps=1)
    real = worker.supervise

    def supervise(run: Run, *arguments: Any, **named: Any) -> None:
        if run.pk == first.pk and run.fence == 1:
            raise ZeroDivisionError
        real(run, *arguments, **named)

    monkeypatch.setattr(worker, "supervise", supervise)
    Worker(["default"], slots=1).run(until_idle=True)
    # Nobody supervised the first one, so its lease ran out and it was claimed again.
    assert [(state_of(run), Run.objects.get(pk=run.pk).fence) for run in (first, second)] == [
        ("succeeded", 2),
        ("succeeded", 1),
    ]
