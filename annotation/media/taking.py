"""Taking many clips of strangers into the store, several at a time, each in its bounded child.

No database here: threads wait for children, and the caller writes the rows.
"""

import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from annotation.errors import MediaError
from annotation.media.bounded import Bounded
from annotation.media.keeping import KeptClip, take

_PATIENCE: Final = 0.5  # seconds between looks at whether to go on


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one file: it is in the store, or it is refused."""

    kept: KeptClip | None = None
    refusal: str = ""


class Taker:
    """So many children; leaving the `with` block ends them, whatever they do."""

    def __init__(self, children: int):
        self._all = [Bounded() for _ in range(children)]
        self._free: queue.SimpleQueue[Bounded] = queue.SimpleQueue()
        for each in self._all:
            self._free.put(each)
        self._pool = ThreadPoolExecutor(children, thread_name_prefix="take")

    def take(self, files: Iterable[Path]) -> Iterator[tuple[Path, Taken] | None]:
        """Each file with what became of it, as they are done; None when nothing is for a while."""
        waiting: dict[Future[Taken], Path] = {}
        for path in files:
            waiting[self._pool.submit(self._taken, path)] = path
            # A little ahead of the children, so that a list of a million is not held in futures.
            if len(waiting) >= 2 * len(self._all):
                yield from self._some(waiting)
        while waiting:
            yield from self._some(waiting)

    def _some(self, waiting: dict[Future[Taken], Path]) -> Iterator[tuple[Path, Taken] | None]:
        done, _ = wait(waiting, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
        if not done:
            yield None
        for future in done:
            yield waiting.pop(future), future.result()

    def _taken(self, path: Path) -> Taken:
        child = self._free.get()
        try:
            return taken(path, child)
        finally:
            self._free.put(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for each in self._all:
            each.kill()
        self._pool.shutdown(wait=True)
        for each in self._all:
            each.close()


def taken(path: Path, child: Bounded) -> Taken:
    """One file, whatever becomes of it."""
    try:
        return Taken(take(path, child))
    except MediaError as error:
        return Taken(refusal=_about(error.message, path))
    except OSError as error:
        return Taken(refusal=f"it cannot be read: {error.strerror or error}")


def _about(message: str, file: Path) -> str:
    """The sentence about "it": the report says beside it which file that is."""
    for words in (f"the clip {file} ", f"the file {file} "):
        message = message.replace(words, "it ")
    return message
