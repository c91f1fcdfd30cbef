"""How a run looks to people: its state in words, how far it is, how long it still takes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.urls import reverse
from django.utils import timezone

from annotation.permissions import Person, is_ml_engineer
from pipelines import kinds, work_times
from pipelines.lifecycle import MAY_CANCEL, MAY_PAUSE, WAITING
from pipelines.models import ACTIVE, ENDED, Run, RunInput, RunState, WorkerHeartbeat
from pipelines.throughput import Throughput, throughputs
from pipelines.waiting import fitting, live_workers, votes_awaited
from pipelines.worker_labels import in_words

_BADGES: Final = {
    RunState.QUEUED: "",
    RunState.SUCCEEDED: "badge-ok",
    RunState.FAILED: "badge-bad",
    RunState.CANCELLED: "badge-warn",
    RunState.CANCELLING: "badge-warn",
    RunState.PAUSING: "badge-warn",
    RunState.PAUSED: "badge-warn",
}


@dataclass(frozen=True, slots=True)
class RunCard:
    """One run as lists and pages show it; also the JSON that keeps them up to date."""

    id: int
    url: str
    name: str
    kind: str
    title: str
    state: str
    badge: str
    words: str  # why it stands where it stands, one sentence or nothing
    step: int
    total: int
    stage: str
    left: str  # time to finish, in words
    rate: str  # clips per second, in words
    took: str
    ended: bool
    priority: int
    can_cancel: bool
    can_retry: bool
    can_pause: bool
    can_resume: bool
    can_prioritise: bool

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.step / self.total)) if self.total else 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "percent": self.percent}


def cards(runs: Iterable[Run], user: Person) -> list[RunCard]:
    """The cards of these runs, in a few queries: what they wait for, the workers, how fast."""
    rows = list(runs)
    queued = [run.pk for run in rows if run.state == RunState.QUEUED]
    awaited = _awaited(queued) if queued else {}
    alive = live_workers() if queued else []
    votes = votes_awaited(queued) if queued else {}
    paces = throughputs(rows)
    left = _times_left(rows, paces, now := timezone.now())
    may_steer = is_ml_engineer(user)
    return [
        _card(
            run,
            why_waiting(run, awaited.get(run.pk, []), alive, now, votes.get(run.pk, "")),
            paces.get(run.pk),
            left.get(run.pk),
            may_steer=may_steer,
            now=now,
        )
        for run in rows
    ]


def _awaited(run_ids: list[int]) -> Mapping[int, list[Run]]:
    rows = (
        RunInput.objects.filter(run__in=run_ids, artifact=None, producer__isnull=False)
        .exclude(producer__state=RunState.SUCCEEDED)
        .select_related("producer")
    )
    found: dict[int, list[Run]] = defaultdict(list)
    for row in rows:
        if row.producer is not None:
            found[row.run_id].append(row.producer)
    return found


def why_waiting(
    run: Run,
    awaited: list[Run],
    alive: Sequence[WorkerHeartbeat],
    now: datetime,
    votes: str = "",
) -> str:
    """Why a queued run does not run yet; nothing for any other state.

    `pipelines.waiting` asks the same of one run; a list of runs may not ask once per row.
    """
    if run.state != RunState.QUEUED:
        return ""
    if awaited:
        names = [f"{each.name or each.kind} (run {each.pk})" for each in awaited]
        more = f" and {len(names) - 2} more" if len(names) > 3 else ""
        return f"Waits for {', '.join(names[:2] if more else names)}{more}."
    if votes:
        return f"{votes[0].upper()}{votes[1:]}."
    if run.not_before is not None and run.not_before > now:
        return f"Tries again in {duration(run.not_before - now)}: {run.message}"
    if not fitting(run.queue, {}, alive):
        return f"No worker serves the queue {run.queue}; start one with: python manage.py worker"
    if not fitting(run.queue, run.needs, alive):
        return f"No worker of the queue {run.queue} has {in_words(run.needs)}."
    return "Waits for a free worker."


def _card(
    run: Run,
    waiting: str,
    pace: Throughput | None,
    left: timedelta | None,
    *,
    may_steer: bool,
    now: datetime,
) -> RunCard:
    return RunCard(
        id=run.pk,
        url=reverse("pipelines:run", args=[run.pk]),
        name=run.name or kind_title(run.kind),
        kind=run.kind,
        title=kind_title(run.kind),
        state=run.state,
        badge=badge_of(run.state),
        words=waiting or run.message,
        step=pace.done if pace else run.step,
        total=pace.total if pace else run.total,
        stage=run.stage,
        left="" if left is None else duration(left),
        rate=pace.words if pace else "",
        took=_took(run, now),
        ended=run.state in ENDED,
        priority=run.priority,
        can_cancel=may_steer and run.state in MAY_CANCEL,
        can_retry=may_steer and run.state == RunState.FAILED,
        can_pause=may_steer and run.state in MAY_PAUSE,
        can_resume=may_steer and run.state == RunState.PAUSED,
        can_prioritise=may_steer and run.state in WAITING,
    )


def badge_of(state: str) -> str:
    """The look of a state; empty for the plain one."""
    return _BADGES.get(RunState(state), "badge-active")


def kind_title(kind: str) -> str:
    """What a kind does, in words; a kind that is gone keeps its bare name."""
    return kinds.get(kind).title if kind in kinds.names() else kind


def _times_left(
    runs: list[Run], paces: Mapping[int, Throughput], now: datetime
) -> dict[int, timedelta | None]:
    """Time to finish of the runs at work; two queries, where there are some."""
    active = [run for run in runs if run.state in ACTIVE and run.pk not in paces]
    done = work_times.worked(active, now)
    usual = work_times.expected(run.kind for run in active)
    found = {
        run.pk: work_times.left(run, done.get(run.pk, timedelta()), usual.get(run.kind))
        for run in active
    }
    return found | {pk: pace.left for pk, pace in paces.items()}


def _took(run: Run, now: datetime) -> str:
    if run.started_at is None:
        return ""
    return duration((run.finished_at or now) - run.started_at)


def duration(span: timedelta) -> str:
    """A span of time in the two units that matter: 8 s, 3 min 20 s, 2 h 5 min, 1 d 4 h."""
    seconds = max(0, round(span.total_seconds()))
    for size, unit, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= size:
            return _two(seconds // size, unit, seconds % size // below, smaller)
    if seconds >= 60:
        return _two(seconds // 60, "min", seconds % 60, "s")
    return f"{seconds} s"


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
