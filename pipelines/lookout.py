"""The second path to the work: a Celery worker looks at the database by itself.

A message may never come: Redis is gone, beat is gone, or the connection died and nobody was told.
So a thread of every worker's first process does the duties of a worker, and takes what has been
startable for TIEBREAK_RUN_UNHEARD_SECONDS while this worker had a free place. With a broker that
works it never takes anything: the doorbell is faster.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import Error, connection

from pipelines import lifecycle, worker
from pipelines.models import ACTIVE, Run
from pipelines.supervisor import Flag, supervise
from pipelines.worker_labels import of_this_worker

logger = logging.getLogger(__name__)
_FIRST_LOOK: Final = 1.0  # seconds


class Lookout:
    """One thread that looks, and one for each run that it takes."""

    def __init__(
        self,
        queues: Sequence[str],
        slots: int,
        leave: Flag,
        *,
        beat: Callable[[], None],
        places: Path | None = None,
    ):
        self._queues, self._slots, self._leave, self._beat = queues, slots, leave, beat
        self._places = places
        self._next_beat = 0.0
        self._seen: dict[int, float] = {}  # startable run: since when this worker knows of it
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="lookout", daemon=True)
        self._working: list[threading.Thread] = []

    def start(self) -> None:
        self._watching.start()

    def stop(self) -> None:
        """Wait until what this worker took by itself is put back; `leave` must be set."""
        self._over.set()
        for thread in [self._watching, *self._working]:
            if thread.is_alive():
                thread.join()

    def _watch(self) -> None:
        # The pool forks a moment after the start.
        pause = min(_FIRST_LOOK, settings.TIEBREAK_RUN_LOOK_SECONDS)
        while not self._over.wait(pause):
            pause = settings.TIEBREAK_RUN_LOOK_SECONDS
            try:
                self._say_that_it_lives()
                worker.tidy()
                self.look()
            except Error as error:
                logger.warning("the database does not answer: %s", error)
            except Exception:  # without it no heartbeat, and no run whose message was lost
                logger.exception("looking after runs has failed; it is tried again")
            finally:
                # The pool may fork at any time: nothing is open between two looks.
                connection.close()

    def _say_that_it_lives(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._beat()
            self._next_beat = time.monotonic() + settings.TIEBREAK_RUN_RENEW_SECONDS

    def look(self) -> None:
        """Take what nobody was told of, one at a time, where there was a place for it so long."""
        self._working = [thread for thread in self._working if thread.is_alive()]
        full = self._leave.is_set() or busy(os.getpid()) >= self._slots
        if full or not worker.may_claim():
            self._seen.clear()
            return
        now = time.monotonic()
        labels = of_this_worker()
        startable = lifecycle.claimable(self._queues, labels).values_list("pk", flat=True)
        self._seen = {pk: self._seen.get(pk, now) for pk in startable}
        for run_id, since in self._seen.items():
            if now - since >= settings.TIEBREAK_RUN_UNHEARD_SECONDS:
                self._take(run_id)
                return

    def _take(self, run_id: int) -> None:
        with one_at_a_time(self._places):
            if busy(os.getpid()) >= self._slots:
                return  # A bell has rung since.
            run = lifecycle.claim(
                self._queues, worker.owner_name(), run_id=run_id, labels=of_this_worker()
            )
        if run is None:
            return
        logger.warning("run %s was found in the database: its message did not arrive", run_id)
        thread = threading.Thread(target=self._work, args=(run,), name=f"unheard-{run_id}")
        thread.start()
        self._working.append(thread)

    def _work(self, run: Run) -> None:
        try:
            supervise(run, self._leave, slots=self._slots)
        finally:
            connection.close()


@contextmanager
def one_at_a_time(places: Path | None) -> Iterator[None]:
    """One process or thread of a worker asks whether there is a place, and takes it.

    `places` is a file of this worker. The lock on it is the kernel's: it goes with its holder,
    also with one that is killed. None, outside of a Celery worker, holds nobody back.
    """
    if places is None:
        yield
        return
    # A descriptor of its own, or threads would share the lock; made anew where it was tidied away.
    with places.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing is not enough: the pool may have forked, and its new process has this file.
            fcntl.flock(file, fcntl.LOCK_UN)


def busy(first: int) -> int:
    """Runs of the worker with this first process, and of the processes that it forked."""
    try:
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    except OSError:
        children = []
    owners = [worker.owner_of(pid) for pid in (first, *map(int, children))]
    return Run.objects.filter(state__in=ACTIVE, owner__in=owners).count()
