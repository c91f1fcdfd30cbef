"""Real Celery workers with labels: a run goes to one that can do it, at once, by its doorbell."""

from typing import Any

import pytest

from pipelines.models import Run, WorkerHeartbeat
from pipelines.starting import start_run
from tests.pipelines.conftest import wait_until
from tests.pipelines.promises.conftest import Fleet, counted, succeeded
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(180),
]


def counting(needs: dict[str, Any], **config: Any) -> Run:
    return start_run("counting", {"steps": 2, **config}, user=None, needs=needs)


def test_runs_go_where_their_needs_are_met_and_a_busy_worker_keeps_no_bell_back(
    fleet: Fleet, own_redis: RedisServer, settings: Any
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url
    # A Celery worker is seen every two seconds; who rings must not take it for dead in between.
    settings.TIEBREAK_RUN_RENEW_SECONDS = 5

    def worker(labels: str) -> Any:
        # What no bell told of must not be found in the database while the test looks.
        more = {"TIEBREAK_WORKER_LABELS": labels, "TIEBREAK_RUN_UNHEARD_SECONDS": "120"}
        return fleet.celery(own_redis.url, "--pool", "threads", "-c", "1", **more)

    a, b = worker("zone=a"), worker("zone=b,disk=2000")
    fleet.ready(a, b)
    wait_until(lambda: WorkerHeartbeat.objects.count() == 2, "both are seen", 20)
    nodes = dict(WorkerHeartbeat.objects.values_list("labels__zone", "node"))
    assert {zone: node.partition("@")[0] for zone, node in nodes.items()} == {"a": "w0", "b": "w1"}
    long = counting({"zone": "a"}, steps=5000, pause=0.02)
    wait_until(counted(long, 3), "the long one is at work", 20)
    there = counting({"zone": "b", "disk": 1000})
    anywhere = [counting({}) for _ in range(3)]
    nowhere = counting({"zone": "c"})
    succeeded([there, *anywhere], 40)
    said_a, said_b = fleet.log(a), fleet.log(b)
    assert f"run {long.pk} (counting) starts" in said_a
    for run in (there, *anywhere):
        assert f"run {run.pk} (counting) starts" in said_b
        assert f"run {run.pk} (counting) starts" not in said_a
    assert "was found in the database" not in said_a + said_b
    nowhere.refresh_from_db()
    assert (nowhere.state, nowhere.fence) == ("queued", 0)
