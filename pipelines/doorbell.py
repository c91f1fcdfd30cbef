"""Tell a Celery worker that there may be something to do. Only a hint: the Run row is the queue.

A message may be lost, late or doubled without harm; a broker that is down is a line in the log.
"""

import logging
from collections.abc import Iterable
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError, OperationalError

from pipelines.models import Run

logger = logging.getLogger(__name__)


def ring_on_commit(runs: Iterable[Run]) -> None:
    for run in runs:
        transaction.on_commit(partial(ring, run.pk, run.queue), robust=True)


def ring(run_id: int, queue: str) -> bool:
    """Send the hint, if there is a broker. False: nothing was sent."""
    if not settings.CELERY_BROKER_URL:
        return False
    try:
        current_app.send_task("pipelines.tasks.ring", args=[run_id], queue=queue, retry=False)
    except (OperationalError, KombuError, OSError) as error:
        logger.warning(
            "run %s stays queued until a worker looks by itself: no broker (%s)", run_id, error
        )
        return False
    return True
