"""A run that makes no step is found although its process lives (J9)."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from formats.beats import Beat, Heart
from pipelines import launching, stacks
from pipelines.models import Run, RunState
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.test_supervisor import _later
from tests.promises import Figures, counts

Queue = Callable[..., Run]
Attempt = Callable[..., Run]
WATCHDOG = 3.0  # seconds, of the promise's test


@pytest.mark.promise("J9")
@pytest.mark.parametrize("fault", ["hang", "burn"])
def test_a_child_that_sleeps_or_burns_is_found_in_time_and_its_stacks_are_kept(
    queue_count: Queue, attempt: Attempt, short_times: Any, figures: Figures, fault: str
) -> None:
    short_times.TIEBREAK_RUN_HANG_SECONDS = counts(1.0, WATCHDOG, WATCHDOG)
    queue_count(steps=50, save_every=2, fault=fault, at=20)
    run = attempt()
    ended = time.monotonic()
    last = max(line["time"] for line in steps_of(run))
    found = ended - last - short_times.TIEBREAK_RUN_HANG_SECONDS
    figures("J9", fault=fault, watchdog_s=short_times.TIEBREAK_RUN_HANG_SECONDS,
            found_after_it_s=round(found, 2))  # fmt: skip
    assert (run.state, run.reason, run.attempt) == (RunState.QUEUED, "hang", 1)
    assert run.events.filter(before="running", after="queued").count() == 1
    assert launching.leftovers(run) == []
    assert found < stacks._PATIENCE + 3
    text = stacks.file_of(launching.run_dir(run), 1).read_text()
    assert "in misbehave" in text
    assert ("in burn" in text) == (fault == "burn")
    assert "the stacks of its processes are in stacks-1.txt" in run.message


@pytest.mark.promise("J9")
@pytest.mark.django_db(transaction=True)
@pytest.mark.one_engine
@pytest.mark.faults
def test_of_two_processes_that_agree_on_steps_one_that_stops_is_found_with_the_stacks_of_both(
    queue_count: Queue, attempt: Attempt, short_times: Any, figures: Figures
) -> None:
    short_times.TIEBREAK_RUN_LEASE_SECONDS = 60.0
    # Two processes may import torch for long on a busy machine; from their steps on it counts.
    short_times.TIEBREAK_RUN_HANG_SECONDS = 200.0
    run = queue_count(kind="agreeing", processes=2, steps=40, stopped_at=8)
    file = launching.run_dir(run).root / "stopped"

    def shorten() -> None:
        wait_until(file.exists, "the second process stops", 180)
        short_times.TIEBREAK_RUN_HANG_SECONDS = WATCHDOG

    thread = _later(shorten)
    run = attempt()
    ended = time.monotonic()
    thread.join()
    found = ended - float(file.read_text()) - WATCHDOG
    figures(
        "J9", fault="rank 1 of 2 stopped", watchdog_s=WATCHDOG, found_after_it_s=round(found, 2)
    )
    assert (run.state, run.reason, run.attempt) == (RunState.QUEUED, "hang", 1)
    text = stacks.file_of(launching.run_dir(run), 1).read_text()
    assert ": T (stopped): " in text
    for rank in ("--- rank 0 ", "--- rank 1 "):
        said = text.partition(rank)[2].partition("\n--- rank")[0]
        assert " in work" in said, text
    assert launching.leftovers(run) == []
    short_times.TIEBREAK_RUN_HANG_SECONDS = 200.0
    Run.objects.update(not_before=None)
    run = attempt()
    assert (run.state, run.fence, run.summary) == (RunState.SUCCEEDED, 2, {"processes": 2})


@pytest.mark.mutant("J9")
@pytest.mark.django_db(transaction=True)
def test_a_watchdog_that_asks_only_whether_the_process_lives_finds_no_hang(
    queue_count: Queue, attempt: Attempt, short_times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_times.TIEBREAK_RUN_HANG_SECONDS = 0.5
    real = launching.start
    started = []

    def start(*arguments: Any, **named: Any) -> Any:
        child = real(*arguments, **named)
        started.append(child)
        return child

    monkeypatch.setattr(launching, "start", start)
    # As with an answer to "is it there": every look is progress.
    monkeypatch.setattr(Beat, "read", classmethod(lambda cls, _: cls(time.monotonic_ns(), 0.0)))
    run = queue_count(steps=50, fault="hang", at=3)

    def cancelled_after_a_while(_self: Any) -> None:
        row = Run.objects.get(pk=run.pk)
        if steps_of(run) and time.monotonic() - steps_of(run)[-1]["time"] > 2.0:
            Run.objects.filter(pk=row.pk, state="running").update(state="cancelling")

    from pipelines.supervisor import _Supervisor

    look = _Supervisor._look
    monkeypatch.setattr(
        _Supervisor, "_look", lambda self: (cancelled_after_a_while(self), look(self))[1]
    )
    after = attempt()
    assert (after.state, after.reason) == (RunState.CANCELLED, "cancelled")  # nobody saw the hang


@pytest.mark.promise("J9")
def test_slow_steps_are_waited_for_and_quick_ones_are_not(
    queue_count: Queue, attempt: Attempt, short_times: Any
) -> None:
    """20 times the median: what would be a hang among quick steps is none among slow ones."""
    short_times.TIEBREAK_RUN_HANG_SECONDS = 2.5
    short_times.TIEBREAK_RUN_HANG_STEPS = 20
    queue_count(steps=6, pause=0.3, fault="nap", at=6)
    run = attempt()
    assert run.state == RunState.SUCCEEDED, run.message
    queue_count(steps=6, pause=0.02, fault="nap", at=6)
    assert attempt().reason == "hang"


def test_the_beat_counts_steps_and_knows_how_long_one_takes(tmp_path: Any) -> None:
    now = [0.0]
    heart = Heart(tmp_path / "beat", clock=lambda: now[0])
    assert Beat.read(tmp_path / "beat") is None
    for seconds in (2.0, 2.0, 2.0, 50.0, 2.0):
        heart.beat()
        now[0] += seconds
    beat = Beat.read(tmp_path / "beat")
    assert beat == Beat(5, 2.0)


def test_a_beat_is_written_once_a_second_and_a_broken_one_is_none(tmp_path: Any) -> None:
    now, file = [0.0], tmp_path / "beat"
    heart = Heart(file, clock=lambda: now[0])
    for _ in range(100):
        heart.beat()
        now[0] += 0.015
    beat = Beat.read(file)
    assert beat is not None
    assert beat.count == 68  # at 0 s and at the first step behind 1 s
    file.write_text("what")
    assert Beat.read(file) is None
    heart = Heart(tmp_path / "nowhere" / "beat", clock=lambda: now[0])
    heart.beat()  # A disk that cannot take it does not end the run.


@pytest.mark.django_db
def test_the_stacks_of_a_run_are_for_those_who_see_runs(
    mia: Any, alice: Any, settings: Any, tmp_path: Any
) -> None:
    settings.RUNS_ROOT = tmp_path
    run = Run.objects.create(kind="counting", config={}, config_sha="", fence=3)
    folder = launching.run_dir(run)
    folder.root.mkdir()
    stacks.file_of(folder, 3).write_text("Thread 1\x1b[31m in <work>\n")
    client, path = Client(), reverse("pipelines:stacks", args=[run.pk, 3])
    client.force_login(mia)
    answer = client.get(path)
    assert (answer["Content-Type"], answer.content.decode()) == (
        "text/plain; charset=utf-8",
        "Thread 1 in <work>\n",
    )
    assert client.get(reverse("pipelines:stacks", args=[run.pk, 4])).status_code == 404
    assert reverse("pipelines:stacks", args=[run.pk, 3]) in (
        client.get(reverse("pipelines:run", args=[run.pk])).content.decode()
    )
    client.force_login(alice)
    assert client.get(path).status_code == 403
