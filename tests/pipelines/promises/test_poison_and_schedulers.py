"""A run that kills its trainer stops itself and holds up nobody (J10); sweepers in any number start
each run once (J11)."""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.models import Run, RunState
from tests.pipelines.conftest import TRAINERS, child_environment, wait_until
from tests.pipelines.promises.conftest import Fleet, Queue, starts, state_of, succeeded
from tests.promises import Figures, counts
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(120, 600, 900)),
]


# J10: a poison run.


def waits_of(runs: Sequence[Run]) -> list[float]:
    """From being queued to being started."""
    rows = Run.objects.filter(pk__in=[run.pk for run in runs])
    return [(run.started_at - run.created_at).total_seconds() for run in rows if run.started_at]


@pytest.mark.promise("J10")
def test_a_run_that_dies_at_its_start_fails_after_three_tries_and_holds_up_nobody(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any, figures: Figures
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url
    many = counts(4, 10, 20)
    fleet.ready(fleet.celery(own_redis.url, "--pool", "prefork", "-c", "2"))
    alone = [queue_count(steps=2) for _ in range(many)]
    succeeded(alone, 30 + 3 * many)
    poison = queue_count(steps=5, fault="segfault", at=1)
    healthy = [queue_count(steps=2) for _ in range(many)]
    succeeded(healthy, 30 + 3 * many)
    wait_until(lambda: state_of(poison) == RunState.FAILED, "the poison run fails", 30)
    poison.refresh_from_db()
    pauses = pauses_of(poison)
    more = statistics.median(waits_of(healthy)) - statistics.median(waits_of(alone))
    figures("J10", healthy=many, tries=poison.attempt, back_off_s=pauses,
            longer_wait_s=round(more, 2))  # fmt: skip
    assert (poison.attempt, poison.reason, len(starts(poison))) == (3, "killed", 3)
    # Back-off: at least what the settings say, so the tries of one poison run are no burden.
    assert all(pause >= wanted for pause, wanted in zip(pauses, (0.1, 0.2), strict=True))
    # Three starts of half a second each, on two places.
    assert more < 5


def pauses_of(run: Run) -> list[float]:
    """Seconds between each failure and the next try."""
    events = list(run.events.order_by("id"))
    back = [each.at for each in events if each.before == "running" and each.after == "queued"]
    begun = [each.at for each in events if each.after == "starting"][1:]
    return [round((b - a).total_seconds(), 2) for a, b in zip(back, begun, strict=True)]


@pytest.mark.mutant("J10")
def test_without_an_end_of_tries_a_poison_run_goes_on_for_ever(
    fleet: Fleet, queue_count: Queue
) -> None:
    poison = queue_count(steps=5, fault="segfault", at=1)
    fleet.worker(mutant="no-end-of-tries")
    wait_until(lambda: len(starts(poison)) > 4, "a fifth try", 60)
    assert state_of(poison) != RunState.FAILED


# J11: reapers are in tests/pipelines/test_run_claims.py.


def sweep_at_once(
    fleet: Fleet, redis: RedisServer, queue: Queue, *, mutant: str = ""
) -> list[tuple[int, int]]:
    """Three sweepers ring for all runs at each tick; gives fence and starts of each run."""
    many, ticks = counts(6, 20, 50), counts(10, 50, 50)
    if mutant:  # A race comes when it comes: give it room.
        many, ticks = max(many, 20), max(ticks, 30)
    runs = [queue(steps=20, pause=0.02) for _ in range(many)]
    workers = [
        fleet.celery(redis.url, "--pool", "threads", "-c", "4", mutant=mutant)
        # Within one worker bells take a place in turn, whatever a claim asks.
        for _ in range(2 if mutant else counts(1, 2, 2))
    ]
    fleet.ready(*workers)
    sweepers = [
        subprocess.Popen(
            [sys.executable, str(TRAINERS / "racers.py"), "sweep", str(fleet.folder), str(ticks)],
            env=child_environment(fleet.settings, fleet.database_url, CELERY_BROKER_URL=redis.url),
        )
        for _ in range(3)
    ]
    wait_until(lambda: len(list(fleet.folder.glob("ready-*"))) == 3, "ready", 30)
    (fleet.folder / "go").touch()
    assert [each.wait(120) for each in sweepers] == [0, 0, 0]
    if not mutant:
        succeeded(runs, 60 + 2 * many)
    return [(run.fence, len(starts(run))) for run in Run.objects.all()]


@pytest.mark.promise("J11")
def test_three_sweepers_start_each_run_once(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, figures: Figures
) -> None:
    found = sweep_at_once(fleet, own_redis, queue_count)
    figures("J11", sweepers=3, ticks=counts(10, 50, 50), runs=len(found),
            starts=sum(n for _, n in found))  # fmt: skip
    assert set(found) == {(1, 1)}


@pytest.mark.mutant("J11")
def test_three_sweepers_start_runs_twice_where_a_claim_has_no_condition(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue
) -> None:
    found = sweep_at_once(fleet, own_redis, queue_count, mutant="naive-claim")
    assert max(fence for fence, _ in found) > 1
