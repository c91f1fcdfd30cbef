"""Waiting for what runs on the site: with a bar, over outages, to the end of one or of a chain."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from tqdm import tqdm

from tiebreak_client.errors import NoAnswer, RunEnded, ServerFault, TiebreakError
from tiebreak_client.models import RunOfChain
from tiebreak_client.progress import steps_bar

T = TypeVar("T")
_FIRST_PAUSE: Final = 0.1
PATIENCE: Final = 300.0  # seconds for which a site may be away while it is waited for
_LOST: Final = ("failed", "cancelled")


class Ends(Protocol):
    @property
    def ended(self) -> bool: ...


class Chain(Ends, Protocol):
    @property
    def id(self) -> int: ...
    @property
    def runs(self) -> Sequence[RunOfChain]: ...


E_ = TypeVar("E_", bound=Ends)
C_ = TypeVar("C_", bound=Chain)


def until_ended(
    read: Callable[[], E_],
    draw: Callable[["tqdm[Any]", E_], str],
    *,
    title: str,
    timeout: float | None,
    poll: float,
    progress: bool | None,
) -> E_:
    """Look, often in the beginning and every `poll` seconds later on, until it has ended.

    `draw` moves the bar and says in words how it stands, for who waits no longer.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_PAUSE
    with steps_bar(title, shown=progress) as bar:
        while not (found := _patiently(read, poll)).ended:
            said = draw(bar, found)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{title} is still {said}")
            time.sleep(pause := min(poll, pause * 1.5))
        draw(bar, found)
    return found


def chain_ended(
    read: Callable[[], C_], *, title: str, timeout: float | None, poll: float,
    progress: bool | None, note: Callable[[C_], str],
) -> C_:  # fmt: skip
    """The same for a chain of runs; RunEnded for the first of them that was lost."""

    def draw(bar: "tqdm[Any]", chain: C_) -> str:
        bar.total = len(chain.runs)
        bar.n = sum(each.state == "succeeded" for each in chain.runs)
        bar.set_postfix_str(said := note(chain))
        return said

    found = until_ended(read, draw, title=title, timeout=timeout, poll=poll, progress=progress)
    for each in found.runs:
        if each.state in _LOST:
            words = getattr(each, "words", "") or f"{each.kind} (run {each.id}) is {each.state}."
            raise RunEnded(each.id, each.state, words)
    return found


def _patiently(read: Callable[[], T], poll: float) -> T:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return read()
        except (NoAnswer, ServerFault) as error:
            if time.monotonic() > until:
                raise TiebreakError(f"The site was away for too long: {error}") from error
            time.sleep(poll)
