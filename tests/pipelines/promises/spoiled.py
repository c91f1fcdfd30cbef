"""Tiebreak with a protection taken away: the environment's MUTANT names which.

A test of a promise that cannot fail here proves nothing. Imported by `spoiled_celery`,
`spoiled_manage` and `spoiled_site`, after Django is set up.
"""

import os
import time
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from formats.run_dir import RunDir
from pipelines import doorbell, launching, lifecycle, lookout, supervisor, worker
from pipelines.models import Run, RunState


def naive_claim() -> None:
    """Look, then write, without a condition."""

    def claim(queues, owner, *, run_id=None, **_):
        found = Run.objects.filter(state="queued", **({"pk": run_id} if run_id else {})).first()
        if found is None:
            return None
        time.sleep(0.4)
        later = timezone.now() + timedelta(minutes=1)
        queued = Run.objects.filter(pk=found.pk, state="queued")
        queued.update(state="starting", lease_until=later)  # Who cares whether it was one row?
        Run.objects.filter(pk=found.pk).update(fence=F("fence") + 1, attempt=F("attempt") + 1)
        return Run.objects.get(pk=found.pk)

    lifecycle.claim = claim


def no_lookout() -> None:
    """A worker that hears messages and nothing else."""
    lookout.Lookout.start = lambda self: None
    lookout.Lookout.stop = lambda self: None


def no_reaper() -> None:
    """Nobody looks after runs whose worker has died."""
    worker.tidy = lambda: None


def no_ties() -> None:
    """The kernel is not asked to end a trainer with its supervisor."""
    launching._tied_to = lambda *_: lambda: None


def no_deadline() -> None:
    """A trainer is never told until when its lease lasts."""
    write = RunDir.write_lease

    def for_ever(self, fence, deadline, end=0.0):
        write(self, fence, deadline + 3600, end + 3600)

    RunDir.write_lease = for_ever


def no_fence() -> None:
    """A change of a run asks neither for its fence nor for its state."""

    def move(run, after, **changes):
        values = {"state": after, **changes}
        if after not in lifecycle.ACTIVE:
            values |= {"lease_until": None, "owner": ""}
        run.state = after
        return Run.objects.filter(pk=run.pk).exclude(state=RunState.SUCCEEDED).update(**values) == 1

    def anybody(run, **_):
        return True

    lifecycle.move = move
    lifecycle.renew = lifecycle.note_progress = anybody
    supervisor.launching.kill_leftovers = lambda run, **_: []


def no_end_of_tries() -> None:
    """A failure is never counted."""
    lifecycle.try_again = lifecycle.put_back


def ring_in_the_way() -> None:
    """A message that cannot be sent fails what wanted to send it."""
    from django.db import transaction

    def ring(run_id, queue):
        raise OSError("no broker")

    doorbell.ring = ring
    on_commit = transaction.on_commit
    doorbell.transaction.on_commit = lambda act, robust=False, **_: on_commit(act)


MUTANTS = {
    each.__name__.replace("_", "-"): each
    for each in (
        naive_claim,
        no_lookout,
        no_reaper,
        no_ties,
        no_deadline,
        no_fence,
        no_end_of_tries,
        ring_in_the_way,
    )
}

for _name in os.environ.get("MUTANT", "").split():
    MUTANTS[_name]()
