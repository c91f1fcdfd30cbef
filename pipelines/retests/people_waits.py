"""Runs that count votes wait for people: when the wait begins, and when somebody ends it.

The only writer of PeopleWait. Which runs wait now, `lifecycle.people_waits` asks in one statement,
so nothing must happen at the moment when the last vote comes.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db.models.functions import Now

from formats.outcome import Outcome, OutputKind
from pipelines import doorbell, lifecycle
from pipelines.errors import WrongState
from pipelines.models import Artifact, PeopleWait, Run, RunInput, RunState


def begin(run: Run, inputs: Iterable[RunInput]) -> None:
    """In the transaction that writes the run."""
    found = [campaign for row in inputs if (campaign := _campaign_of(row)) is not None]
    PeopleWait.objects.create(run=run, campaign_id=found[0] if found else None)


def _campaign_of(row: RunInput) -> int | None:
    if row.artifact is not None:
        return _named(row.artifact)
    if row.producer_id is None:
        return None
    # Its end waits for this lock, and `tell` then sees our row; or it has ended already.
    producer = Run.objects.select_for_update(of=("self",)).get(pk=row.producer_id)
    if producer.state != RunState.SUCCEEDED:
        return None
    left = producer.artifacts.filter(kind=OutputKind.RETEST).first()
    return None if left is None else _named(left)


def _named(artifact: Artifact) -> int | None:
    return artifact.meta["campaign"] if artifact.kind == OutputKind.RETEST else None


def tell(run: Run, _outcome: Outcome, artifacts: list[Artifact]) -> None:
    """The run that opens a campaign has ended: who waits for its votes learns which it is."""
    for artifact in artifacts:
        waits = PeopleWait.objects.filter(run__inputs__producer=run, campaign=None)
        waits.update(campaign=artifact.meta["campaign"])


def enough(run: Run, user: AbstractBaseUser) -> PeopleWait:
    """Count now, with the votes that are there; WrongState where nothing waits."""
    waiting = lifecycle.people_waits().filter(run=run, campaign__isnull=False)
    waiting = waiting.filter(run__state=RunState.QUEUED)
    ids = list(waiting.values_list("pk", flat=True))
    ended = PeopleWait.objects.filter(pk__in=ids, enough_at=None)
    if ended.update(enough_by=user.pk, enough_at=Now()) != 1:
        run.refresh_from_db()
        raise WrongState(f"run {run.pk} is {run.state} and does not wait for votes")
    doorbell.ring_on_commit([run])
    return PeopleWait.objects.get(run=run)


def held_up() -> set[int]:
    """Queued runs that wait for people, or for a run that does: no worker can bring them on."""
    found: set[int] = set()
    frontier = set(lifecycle.people_waits().values_list("run", flat=True))
    while frontier:
        found |= frontier
        behind = RunInput.objects.filter(
            producer__in=frontier, artifact=None, run__state=RunState.QUEUED
        )
        frontier = set(behind.values_list("run", flat=True)) - found
    return found
