"""Redis dies, forgets everything, or becomes a black hole: no run waits for it (J12, O1)."""

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from bench.annotation_crowd import crowd
from bench.annotation_site import Site as Jobs
from pipelines import doorbell, waiting
from pipelines.models import Artifact, Run
from tests.pipelines.conftest import wait_until
from tests.pipelines.promises.conftest import (
    NO_BROKER,
    Fleet,
    Queue,
    Site,
    counted,
    seconds_of,
    starts,
    state_of,
    succeeded,
)
from tests.promises import Figures, counts
from tools.black_hole import BlackHole
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(120, 900, 1800)),
]
START_WITHIN = 60.0  # seconds, of the promise


def started_after(run: Run, moment: Any) -> float:
    found = seconds_of(run, "starting", moment)
    assert found is not None
    return found


# J12: a worker that went deaf.


@pytest.mark.promise("J12")
def test_a_worker_takes_runs_after_each_restart_of_redis(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any, figures: Figures
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url
    fleet.ready(fleet.celery(own_redis.url))
    restarts, waits = counts(1, 5, 20), []
    for _ in range(restarts):
        own_redis.kill()
        own_redis.start()
        moment = timezone.now()
        run = queue_count(steps=1)
        succeeded([run], START_WITHIN)
        waits.append(started_after(run, moment))
    figures("J12", restarts=restarts, slowest_start_s=round(max(waits), 1))
    assert max(waits) <= START_WITHIN


@pytest.mark.promise("J12")
def test_a_worker_that_starts_without_redis_takes_runs_and_is_seen(
    fleet: Fleet, queue_count: Queue
) -> None:
    run = queue_count(steps=1)
    fleet.celery(NO_BROKER)
    succeeded([run], START_WITHIN)
    assert [each.slots for each in waiting.live_workers()] == [2]


@pytest.mark.promise("J12")
def test_a_run_starts_though_its_message_vanished_in_a_black_hole(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any, figures: Figures
) -> None:
    times, dark = counts(1, 2, 5), counts(1.0, 20.0, 60.0)
    waits, again = [], []
    with BlackHole(own_redis.port) as hole:
        url = f"redis://127.0.0.1:{hole.port}/0"
        settings.CELERY_BROKER_URL = url
        fleet.ready(fleet.celery(url))
        for _ in range(times):
            hole.swallow()
            moment = timezone.now()
            run = queue_count(steps=1)
            succeeded([run], START_WITHIN)
            waits.append(started_after(run, moment))
            time.sleep(max(0.0, dark - (timezone.now() - moment).total_seconds()))
            hole.forward()
            moment = timezone.now()
            run = queue_count(steps=1)
            succeeded([run], START_WITHIN)
            again.append(started_after(run, moment))
    figures("J12", black_holes=times, of_seconds=dark, slowest_start_s=round(max(waits), 1),
            slowest_start_afterwards_s=round(max(again), 1))  # fmt: skip
    assert max(waits + again) <= START_WITHIN


@pytest.mark.mutant("J12")
def test_a_worker_that_only_listens_is_deaf_in_a_black_hole(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any
) -> None:
    with BlackHole(own_redis.port) as hole:
        url = f"redis://127.0.0.1:{hole.port}/0"
        settings.CELERY_BROKER_URL = url
        fleet.ready(fleet.celery(url, mutant="no-lookout"))
        hole.swallow()
        run = queue_count(steps=1)
        time.sleep(counts(5, 10, 10))
        assert state_of(run) == "queued"


# O1: losing Redis loses nothing.


def ready(site: Site) -> tuple[int, dict[str, Any]]:
    with urlopen(f"{site.server.url}/readyz", timeout=30) as answer:
        return answer.status, json.load(answer)


def sessions(people: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Who they are, with the cookies of a session in the place of a log-in."""
    found = []
    for user in get_user_model().objects.filter(username__in=[each["user"] for each in people]):
        client = Client()
        client.force_login(user)
        cookies = {"sessionid": client.cookies["sessionid"].value, "csrftoken": "a" * 32}
        found.append({"user": "", "password": "", "cookies": cookies})
    return found


class Vandal:
    """Empties Redis, kills it, brings it back, as long as people vote."""

    def __init__(self, redis: RedisServer):
        self._redis, self._over = redis, threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.flushed = self.killed = 0
        self.down = threading.Event()

    def __enter__(self) -> "Vandal":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        import redis

        chance = random.Random(5)
        while not self._over.wait(chance.uniform(0.3, 0.8)):
            with redis.Redis.from_url(self._redis.url) as client:
                client.flushall()
            self.flushed += 1
            self._redis.kill()
            self.killed += 1
            self.down.set()
            self._over.wait(chance.uniform(0.3, 0.8))
            self._redis.start()


@pytest.mark.promise("O1")
def test_flushing_and_killing_redis_loses_no_vote_no_session_and_no_run(
    serve: Callable[..., Site],
    fleet: Fleet,
    own_redis: RedisServer,
    queue_count: Queue,
    settings: Any,
    figures: Figures,
    tmp_path: Path,
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url
    settings.MEDIA_ROOT.mkdir()
    jobs = Jobs(fleet.database_url, tmp_path / "jobs")
    people = sessions(jobs.job("people", count=counts(3, 8, 8))["people"])
    campaign = jobs.job("import", name="votes", pairs=counts(200, 1000, 4000))["campaign"]
    site = serve(own_redis.url, workers=2)
    fleet.ready(fleet.celery(own_redis.url, "--pool", "threads", "-c", "3"))
    runs = [queue_count(steps=counts(100, 400, 1200), pause=0.03) for _ in range(3)]
    wait_until(lambda: all(counted(run, 1)() for run in runs), "three runs work", 60)
    with crowd(len(people), tmp_path / "crowd") as clients, Vandal(own_redis) as vandal:
        clients.log_in("tiebreak", site.server.url, people)
        votes = clients.vote([campaign], counts(3, 20, 60))
        ledgers = [str(each) for each in clients.ledgers]
    found = jobs.job("audit", ledgers=ledgers, campaigns=[campaign])
    runs = succeeded(runs, 120)
    own_redis.kill()
    status, said = ready(site)
    figures("O1", flushed=vandal.flushed, killed=vandal.killed, lost_votes=found["lost"],
            acknowledged=found["acknowledged"], runs=len(runs))  # fmt: skip
    assert votes.figures()["faults"] == 0  # A lost session would be one.
    assert found["lost"] == found["duplicated"] == 0
    assert found["acknowledged"] > 10
    assert [(run.fence, len(starts(run))) for run in runs] == [(1, 1)] * 3
    assert Artifact.objects.count() == 3
    assert (status, said["state"], said["parts"]["broker"]) == (200, "degraded", "degraded")


@pytest.mark.mutant("O1")
def test_a_queue_that_lives_in_redis_is_lost_with_it(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any
) -> None:
    import redis

    settings.CELERY_BROKER_URL = own_redis.url
    run = queue_count(steps=1)
    assert doorbell.ring(run.pk, run.queue)
    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()
    fleet.ready(fleet.celery(own_redis.url, mutant="no-lookout"))
    time.sleep(4)
    assert state_of(run) == "queued"
