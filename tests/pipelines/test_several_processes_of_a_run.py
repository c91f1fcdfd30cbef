"""A run of several processes under the supervisor: torchrun is started, watched and ended by it."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from pipelines import kinds, launching
from pipelines.models import Run, RunState
from pipelines.starting import cancel_run
from pipelines.worker import Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_engine]

Queue = Callable[..., Run]


def worked(run: Run) -> Run:
    """As `manage.py worker --until-idle` leaves it."""
    Worker(["default"], slots=1).run(until_idle=True)
    run.refresh_from_db()
    return run


def pids(run: Run) -> list[int]:
    folder = launching.run_dir(run).root
    return [int(path.read_text()) for path in sorted(folder.glob("rank-*")) if path.read_text()]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_worker_runs_several_processes_and_registers_what_the_first_says(
    queue_count: Queue, client: Client, mia: Any
) -> None:
    run = worked(queue_count(kind="together", processes=2))
    assert (run.state, run.message) == (RunState.SUCCEEDED, "2 processes")
    assert run.summary == {"processes": 2, "writer": 0}
    assert len(set(pids(run))) == 2
    client.force_login(mia)
    assert "· 2 processes" in client.get(f"/runs/{run.pk}/").content.decode()
    assert launching.leftovers(run) == []


def test_what_one_process_refuses_ends_the_run_at_once_with_its_sentence(
    queue_count: Queue,
) -> None:
    run = worked(queue_count(kind="together", processes=2, fault="refuse"))
    assert (run.state, run.reason) == (RunState.FAILED, "bad_config")
    assert run.message == "the second process cannot do that"
    assert run.attempt <= 1
    assert not any(map(alive, pids(run)))


@pytest.mark.faults
def test_a_process_that_dies_takes_the_others_with_it(queue_count: Queue, settings: Any) -> None:
    run = queue_count(kind="together", processes=2, fault="killed")
    Run.objects.filter(pk=run.pk).update(max_attempts=1)
    run = worked(run)
    assert (run.state, run.reason) == (RunState.FAILED, "killed")
    assert "SIGKILL" in run.message
    assert not any(map(alive, pids(run)))


def shows_its_stack(log: Path) -> bool:
    return log.exists() and " in work" in log.read_text()


@pytest.mark.faults
def test_processes_show_their_stacks_and_end_with_their_torchrun(queue_count: Queue) -> None:
    run = queue_count(kind="together", processes=2, fault="wait")
    launching.prepare(run)
    child = launching.start(kinds.get("together"), run, slots=1)
    deadline = time.monotonic() + 90
    while len(pids(run)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    started = pids(run)
    assert all(map(alive, started))
    child.send_signal(signal.SIGUSR1)  # as the supervisor does to a run that hangs
    folder = launching.run_dir(run)
    logs = [folder.log_of(rank) for rank in (0, 1)]
    while not all(map(shows_its_stack, logs)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(shows_its_stack, logs))  # each process in a log of its own
    assert folder.logs() == {0: logs[0], 1: logs[1]}
    assert child.poll() is None
    child.kill()
    child.wait(10)
    while any(map(alive, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, started))


@pytest.mark.faults
def test_a_cancelled_run_leaves_none_of_its_processes(queue_count: Queue, mia: Any) -> None:
    run = queue_count(kind="together", processes=2, fault="wait")
    worker = Worker(["default"], slots=1)

    def work() -> None:
        worker.run(until_idle=True)
        connection.close()  # this thread's own

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 90
    while len(pids(run)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(alive, pids(run)))
    run.refresh_from_db()
    cancel_run(run, mia)
    thread.join(30)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert not any(map(alive, pids(run)))
    assert launching.leftovers(run) == []
