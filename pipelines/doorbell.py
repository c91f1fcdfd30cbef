"""Tell a Celery worker that there may be something to do. Only a hint: the Run row is the queue.

A message may be lost, late or doubled without harm; a broker that is down is a line in the log.
"""

import logging
from collections.abc import Iterable
from typing import Final

from celery import current_app
from celery.utils.nodenames import worker_direct
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError, OperationalError

from pipelines import waiting
from pipelines.models import Run, WorkerHeartbeat

logger = logging.getLogger(__name__)
# A person waits for the page: a broker that does not answer is as good as none.
_PATIENCE: Final = {"socket_connect_timeout": 2.0, "socket_timeout": 2.0, "max_retries": 0}


def ring_on_commit(runs: Iterable[Run]) -> None:
    for run in runs:
        _ring_on_commit(run)


def _ring_on_commit(run: Run) -> None:
    def after_commit() -> None:  # Django logs the name of what failed, which a partial has not.
        for where in places(run, waiting.live_workers() if run.needs else []):
            ring(run.pk, where)

    transaction.on_commit(after_commit, robust=True)


def places(run: Run, alive: Iterable[WorkerHeartbeat]) -> list[str]:
    """Where to ring: the run's queue, or, if it has needs, each worker that meets them.

    In the queue any worker would take the message, and find that it may not take the run.
    """
    if not run.needs:
        return [run.queue]
    fitting = waiting.fitting(run.queue, run.needs, alive)
    return [each.node for each in fitting if each.node]


def ring(run_id: int, where: str) -> bool:
    """Send the hint to a queue or to one worker, if there is a broker. False: nothing was sent."""
    url = settings.CELERY_BROKER_URL
    if not url:
        return False
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **_PATIENCE}
    try:
        # An own connection: hints are rare, and a pool would hand out one that died long ago.
        with current_app.connection_for_write(url, transport_options=options) as connection:
            current_app.send_task(
                "pipelines.tasks.ring",
                args=[run_id],
                queue=worker_direct(where) if "@" in where else where,
                connection=connection,
                retry=False,
            )
    except (OperationalError, KombuError, OSError) as error:
        logger.warning(
            "run %s stays queued until a worker looks by itself: no broker (%s)", run_id, error
        )
        return False
    return True
