"""The state machine of a run. Every change of a Run row after its insert is made here.

Each change is one UPDATE on (id, state, fence) and must touch one row; a writer whose UPDATE
touches none has lost the run and stops. Times are those of the database's clock. A trigger in the
database (pipelines.run_guard) refuses what LEGAL does not list, and writes the events.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from annotation.models import CampaignState
from pipelines import notices
from pipelines.models import ACTIVE, ENDED, PeopleWait, Run, RunState
from pipelines.worker_labels import Labels, fits

LEGAL: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.QUEUED: frozenset(
        {RunState.STARTING, RunState.PAUSED, RunState.CANCELLED, RunState.FAILED}
    ),
    RunState.STARTING: frozenset(
        {
            RunState.RUNNING,
            RunState.QUEUED,
            RunState.FAILED,
            RunState.PAUSING,
            RunState.CANCELLING,
        }
    ),
    RunState.RUNNING: frozenset(
        {
            RunState.PAUSING,
            RunState.CANCELLING,
            RunState.COMMITTING,
            RunState.QUEUED,
            RunState.FAILED,
        }
    ),
    RunState.PAUSING: frozenset(
        {RunState.PAUSED, RunState.COMMITTING, RunState.CANCELLING, RunState.FAILED}
    ),
    RunState.PAUSED: frozenset({RunState.QUEUED, RunState.CANCELLED}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED}),
    RunState.COMMITTING: frozenset({RunState.SUCCEEDED, RunState.QUEUED, RunState.FAILED}),
    RunState.FAILED: frozenset({RunState.QUEUED}),  # a person asks for another try
    RunState.SUCCEEDED: frozenset(),
    RunState.CANCELLED: frozenset(),
}

# No worker owns the run, and one may later.
WAITING: Final = (RunState.QUEUED, RunState.PAUSED)
# What people may still do (pipelines.wishes refuses the rest).
MAY_PAUSE: Final = (RunState.QUEUED, RunState.STARTING, RunState.RUNNING)
MAY_CANCEL: Final = (*MAY_PAUSE, RunState.PAUSING, RunState.PAUSED)


def from_now(seconds: float) -> ExpressionWrapper:
    """A moment of the database's clock: hosts may disagree about the time, rows may not."""
    return ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())


def move(run: Run, after: RunState, **changes: Any) -> bool:
    """Move a run on from the state and fence that `run` shows. False: somebody else was faster.

    On success `run` shows the new state; other values are those that the caller read before.
    """
    values: dict[str, Any] = {"state": after, **changes}
    if after not in ACTIVE:
        values |= {"lease_until": None, "owner": ""}
    if after in ENDED:
        values.setdefault("finished_at", Now())
    # Whoever is to be told of an end is told of it if and only if it comes to be.
    with transaction.atomic() if after in ENDED else nullcontext():
        rows = Run.objects.filter(pk=run.pk, state=run.state, fence=run.fence).update(**values)
        if rows != 1:
            return False
        if after in ENDED:
            notices.tell(run.pk)
    run.state = after
    return True


# The worker's side.


def claimable(queues: Iterable[str], labels: Labels | None = None) -> QuerySet[Run]:
    """Queued runs whose time has come and whose inputs are all there: priority, then age.

    With the labels of a worker, those of them whose needs it meets.
    """
    waiting = Q(inputs__artifact=None, inputs__producer__isnull=False) & ~Q(
        inputs__producer__state=RunState.SUCCEEDED
    )
    blocked = Run.objects.filter(waiting, state=RunState.QUEUED).values("pk")
    return (
        Run.objects.filter(state=RunState.QUEUED, queue__in=list(queues))
        .filter(Q(not_before=None) | Q(not_before__lte=Now()))
        .exclude(pk__in=blocked)
        .exclude(pk__in=people_waits().values("run"))
        .exclude(_unmet(labels))
        .order_by("-priority", "pk")
    )


def people_waits() -> QuerySet[PeopleWait]:
    """Runs that wait for votes: the campaign is not open yet, or wants more and still gets them."""
    wanting = Q(campaign__triplets_done__lt=F("campaign__triplets_total"))
    still = Q(campaign=None) | (wanting & ~Q(campaign__state=CampaignState.CLOSED))
    return PeopleWait.objects.filter(still, enough_at=None)


def _unmet(labels: Labels | None) -> Q:
    """The needs of queued runs that these labels do not meet. There are few different ones."""
    unmet = Q(pk__in=[])
    if labels is None:
        return unmet
    asked = Run.objects.filter(state=RunState.QUEUED).exclude(needs={}).order_by()
    for needs in asked.values_list("needs", flat=True).distinct():
        if not fits(needs, labels):
            unmet |= Q(needs=needs)
    return unmet


def claim(
    queues: Iterable[str],
    owner: str,
    *,
    run_id: int | None = None,
    labels: Labels | None = None,
) -> Run | None:
    """Take the first run that can start here, or that one: fence + 1, attempt + 1, a lease."""

    def wanted() -> QuerySet[Run]:
        runs = claimable(queues, labels)
        return runs if run_id is None else runs.filter(pk=run_id)

    if not wanted().exists():  # A plain read: an idle worker never takes SQLite's write lock.
        return None
    with transaction.atomic():
        run = _first_that_fits(wanted, labels)
        if run is None:
            return None
        taken = move(
            run,
            RunState.STARTING,
            fence=F("fence") + 1,
            attempt=F("attempt") + 1,
            owner=owner,
            lease_until=from_now(settings.TIEBREAK_RUN_LEASE_SECONDS),
            heartbeat_at=Now(),
            progress_at=Now(),
            started_at=run.started_at or Now(),
            finished_at=None,
            not_before=None,
            reason="",
            message="",
        )
        if not taken:
            return None
        run.refresh_from_db()
    return run


def _first_that_fits(wanted: Callable[[], QuerySet[Run]], labels: Labels | None) -> Run | None:
    """The first of them, its row locked.

    `wanted` reads the needs of queued runs before the runs: one that was queued in between, as
    where somebody tries a failed run again, is in it whatever it needs.
    """
    while True:
        run = wanted().select_for_update(skip_locked=True, of=("self",)).first()
        if run is None or labels is None or fits(run.needs, labels):
            return run


def renew(run: Run) -> bool:
    """Prolong the lease. False: the run has another owner by now, and this one must let go."""
    held = Run.objects.filter(pk=run.pk, fence=run.fence, state__in=ACTIVE)
    lease = from_now(settings.TIEBREAK_RUN_LEASE_SECONDS)
    return held.update(lease_until=lease, heartbeat_at=Now()) == 1


def see(run: Run) -> bool:
    """Read state, wish and progress anew. False: the run has another owner by now."""
    row = Run.objects.filter(pk=run.pk, fence=run.fence, state__in=ACTIVE).first()
    if row is None:
        return False
    run.state, run.want, run.step = row.state, row.want, row.step
    return True


def note_progress(run: Run, *, step: int, total: int, stage: str) -> bool:
    """Show how far a run is. False: the run has another owner by now."""
    held = Run.objects.filter(pk=run.pk, fence=run.fence, state__in=ACTIVE)
    return held.update(step=step, total=total, stage=stage, progress_at=Now()) == 1


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    steps: list[float] = settings.TIEBREAK_RUN_BACKOFF_SECONDS
    return steps[min(failures, len(steps)) - 1] if failures > 0 and steps else 0.0


def try_again(run: Run, reason: str, message: str) -> bool:
    """After a failure: back into the queue, later; or failed, where the tries are used up."""
    return _try_again(run, reason, message, back_off(run.attempt))


def try_otherwise(run: Run, reason: str, message: str, retry: Mapping[str, Any]) -> bool:
    """As `try_again`, and the next attempt works as `retry` says (retry.json of its directory)."""
    return _try_again(run, reason, message, back_off(run.attempt), retry=dict(retry))


def _try_again(run: Run, reason: str, message: str, wait: float, **changes: Any) -> bool:
    if run.attempt >= run.max_attempts:
        return move(run, RunState.FAILED, reason=reason, message=message)
    later = from_now(wait) if wait else None
    changes |= {"reason": reason, "message": message, "not_before": later}
    return move(run, RunState.QUEUED, **changes)


def put_back(run: Run, reason: str, message: str) -> bool:
    """Back into the queue at once, because it was stopped and did not fail: no try is used up."""
    attempt = max(run.attempt - 1, 0)
    return move(run, RunState.QUEUED, reason=reason, message=message, attempt=attempt)


def rest(run: Run) -> bool:
    """From pausing to paused: its processes are gone, and no try is used up."""
    return move(run, RunState.PAUSED, reason="paused", attempt=max(run.attempt - 1, 0))


# The reaper: any number of copies may run, because each change is conditional.


def reap() -> list[int]:
    """Take runs away from owners whose lease has run out; give their ids."""
    expired = Run.objects.filter(state__in=ACTIVE, lease_until__lt=Now())
    return [run.pk for run in expired if _release(run, lease_until__lt=Now())]


def reap_owner(owner: str) -> list[int]:
    """Take its runs away from an owner that is known to be dead, before the leases run out."""
    held = Run.objects.filter(state__in=ACTIVE, owner=owner)
    return [run.pk for run in held if _release(run, owner=owner)]


def active_owners() -> set[str]:
    return set(Run.objects.filter(state__in=ACTIVE).values_list("owner", flat=True).distinct())


def _release(run: Run, **still: Any) -> bool:
    # Read, look again under the lock, move. A renewal between the read and the lock wins.
    with transaction.atomic():
        row = Run.objects.select_for_update(skip_locked=True).filter(
            pk=run.pk, fence=run.fence, state=run.state, **still
        )
        if row.first() is None:
            return False
        if run.state == RunState.CANCELLING:
            return move(run, RunState.CANCELLED, reason="cancelled")
        if run.state == RunState.PAUSING:
            return rest(run)
        # Once, a dead worker is hardly the fault of the run: it goes on without waiting.
        wait = back_off(run.attempt - 1)
        return _try_again(run, "lost", "Its worker died or lost touch.", wait)


def fail_without_inputs() -> list[int]:
    """Fail the queued runs that wait for a run which will leave nothing; give their ids."""
    gone = Q(inputs__artifact=None) & Q(
        inputs__producer__state__in=(RunState.FAILED, RunState.CANCELLED)
    )
    hopeless = Run.objects.filter(gone, state=RunState.QUEUED).distinct()
    failed = [run_id for run_id in hopeless.values_list("pk", flat=True) if _fail(run_id)]
    return failed + (fail_without_inputs() if failed else [])


def _fail(run_id: int) -> bool:
    """Fail it, if an input is still not to be had. Somebody may just try it or the input again.

    Both rows are held, so that neither is back in the queue when the other one fails. Rows that
    others hold are left for the next time: they are being tried again, or cancelled.
    """
    with transaction.atomic():
        waiting = Run.objects.filter(pk=run_id, state=RunState.QUEUED)
        run = waiting.select_for_update(skip_locked=True).first()
        if run is None:
            return False
        ended = run.inputs.filter(
            artifact=None, producer__state__in=(RunState.FAILED, RunState.CANCELLED)
        )
        held = ended.select_related("producer").select_for_update(
            skip_locked=True, of=("producer",)
        )
        missing = held.order_by("pk").first()
        if missing is None or missing.producer is None:
            return False
        producer = missing.producer
        word = "was cancelled" if producer.state == RunState.CANCELLED else "failed"
        source = f"run {producer.pk} ({producer.kind})"
        message = f"Its {missing.role} should have come from {source}, which {word}."
        return move(run, RunState.FAILED, reason="input_failed", message=message)


# The people's side is pipelines.wishes; this one is no change of state.


def put_at(run: Run, priority: int) -> bool:
    """The place among the waiting: a higher number goes first. False: it does not wait."""
    waiting = Run.objects.filter(pk=run.pk, state__in=WAITING)
    if waiting.update(priority=priority) != 1:
        return False
    run.priority = priority
    return True
