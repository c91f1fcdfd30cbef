"""A cancelled run frees the machine in ten seconds, or in its grace where it is deaf (J7)."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipelines import launching, lifecycle, materialising, wishes
from pipelines.models import Run, RunState
from pipelines.starting import cancel_run
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.test_supervisor import _later
from tests.promises import Figures, counts

pytestmark = pytest.mark.django_db(transaction=True)
Queue = Callable[..., Run]
Attempt = Callable[..., Run]
LIMIT, GRACE = 10.0, 2.0
DEAF = {"fault": "deaf", "at": 5}


class Canceller:
    """Cancels one run at a chosen moment and knows when it asked."""

    def __init__(self, run: Run, user: Any):
        self.run, self.user, self.asked = run, user, 0.0

    def cancel(self) -> None:
        self.asked = time.monotonic()
        cancel_run(Run.objects.get(pk=self.run.pk), self.user)

    def while_running(self, after: int) -> None:
        wait_until(lambda: len(steps_of(self.run)) > after, "counting")
        self.cancel()

    def while_pausing(self, after: int) -> None:
        wait_until(lambda: len(steps_of(self.run)) > after, "counting")
        wishes.pause(Run.objects.get(pk=self.run.pk), "mia")
        wait_until(
            lambda: launching.run_dir(self.run).want_file.read_text() == "pause", "it is told"
        )
        self.cancel()


def cancelled(after: Run, canceller: Canceller) -> float:
    """How long it took; nothing of the run is left."""
    took = time.monotonic() - canceller.asked
    assert (after.state, after.reason) == (RunState.CANCELLED, "cancelled")
    assert (after.message, after.lease_until) == ("Cancelled by mia.", None)
    assert launching.leftovers(after) == []
    return took


@pytest.mark.promise("J7")
def test_a_run_is_cancelled_in_ten_seconds_whatever_it_is_at(
    queue_count: Queue,
    attempt: Attempt,
    mia: Any,
    monkeypatch: pytest.MonkeyPatch,
    short_times: Any,
    figures: Figures,
) -> None:
    short_times.TIEBREAK_RUN_GRACE_SECONDS = GRACE
    times: dict[str, list[float]] = {"starting": [], "running": [], "pausing": [], "deaf": []}
    rounds = counts(1, 3, 5)
    for _ in range(rounds):
        for moment in ("starting", "running"):
            run = queue_count(steps=10_000, pause=0.01)
            canceller = Canceller(run, mia)
            if moment == "starting":
                in_between(monkeypatch, canceller)
                after = attempt()
                monkeypatch.undo()
            else:
                thread = _later(lambda c=canceller: c.while_running(random.randint(1, 9)))
                after = attempt()
                thread.join()
            times[moment].append(cancelled(after, canceller))
        for moment in ("pausing", "deaf"):  # a deaf one pauses for as long as its grace
            run = queue_count(steps=10_000, pause=0.01, **DEAF)
            canceller = Canceller(run, mia)
            what = canceller.while_pausing if moment == "pausing" else canceller.while_running
            thread = _later(lambda what=what: what(5))
            after = attempt()
            thread.join()
            times[moment].append(cancelled(after, canceller))
    slowest = {moment: round(max(found), 2) for moment, found in times.items()}
    figures("J7", cancelled=4 * rounds, deaf=2 * rounds, slowest_s=slowest)
    assert max(slowest["starting"], slowest["running"]) < GRACE
    assert max(slowest.values()) < min(LIMIT, 2 * GRACE + 2)


def in_between(monkeypatch: pytest.MonkeyPatch, canceller: Canceller) -> None:
    """Cancelled after the claim and before its process is there."""
    real = materialising.make_local

    def make_local(run: Run, *arguments: Any, **named: Any) -> Any:
        assert Run.objects.get(pk=run.pk).state == RunState.STARTING
        canceller.cancel()
        return real(run, *arguments, **named)

    monkeypatch.setattr(materialising, "make_local", make_local)


@pytest.mark.mutant("J7")
def test_where_only_the_asking_is_left_a_deaf_child_outlives_its_cancelled_run(
    queue_count: Queue, attempt: Attempt, mia: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.TIEBREAK_RUN_GRACE_SECONDS = 0.5
    canceller = Canceller(queue_count(steps=10_000, pause=0.01, **DEAF), mia)
    end, children = launching.end, []
    monkeypatch.setattr(launching, "end", lambda child, _run: children.append(child) or [])
    thread = _later(lambda: canceller.while_running(5))
    after = attempt()
    thread.join()
    try:
        assert after.state == RunState.CANCELLED
        with pytest.raises(AssertionError):
            cancelled(after, canceller)
    finally:
        assert end(children[0], after) == []


def test_a_worker_that_dies_while_a_run_is_cancelled_leaves_it_cancelled(
    queue_count: Queue, mia: Any, short_times: Any
) -> None:
    queue_count(steps=3)
    short_times.TIEBREAK_RUN_LEASE_SECONDS = 0.1
    run = lifecycle.claim(["default"], "elsewhere:1:1")
    assert run is not None
    cancel_run(run, mia)
    wait_until(lambda: lifecycle.reap() == [run.pk], "its lease runs out", 5)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
