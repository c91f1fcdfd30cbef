"""A run exists when its transaction has committed, and starts whatever becomes of its message."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils import timezone

from pipelines import doorbell
from pipelines.models import Artifact, Run, RunState
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.promises.conftest import (
    NO_BROKER,
    Fleet,
    Queue,
    Site,
    seconds_of,
    starts,
    state_of,
    succeeded,
)
from tests.promises import Figures, counts
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(120, 600, 1800)),
]
Serve = Callable[..., Site]
START_WITHIN = 30.0  # seconds, of the promise


# J1: a run exists if and only if its transaction committed.


@pytest.mark.promise("J1")
def test_a_request_that_is_rolled_back_leaves_no_run_and_rings_nobody(
    serve: Serve, figures: Figures
) -> None:
    site, tries = serve(NO_BROKER), counts(5, 50, 100)
    assert {site.start("rolled-back", steps=1) for _ in range(tries)} == {500}
    figures("J1", rolled_back=tries, runs_of_them=Run.objects.count())
    assert Run.objects.count() == 0


@pytest.mark.promise("J1")
def test_a_run_whose_web_worker_dies_before_its_message_starts_all_the_same(
    serve: Serve, fleet: Fleet, own_redis: RedisServer, figures: Figures
) -> None:
    site, tries = serve(own_redis.url, workers=2), counts(2, 10, 50)
    fleet.ready(fleet.celery(own_redis.url))
    assert [site.start("killed", steps=1) for _ in range(tries)] == [0] * tries
    runs = succeeded(Run.objects.all(), tries * START_WITHIN)
    waits = [(run.started_at - run.created_at).total_seconds() for run in runs if run.started_at]
    figures(
        "J1", killed_before_the_message=tries, started=len(waits), slowest_s=round(max(waits), 1)
    )
    assert len(waits) == tries
    assert max(waits) <= START_WITHIN


@pytest.mark.mutant("J1")
def test_a_worker_that_only_listens_never_learns_of_a_run_without_a_message(
    serve: Serve, fleet: Fleet, own_redis: RedisServer
) -> None:
    site = serve(own_redis.url)
    fleet.ready(fleet.celery(own_redis.url, mutant="no-lookout"))
    site.start("killed", steps=1)
    time.sleep(5)
    assert Run.objects.get().state == RunState.QUEUED


# J2: "start" works while Redis is down.


@pytest.mark.promise("J2")
def test_a_start_is_answered_while_redis_is_down_and_happens_when_it_is_back(
    serve: Serve, fleet: Fleet, own_redis: RedisServer, figures: Figures
) -> None:
    site, tries = serve(own_redis.url), counts(1, 5, 20)
    fleet.ready(fleet.celery(own_redis.url))
    answers, waits, slowest = [], [], 0.0
    for _ in range(tries):
        own_redis.kill()
        asked = time.monotonic()
        answers.append(site.start(steps=1))
        slowest = max(slowest, time.monotonic() - asked)
        run = Run.objects.latest("pk")
        answers.append(200 if run.attempt == 0 or run.started_at else 0)
        back = timezone.now()
        own_redis.start()
        succeeded([run], START_WITHIN)
        run.refresh_from_db()
        assert run.started_at is not None
        waits.append(max(0.0, (run.started_at - back).total_seconds()))
    figures(
        "J2", starts=tries, slowest_answer_s=round(slowest, 1), slowest_start_s=round(max(waits), 1)
    )
    assert answers == [201, 200] * tries
    assert slowest < 5
    assert max(waits) <= START_WITHIN


@pytest.mark.mutant("J2")
def test_a_site_that_sends_messages_in_the_request_breaks_without_a_broker(serve: Serve) -> None:
    assert serve(NO_BROKER, mutant="ring-in-the-way").start(steps=1) == 500


# J3: a message that comes a hundred times makes one execution.

WORKERS = counts(2, 4, 4)


def rung_hundredfold(
    fleet: Fleet, redis: RedisServer, queue: Queue, settings: Any, *, mutant: str = ""
) -> Run:
    """Several workers, and a run whose doorbell is pressed by many at once while it works.

    It works for longer than a message may be away before Redis gives it to another worker.
    """
    settings.CELERY_BROKER_URL = redis.url
    away = str(counts(0.5, 3, 3))
    workers = [fleet.celery(redis.url, mutant=mutant, VISIBILITY=away) for _ in range(WORKERS)]
    fleet.ready(*workers)
    run: Run = queue(steps=counts(60, 300, 600), pause=0.02)
    with ThreadPoolExecutor(10) as people:
        rung = list(people.map(lambda _: doorbell.ring(run.pk, run.queue), range(100)))
    assert rung == [True] * 100
    return run


@pytest.mark.promise("J3")
def test_a_doorbell_that_rings_a_hundred_times_starts_a_run_once(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any, figures: Figures
) -> None:
    run = rung_hundredfold(fleet, own_redis, queue_count, settings)
    (run,) = succeeded([run])
    seconds = seconds_of(run, "succeeded", run.created_at)
    found = {"attempts": run.attempt, "fence": run.fence, "starts": len(starts(run)),
             "artifacts": Artifact.objects.filter(run=run).count()}  # fmt: skip
    figures("J3", messages=100, workers=WORKERS, run_s=seconds, **found)
    assert found == {"attempts": 1, "fence": 1, "starts": 1, "artifacts": 1}


@pytest.mark.mutant("J3")
def test_workers_that_look_before_they_write_start_it_more_than_once(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any
) -> None:
    run = rung_hundredfold(fleet, own_redis, queue_count, settings, mutant="naive-claim")
    wait_until(lambda: Run.objects.get(pk=run.pk).fence > 1, "a second claim", 20)
    wait_until(lambda: len(steps_of(run)) > 1 and state_of(run) != "queued", "it works", 60)
