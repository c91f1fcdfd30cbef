"""Celery tasks: doorbells, not a queue. Lost, late or doubled, a message does no harm.

Any pool works (`--pool prefork` or `--pool threads`): the thread that runs the task starts the
child and waits for it, which is what the kernel's tie between the two needs. Not `gevent`.
"""

import logging
import multiprocessing
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.signals import (
    celeryd_after_setup,
    worker_init,
    worker_shutdown,
    worker_shutting_down,
)
from django.core.checks import run_checks

from pipelines import doorbell, lifecycle, waiting, worker
from pipelines.checks import TAG
from pipelines.lookout import Lookout, busy, one_at_a_time
from pipelines.models import QueueName, Run, WorkerHeartbeat
from pipelines.store import collecting
from pipelines.supervisor import Flag, supervise
from pipelines.worker_labels import of_this_worker

logger = logging.getLogger(__name__)


class _Celery:
    """What the processes of one Celery worker know together. Set before the pool forks."""

    slots = 1
    leave: Flag | None = None
    first = 0  # the process that forks the others; 0 outside of a Celery worker
    lookout: Lookout | None = None
    queues: tuple[str, ...] = ()
    node = ""
    places: Path | None = None  # locked by who takes one (lookout.one_at_a_time)


@shared_task(name="pipelines.tasks.ring")
def ring(run_id: int) -> None:
    """Claim a run of its queue and bring it to its end; return at once where there is none.

    The first one by priority and age that this worker meets the needs of: whose bell it was does
    not matter, because there are at least as many bells as runs.
    """
    if not worker.may_claim():
        return
    queue = Run.objects.filter(pk=run_id).values_list("queue", flat=True)
    with one_at_a_time(_Celery.places):
        if _Celery.first and busy(_Celery.first) >= _Celery.slots:
            return  # The lookout took one by itself: the run is found again when there is a place.
        run = lifecycle.claim(queue, worker.owner_name(), labels=of_this_worker())
    if run is not None:
        supervise(run, _Celery.leave or multiprocessing.Event(), slots=_Celery.slots)


@shared_task(name="pipelines.tasks.sweep")
def sweep() -> None:
    """Ring again for the runs that could start; take runs from dead workers.

    No more of a queue than its workers have places: where a thousand runs wait for an hour, their
    bells would fill the broker.
    """
    worker.tidy()
    alive = waiting.live_workers()
    for queue in QueueName.values:
        places = sum(each.slots for each in alive if queue in each.queues)
        _ring_for(lifecycle.claimable([queue]), alive, max(places, 1))


@shared_task(name="pipelines.tasks.collect_garbage")
def collect_garbage() -> None:
    """Once a day: what nothing refers to leaves the store, and expired log-ins go."""
    collecting.once_a_day()


def _ring_for(runs: Iterable[Run], alive: Sequence[WorkerHeartbeat], places: int) -> None:
    for run in runs:
        where = doorbell.places(run, alive)
        for each in where:
            if not doorbell.ring(run.pk, each):
                return  # No broker: each run would cost seconds, and the workers look themselves.
        places -= bool(where)
        if places == 0:
            return


@worker_init.connect
def _refuse_bad_settings(**_: Any) -> None:
    """As `manage.py worker` does."""
    wrong = [each for each in run_checks(tags=[TAG]) if each.is_serious()]
    if wrong:
        raise SystemExit("\n".join(map(str, wrong)))


@worker_init.connect
def _before_the_pool(sender: Any, **_: Any) -> None:
    _Celery.leave = multiprocessing.Event()
    _Celery.first = os.getpid()
    handle, name = tempfile.mkstemp(prefix="tiebreak-places-")
    os.close(handle)
    _Celery.places = Path(name)
    _Celery.slots = sender.concurrency or len(os.sched_getaffinity(0))


@celeryd_after_setup.connect
def _look_out(sender: str, instance: Any, **_: Any) -> None:
    """Before there is a broker: the work must not wait for one, and people must see the worker."""
    served = instance.app.amqp.queues.consume_from
    _Celery.queues = tuple(name for name in QueueName.values if name in served)
    _Celery.node = sender
    assert _Celery.leave is not None
    _Celery.lookout = Lookout(
        _Celery.queues, _Celery.slots, _Celery.leave, beat=_beat, places=_Celery.places
    )
    _Celery.lookout.start()


def _beat() -> None:
    worker.beat(
        worker.owner_name(),
        _Celery.queues,
        slots=_Celery.slots,
        labels=of_this_worker(),
        node=_Celery.node,
    )


@worker_shutting_down.connect
def _leave(**_: Any) -> None:
    if _Celery.leave is not None:
        _Celery.leave.set()


@worker_shutdown.connect
def _gone(**_: Any) -> None:
    if _Celery.lookout is not None:
        _Celery.lookout.stop()
    if _Celery.places is not None:
        _Celery.places.unlink(missing_ok=True)
    worker.sign_off(worker.owner_name())
