"""Pausing, going on, and the order in the queue: the functions that all doors call.

Of one run and what was started for it alone, or of a whole chain (a LoopGroup). Cancelling and
trying again one run stand in `pipelines.starting`. Whoever may press the button is the door's
question.
"""

from collections.abc import Callable, Iterable
from typing import Final

from django.contrib.auth.models import AbstractBaseUser

from pipelines import doorbell, wishes
from pipelines.errors import WrongState
from pipelines.lifecycle import WAITING
from pipelines.models import LoopGroup, Run, RunState
from pipelines.starting import cancel_run, retry_run, work_of

_MAY_PAUSE: Final = (RunState.QUEUED, RunState.STARTING, RunState.RUNNING)
_MAY_CANCEL: Final = (*_MAY_PAUSE, RunState.PAUSING, RunState.PAUSED)


def pause_run(run: Run, user: AbstractBaseUser) -> Run:
    """Pause a run and the work that was started for it. What runs saves its state first."""
    paused = wishes.pause(run, user.get_username())
    for part in _in(work_of(run), _MAY_PAUSE):
        wishes.pause(part, user.get_username())
    return paused


def resume_run(run: Run) -> Run:
    """Put a paused run back into the queue, with the paused work that was started for it."""
    resumed = wishes.resume(run)
    parts = [wishes.resume(part) for part in _in(work_of(run), [RunState.PAUSED])]
    doorbell.ring_on_commit([*parts, resumed])
    return resumed


def put_run_at(run: Run, priority: int) -> Run:
    """Give a waiting run a priority, and to the waiting work that was started for it."""
    parts = _in(work_of(run), WAITING)
    if run.state in WAITING or not parts:
        wishes.put_at(run, priority)
    for part in parts:
        wishes.put_at(part, priority)
    return run


# A whole chain.


def cancel_group(group: LoopGroup, user: AbstractBaseUser) -> list[Run]:
    """Cancel every run of a chain that has not ended, the last ones first."""
    return _each(group, _MAY_CANCEL, lambda run: cancel_run(run, user), "cancelled")


def pause_group(group: LoopGroup, user: AbstractBaseUser) -> list[Run]:
    """Pause every run of a chain that could go on by itself, the last ones first."""
    return _each(group, _MAY_PAUSE, lambda run: pause_run(run, user), "paused")


def resume_group(group: LoopGroup) -> list[Run]:
    return _each(group, [RunState.PAUSED], resume_run, "resumed")


def retry_group(group: LoopGroup, user: AbstractBaseUser) -> list[Run]:
    """Try again whatever failed; what failed for want of it follows by itself."""
    return _each(group, [RunState.FAILED], lambda run: retry_run(run, user), "tried again")


def put_group_at(group: LoopGroup, priority: int) -> list[Run]:
    return _each(group, WAITING, lambda run: put_run_at(run, priority), "moved in the queue")


def _each(
    group: LoopGroup, states: Iterable[RunState], act: Callable[[Run], Run], word: str
) -> list[Run]:
    """Do it to each run that is in one of these states when its turn comes.

    From the last to the first, so that nothing starts, or fails, because of what has just been
    done to the run before it. A run that moves on at the same moment is left as it is.
    """
    wanted, done = frozenset(states), []
    for run in group.runs.order_by("-pk"):
        run.refresh_from_db()
        if run.state not in wanted:
            continue
        try:
            done.append(act(run))
        except WrongState:
            continue
    if not done:
        raise WrongState(f"no run of {group.name!r} can be {word} now")
    return done


def _in(runs: list[Run], states: Iterable[RunState]) -> list[Run]:
    wanted = frozenset(states)
    return [run for run in runs if run.state in wanted]
