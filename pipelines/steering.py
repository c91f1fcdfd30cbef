"""Pausing, going on, and the order in the queue: the functions that all doors call.

Of one run and what was started for it alone, or of a whole chain (a LoopGroup). Cancelling and
trying again one run stand in `pipelines.starting`. Whoever may press the button is the door's
question.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from pipelines import doorbell, wishes
from pipelines.errors import WrongState
from pipelines.lifecycle import MAY_CANCEL, MAY_PAUSE, WAITING
from pipelines.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, LoopGroup, Run, RunState
from pipelines.starting import cancel_run, retry_run, work_of


def pause_run(run: Run, user: AbstractBaseUser) -> Run:
    """Pause a run and the work that was started for it. What runs saves its state first."""
    paused = wishes.pause(run, user.get_username())
    for part in _in(work_of(run), MAY_PAUSE):
        with suppress(WrongState):  # it has just ended
            wishes.pause(part, user.get_username())
    return paused


def resume_run(run: Run) -> Run:
    """Put a paused run back into the queue, with the paused work that was started for it.

    WrongState while a part of it is still being paused: it would rest, and with it the whole.
    """
    with transaction.atomic():
        resumed = wishes.resume(run)
        held = _in(work_of(run), [RunState.PAUSING, RunState.PAUSED])
        parts = [wishes.resume(part) for part in held]
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
    return _each(group, MAY_CANCEL, lambda run: cancel_run(run, user), "cancelled")


def pause_group(group: LoopGroup, user: AbstractBaseUser) -> list[Run]:
    """Pause every run of a chain that could go on by itself, the last ones first."""
    return _each(group, MAY_PAUSE, lambda run: pause_run(run, user), "paused")


def resume_group(group: LoopGroup) -> list[Run]:
    return _each(group, [RunState.PAUSED], resume_run, "resumed")


def retry_group(group: LoopGroup, user: AbstractBaseUser) -> list[Run]:
    """Try again whatever failed; what failed for want of it follows by itself."""
    return _each(group, [RunState.FAILED], lambda run: retry_run(run, user), "tried again")


def put_group_at(group: LoopGroup, priority: int) -> list[Run]:
    return _each(group, WAITING, lambda run: put_run_at(run, priority), "moved in the queue")


GROUP_ACTS: Final = {
    "cancel": "cancelled",
    "pause": "paused",
    "resume": "resumed",
    "retry": "tried again",
    "priority": "moved in the queue",
}


def steer_group(
    group: LoopGroup, act: str, user: AbstractBaseUser, priority: object = None
) -> list[Run]:
    """Do one of GROUP_ACTS; WrongState for another word, and where nothing could be done."""
    if act == "cancel":
        return cancel_group(group, user)
    if act == "pause":
        return pause_group(group, user)
    if act == "resume":
        return resume_group(group)
    if act == "retry":
        return retry_group(group, user)
    if act == "priority":
        return put_group_at(group, priority_of(priority))
    raise WrongState(f"a chain can be asked to {', '.join(GROUP_ACTS)}; got {act[:40]!r}")


def steerable(group: LoopGroup) -> dict[str, bool]:
    """Which acts would find a run of this chain now."""
    states = set(group.runs.values_list("state", flat=True))
    wanted = {
        "cancel": MAY_CANCEL,
        "pause": MAY_PAUSE,
        "resume": (RunState.PAUSED,),
        "retry": (RunState.FAILED,),
    }
    found = {act: bool(states & set(of)) for act, of in wanted.items()}
    return found if any(found.values()) else {}


def in_words(act: str, runs: list[Run]) -> str:
    count = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    return f"{count} {GROUP_ACTS[act]}."


def priority_of(given: object) -> int:
    """A priority as a form or a body gives it; WrongState for what is no whole number."""
    text = str(given).strip()
    digits = text.removeprefix("-")
    if isinstance(given, bool) or not (digits.isascii() and digits.isdecimal() and len(text) < 8):
        raise WrongState(
            f"a priority is a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
        )
    return int(text)


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
