"""A large set on three real Celery workers of one Redis: one is killed, and nothing is lost or done
twice in the result. (What happens where nobody looks after its runs is in test_kills.py.)"""

import os
import signal
import time
from typing import Any

import pytest

from pipelines import chunking
from pipelines.models import Run, RunState
from tests.pipelines.conftest import wait_until
from tests.pipelines.promises.chunk_worlds import WORLDS
from tests.pipelines.promises.conftest import Fleet, leftovers, owned_by, succeeded
from tests.promises import Figures, counts
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(240, 600, 900)),
]
KINDS = counts(["ingest"], list(WORLDS), list(WORLDS))
CHUNKS = counts(4, 6, 9)


def at_work(runs: list[Run]) -> list[Run]:
    keys = [run.pk for run in runs]
    return list(Run.objects.filter(pk__in=keys, state=RunState.RUNNING, total__gt=0))


@pytest.mark.promise("J4")
@pytest.mark.parametrize("kind", KINDS)
def test_a_set_in_chunks_is_whole_though_one_of_three_workers_is_killed(
    fleet: Fleet, own_redis: RedisServer, settings: Any, figures: Figures, kind: str
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url
    # On a busy machine three trainers that import torch at once take half a minute for it.
    times = {"LEASE": "10", "LEASE_MARGIN": "2", "HANG": "180"}
    patient = {f"TIEBREAK_RUN_{name}_SECONDS": value for name, value in times.items()}
    one = ("--pool", "threads", "-c", "1")
    workers = [fleet.celery(own_redis.url, *one, **patient) for _ in range(3)]
    fleet.ready(*workers)
    whole, check = WORLDS[kind](settings, CHUNKS)
    chunks = chunking.chunks_of(whole)
    assert len(chunks) == CHUNKS
    wait_until(lambda: len(at_work(chunks)) > 1, "two chunks are at work", 120)
    owners = {run.owner for run in at_work(chunks)}
    killed = next(each for each in workers if owned_by([each.pid]))
    lost = owned_by([killed.pid])
    os.killpg(killed.pid, signal.SIGKILL)
    began = time.monotonic()
    succeeded([*chunks, whole], counts(120, 300, 600))
    took = time.monotonic() - began
    assert check(Run.objects.get(pk=whole.pk)) > CHUNKS
    assert len(owners) > 1
    # What the killed worker had was done again from where it was, everything else once.
    fences = {run.pk: run.fence for run in Run.objects.filter(pk__in=[c.pk for c in chunks])}
    assert {pk for pk, fence in fences.items() if fence > 1} == {run.pk for run in lost}
    wait_until(lambda: not leftovers(whole, *chunks), "no process is left", 5)
    figures("J4", chunks=len(chunks), workers=3, killed=1, seconds=round(took, 1))
