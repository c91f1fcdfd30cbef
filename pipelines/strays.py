"""Processes that outlived their attempt: killed wherever a worker of the host finds them.

A supervisor leaves none behind, and the kernel ends a child with its supervisor. What is found here
got past both. One that cannot be killed is held by the kernel (a disk or a GPU that does not
answer); it may hold a GPU as well, so its host takes no further run until it is gone.
"""

import contextlib
import logging
import os
import signal
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models.functions import Now

from pipelines import launching
from pipelines.launching import Tagged
from pipelines.models import ACTIVE, Run, WorkerHeartbeat

logger = logging.getLogger(__name__)
_PATIENCE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stuck:
    """A process that SIGKILL did not end."""

    pid: int
    run: int
    state: str  # a letter of the kernel: D waits for a device


def hunt() -> list[dict[str, Any]]:
    """Kill what should have ended long ago; give what would not die, for the heartbeat."""
    found = strays()
    for each in found:
        logger.warning("process %s of run %s outlived its attempt", each.pid, each.run_id)
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    while found and time.monotonic() < until:
        time.sleep(0.02)
        found = [each for each in found if state_of(each.pid) not in "ZX"]
    stuck = [Stuck(each.pid, each.run_id, state_of(each.pid)) for each in found]
    for process in stuck:
        logger.error("process %s of run %s cannot be killed", process.pid, process.run)
    return [asdict(each) for each in stuck]


def strays() -> list[Tagged]:
    """Processes of this host whose run has ended, waits, or is worked on by a later attempt.

    Of a run that the database does not know, nothing is known: it is left alone.
    """
    found = list(launching.tagged())
    rows = Run.objects.filter(pk__in={each.run_id for each in found})
    known = {run.pk: run for run in rows} if found else {}
    return [
        each
        for each in found
        if (run := known.get(each.run_id)) is not None
        and (run.state not in ACTIVE or each.fence < run.fence)
    ]


def state_of(pid: int) -> str:
    """The letter that the kernel gives to a process; X for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "X"
    return text.rpartition(")")[2].split()[0]


def host_is_well(host: str) -> bool:
    """Whether no worker of this host has lately found a process that cannot be killed."""
    recent = Now() - timedelta(seconds=3 * settings.TIEBREAK_RUN_RENEW_SECONDS)
    beats = WorkerHeartbeat.objects.filter(host=host, seen_at__gte=recent)
    return not any(beats.values_list("stuck", flat=True))
