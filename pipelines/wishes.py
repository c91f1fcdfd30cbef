"""What people want of one run: cancel it, pause it, go on with it, try it again, put it first.

Each wish is one conditional change of the row (`lifecycle.move`). Of a run that a worker holds, the
row says what is wanted, and the worker obeys; of any other run it is done at once. Doors call
`pipelines.steering` and `pipelines.starting`, which take along what hangs on a run.
"""

from collections.abc import Callable
from typing import Any, Final

from pipelines import lifecycle
from pipelines.errors import WrongState
from pipelines.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, Run, RunState, Want

# What becomes of the row at once; None: nothing, it is as it was asked for.
Change = tuple[RunState, dict[str, Any]] | None


def cancel(run: Run, by: str) -> Run:
    """Cancel what no worker holds, ask the owner of what runs; WrongState where it is too late."""
    return _steered(run, _cancelled, f"Cancelled by {by}.")


def _cancelled(run: Run, message: str) -> Change:
    if run.state in (RunState.CANCELLING, RunState.CANCELLED):
        return None
    if run.state in (RunState.QUEUED, RunState.PAUSED):
        return RunState.CANCELLED, {"reason": "cancelled", "message": message}
    if run.state in (RunState.STARTING, RunState.RUNNING, RunState.PAUSING):
        return RunState.CANCELLING, {"want": Want.CANCEL, "message": message}
    raise WrongState(_too_late(run))


def pause(run: Run, by: str) -> Run:
    """Take a queued run out of the queue; what runs saves its state and stops, and keeps it."""
    return _steered(run, _paused, f"Paused by {by}.")


def _paused(run: Run, message: str) -> Change:
    if run.state in (RunState.PAUSING, RunState.PAUSED):
        return None
    wish = {"want": Want.PAUSE, "message": message}
    if run.state == RunState.QUEUED:
        return RunState.PAUSED, {**wish, "reason": "paused"}
    if run.state in (RunState.STARTING, RunState.RUNNING):
        return RunState.PAUSING, wish
    if run.state == RunState.CANCELLING:
        raise WrongState(f"run {run.pk} is being cancelled")
    raise WrongState(_too_late(run))


def resume(run: Run) -> Run:
    """Put a paused run back into the queue; it goes on from where it saved."""
    return _steered(run, _resumed, "")


def _resumed(run: Run, message: str) -> Change:
    if run.state == RunState.PAUSING:
        raise WrongState(f"run {run.pk} is still being paused; resume it when it is paused")
    if run.state != RunState.PAUSED:
        raise WrongState(f"run {run.pk} is {run.state}; only a paused run can be resumed")
    changes = {"want": Want.RUN, "reason": "", "message": message, "not_before": None}
    return RunState.QUEUED, changes


def _too_late(run: Run) -> str:
    if run.state == RunState.COMMITTING:
        return f"run {run.pk} is done and its results are being registered"
    return f"run {run.pk} has ended already: {_ENDS[RunState(run.state)]}"


_ENDS: Final = {
    RunState.SUCCEEDED: "it succeeded",
    RunState.FAILED: "it failed",
    RunState.CANCELLED: "it was cancelled",
}


def _steered(run: Run, asked: Callable[[Run, str], Change], message: str) -> Run:
    """Do what a person asks, from whatever state the run is in when the row is ours to change."""
    for _ in range(5):
        run.refresh_from_db()
        change = asked(run, message)
        if change is None:
            return run
        after, values = change
        if lifecycle.move(run, after, **values):
            return run
    raise WrongState(f"run {run.pk} keeps changing its state; try again")


def put_at(run: Run, priority: int) -> None:
    """The place of a waiting run in the queue: a higher number goes first, then the older run."""
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise WrongState(
            f"a priority is a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY},"
            f" got {priority}"
        )
    if not lifecycle.put_at(run, priority):
        run.refresh_from_db()
        raise WrongState(f"run {run.pk} is {run.state}; only a queued or paused run has a priority")


def retry(run: Run) -> bool:
    """Put a failed run back into the queue with all its tries."""
    return lifecycle.move(
        run,
        RunState.QUEUED,
        want=Want.RUN,
        attempt=0,
        not_before=None,
        retry={},
        reason="",
        message="",
        finished_at=None,
    )
