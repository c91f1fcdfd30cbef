"""The worker: claims runs and supervises each in a thread of its own.

`manage.py worker` polls the database and needs no broker; Celery tasks use the same functions.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import Error, close_old_connections, connection
from django.db.models.functions import Now

from annotation.assigning import reopen_expired
from annotation.models import Campaign, CampaignState
from pipelines import alerts, lifecycle, notices, strays
from pipelines.models import ACTIVE, Run, RunState, WorkerHeartbeat
from pipelines.retests import people_waits
from pipelines.store import collecting
from pipelines.supervisor import supervise
from pipelines.worker_labels import Labels, as_given, of_this_worker

logger = logging.getLogger(__name__)
_FORGET_AFTER: Final = timedelta(days=1)


# Who owns a run: a process, named so that another one can tell whether it still lives.


@cache
def _host() -> str:
    # Process ids mean something inside one PID namespace only: two containers may share a name.
    namespace = Path("/proc/self/ns/pid").readlink().name
    return f"{socket.gethostname()}/{namespace.removeprefix('pid:').strip('[]')}"


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def owner_name() -> str:
    return owner_of(os.getpid())


def owner_of(pid: int) -> str:
    """How a process of this host is named as an owner."""
    return f"{_host()}:{pid}:{_started(pid)}"


def is_dead(owner: str) -> bool:
    """The owner was a process of this host and has ended. Of other hosts nothing is known."""
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != _host() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


# Duties that every worker has, in any number of copies.


def tidy() -> None:
    """Take runs from dead owners, fail those that wait for nothing, put back forgotten pairs, write
    to those who want to know what has ended."""
    for owner in lifecycle.active_owners():
        if is_dead(owner):
            _report(lifecycle.reap_owner(owner))
    _report(lifecycle.reap())
    alerts.watch_if_due()
    for run_id in lifecycle.fail_without_inputs():
        logger.warning("run %s failed: what it waits for will not come", run_id)
    for campaign in Campaign.objects.filter(state=CampaignState.OPEN):
        reopen_expired(campaign)
    notices.send_one()


def _report(run_ids: list[int]) -> None:
    for run_id in run_ids:
        logger.warning("run %s was taken from a worker that died or lost touch", run_id)


def beat(
    owner: str,
    queues: Iterable[str],
    *,
    slots: int,
    labels: Labels | None = None,
    node: str = "",
) -> None:
    """Say that this worker lives, what it has and what it works on."""
    host, _, rest = owner.partition(":")
    current = Run.objects.filter(owner=owner, state__in=ACTIVE).order_by("pk").first()
    WorkerHeartbeat.objects.update_or_create(
        owner=owner,
        defaults={
            "host": host,
            "pid": int(rest.partition(":")[0]),
            "queues": sorted(queues),
            "labels": dict(labels or {}),
            "node": node,
            "slots": slots,
            "seen_at": Now(),
            "stuck": strays.hunt(),
            "run": current,
        },
    )
    WorkerHeartbeat.objects.filter(seen_at__lt=Now() - _FORGET_AFTER).delete()


def may_claim() -> bool:
    """Whether this host is fit for another run."""
    return strays.host_is_well(_host())


def sign_off(owner: str) -> None:
    WorkerHeartbeat.objects.filter(owner=owner).delete()


class Worker:
    """`slots` threads that each claim and supervise one run at a time."""

    def __init__(self, queues: Iterable[str], slots: int, labels: Labels | None = None):
        self.queues = tuple(queues)
        self.slots = slots
        self.labels = of_this_worker(labels)
        self.owner = owner_name()
        self.leave = threading.Event()
        self._busy = 0
        self._lock = threading.Lock()

    def run(self, *, until_idle: bool = False) -> None:
        """Work until `leave` is set, or until there is nothing left that could start."""
        threads = [threading.Thread(target=self._slot, name=f"slot-{n}") for n in range(self.slots)]
        said = as_given(self.labels)
        logger.info("worker %s serves %s with %s", self.owner, ", ".join(self.queues), said)
        tidy()
        self._beat()
        for thread in threads:
            thread.start()
        try:
            self._watch(until_idle=until_idle)
        finally:
            self.leave.set()
            for thread in threads:
                thread.join()
            sign_off(self.owner)
        logger.info("worker %s leaves", self.owner)

    def run_once(self) -> bool:
        """Claim and supervise one run in this thread. False: there was none."""
        tidy()
        self.slots = 1
        self._beat()
        try:
            return self._work()
        finally:
            sign_off(self.owner)

    def _beat(self) -> None:
        beat(self.owner, self.queues, slots=self.slots, labels=self.labels)

    def _watch(self, *, until_idle: bool) -> None:
        next_beat = 0.0
        while not self.leave.wait(settings.TIEBREAK_RUN_POLL_SECONDS):
            try:
                close_old_connections()
                tidy()
                collecting.collect_if_due()
                if time.monotonic() >= next_beat:
                    self._beat()
                    next_beat = time.monotonic() + settings.TIEBREAK_RUN_RENEW_SECONDS
                if until_idle and self._idle():
                    return
            except Error as error:
                logger.warning("the database does not answer: %s", error)
                connection.close()
            except Exception:  # its trainings go on, whatever is wrong with looking after others
                logger.exception("looking after runs has failed; it is tried again")

    def _idle(self) -> bool:
        with self._lock:
            if self._busy:
                return False
        mine = Run.objects.filter(queue__in=self.queues)
        mine = mine.exclude(pk__in=people_waits.held_up())
        return not mine.filter(state__in=(RunState.QUEUED, *ACTIVE)).exists()

    def _slot(self) -> None:
        try:
            while not self.leave.is_set():
                if not self._work_if_possible():
                    self.leave.wait(settings.TIEBREAK_RUN_POLL_SECONDS)
        finally:
            connection.close()

    def _work_if_possible(self) -> bool:
        try:
            close_old_connections()
            return self._work()
        except Error as error:
            logger.warning("the database does not answer: %s", error)
            connection.close()
        except Exception:
            # One slot fewer would go unnoticed for days.
            logger.exception("a run could not be supervised; the reaper will find it")
        return False

    def _work(self) -> bool:
        if not may_claim():
            return False
        run = lifecycle.claim(self.queues, self.owner, labels=self.labels)
        if run is None:
            return False
        with self._lock:
            self._busy += 1
        try:
            supervise(run, self.leave, slots=self.slots)
        finally:
            with self._lock:
                self._busy -= 1
        return True
