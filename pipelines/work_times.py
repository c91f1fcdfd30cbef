"""How long runs have been at work, and how long their kind takes: what the time to finish is from.

A run that waited, was paused or was taken from a dead worker did nothing in between: only the time
in which a worker held it counts.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from pipelines.models import ACTIVE, Run, RunEvent, RunState

_COARSE: Final = (
    5  # a run that counts no more steps than these counts stages, which are not equally long
)
_NEWEST: Final = 100  # ended runs that are looked at for all kinds together


def left(run: Run, worked: timedelta, expected: timedelta | None) -> timedelta | None:
    """Time to finish: by its own pace where it counts steps, else by what its kind takes."""
    if run.state not in ACTIVE:
        return None
    if run.total > _COARSE and 0 < run.step < run.total:
        return worked * (run.total - run.step) / run.step
    if expected is not None and worked < expected:
        return expected - worked
    return None


def worked(runs: Iterable[Run], now: datetime) -> dict[int, timedelta]:
    """The time in which a worker held each of these runs, in one query."""
    ids = [run.pk for run in runs]
    found: dict[int, timedelta] = defaultdict(timedelta)
    since: dict[int, datetime] = {}
    events = RunEvent.objects.filter(run__in=ids).order_by("pk") if ids else []
    for event in events:
        if event.after == RunState.STARTING:
            since[event.run_id] = event.at
        elif event.after not in ACTIVE and event.run_id in since:
            found[event.run_id] += event.at - since.pop(event.run_id)
    for run_id, begun in since.items():
        found[run_id] += max(now - begun, timedelta())
    return found


def expected(kinds: Iterable[str]) -> dict[str, timedelta]:
    """What undisturbed runs of each kind have taken lately, in one query."""
    wanted = set(kinds)
    if not wanted:
        return {}
    rows = Run.objects.filter(
        kind__in=wanted, state=RunState.SUCCEEDED, attempt=1, started_at__isnull=False
    ).order_by("-pk")
    taken: dict[str, list[float]] = defaultdict(list)
    for kind, begun, ended in rows.values_list("kind", "started_at", "finished_at")[:_NEWEST]:
        if begun is not None and ended is not None:
            taken[kind].append((ended - begun).total_seconds())
    return {kind: timedelta(seconds=median(each)) for kind, each in taken.items()}
