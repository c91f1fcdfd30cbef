"""The second path to the work: what a Celery worker finds in the database by itself."""

import fcntl
import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from pipelines import lifecycle, tasks, worker
from pipelines.lookout import Lookout, busy, one_at_a_time
from pipelines.models import Run, RunState
from tests.pipelines.conftest import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_engine]


@pytest.fixture
def lookout(short_times: Any) -> Lookout:
    short_times.TIEBREAK_RUN_UNHEARD_SECONDS = 0.0
    return Lookout(["default"], 1, threading.Event(), beat=lambda: None)


def state_of(run: Run) -> str:
    return Run.objects.get(pk=run.pk).state


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """Two bells ring at once where one of two places is taken; how many are taken then."""
    monkeypatch.setattr(tasks._Celery, "first", os.getpid())
    monkeypatch.setattr(tasks._Celery, "slots", 2)
    monkeypatch.setattr(tasks._Celery, "places", tmp_path / "places")
    monkeypatch.setattr(tasks, "supervise", lambda *_run, slots: None)  # the claims are what counts
    busy_now, claim = tasks.busy, lifecycle.claim
    both = threading.Barrier(2)

    def asked(first: int) -> int:
        found = busy_now(first)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # the other one asks as well, where nothing holds it back
        return found

    def ring(run_id: int) -> None:
        tasks.ring(run_id)
        connection.close()

    def at_once() -> int:
        queued = [Run.objects.create(kind="counting", config={}, config_sha="") for _ in range(3)]
        assert claim(["default"], worker.owner_name(), run_id=queued[0].pk)
        monkeypatch.setattr(tasks, "busy", asked)
        threads = [threading.Thread(target=ring, args=(run.pk,)) for run in queued[1:]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return busy_now(os.getpid())

    return at_once


def test_bells_that_ring_at_once_take_no_more_than_there_are_places(
    bells: Callable[[], int],
) -> None:
    assert bells() == 2


def test_the_race_is_real_without_the_lock_a_place_is_taken_twice(
    bells: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks._Celery, "places", None)
    assert bells() == 3


def test_a_process_that_is_forked_while_a_place_is_taken_does_not_keep_the_lock(
    tmp_path: Path,
) -> None:
    places = tmp_path / "places"
    with one_at_a_time(places):
        links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
        (held,) = [int(link.name) for link in links if link.samefile(places)]
        inherited = os.dup(held)  # what a fork leaves in the new process
    try:
        with places.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(inherited)


def test_what_nobody_was_told_of_is_taken_and_brought_to_its_end(
    lookout: Lookout, queue_count: Any
) -> None:
    run = queue_count(steps=1)
    lookout.look()
    wait_until(lambda: state_of(run) == RunState.SUCCEEDED, "it succeeds")
    lookout.stop()


def test_it_goes_on_though_looking_has_failed(
    lookout: Lookout, queue_count: Any, short_times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, looks = queue_count(steps=1), []
    tidy = worker.tidy

    def broken_once() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise IndexError("of what nobody thought of")
        tidy()

    short_times.TIEBREAK_RUN_LOOK_SECONDS = 0.05
    monkeypatch.setattr(worker, "tidy", broken_once)
    lookout.start()
    wait_until(lambda: state_of(run) == RunState.SUCCEEDED, "it succeeds")
    lookout._leave.set()
    lookout.stop()


def test_a_worker_goes_on_though_looking_has_failed(
    queue_count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, looks = queue_count(steps=1), []
    tidy = worker.tidy

    def broken_once() -> None:
        looks.append(1)
        if len(looks) == 2:  # the first one is that of the start
            raise IndexError("of what nobody thought of")
        tidy()

    monkeypatch.setattr(worker, "tidy", broken_once)
    worker.Worker(["default"], 1).run(until_idle=True)
    assert state_of(run) == RunState.SUCCEEDED
    assert len(looks) > 2


def test_a_run_is_left_to_its_message_for_a_while(
    lookout: Lookout, queue_count: Any, settings: Any
) -> None:
    settings.TIEBREAK_RUN_UNHEARD_SECONDS = 60.0
    run = queue_count(steps=1)
    lookout.look()
    lookout.look()
    assert state_of(run) == RunState.QUEUED


def test_one_run_is_taken_where_there_is_one_place(lookout: Lookout, queue_count: Any) -> None:
    first, second = queue_count(steps=200, pause=0.02), queue_count(steps=1)
    lookout.look()
    lookout.look()
    assert busy(os.getpid()) == 1
    assert [state_of(run) for run in (first, second)] != ["queued", "queued"]
    assert state_of(second) == RunState.QUEUED
    lookout._leave.set()
    lookout.stop()
    assert state_of(first) == RunState.QUEUED  # put back, because the worker leaves


def test_a_message_starts_nothing_while_all_places_are_taken(
    queue_count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, other = queue_count(steps=1), queue_count(steps=1)
    assert lifecycle.claim(["default"], worker.owner_name(), run_id=held.pk) is not None
    monkeypatch.setattr(tasks._Celery, "first", os.getpid())
    monkeypatch.setattr(tasks._Celery, "slots", 1)
    monkeypatch.setattr(tasks._Celery, "leave", multiprocessing.Event())
    tasks.ring(other.pk)
    assert state_of(other) == RunState.QUEUED


def test_a_worker_that_leaves_takes_nothing_more(lookout: Lookout, queue_count: Any) -> None:
    run = queue_count(steps=1)
    lookout._leave.set()
    lookout.look()
    assert state_of(run) == RunState.QUEUED
