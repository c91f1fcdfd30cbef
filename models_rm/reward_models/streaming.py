"""Many clips through a reward model: decoded ahead by threads, batched with clips of their length.

While networks compute, one thread prepares the next batch and others decode what comes after it;
within a window clips of one size stand together, so that a batch carries little padding. What comes
out carries the number of its row.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np

from models_rm.clips.start_images import StartImage
from models_rm.errors import ClipUnreadableError
from models_rm.reward_models.lanes import Lanes
from models_rm.reward_models.members import Judged, Prepared, Seen

T = TypeVar("T")
Video = Path | str | np.ndarray

# Decoded clips that wait, at most: a window being scored and one being read.
HELD_BYTES: Final = 512 * 2**20


class Judge(Protocol):
    """What can be asked for rewards: a reward model."""

    @property
    def lanes(self) -> int: ...  # how many batches it judges at once
    @property
    def batch_tokens(self) -> int: ...  # visual tokens beyond which a larger batch gains nothing
    def read(
        self,
        video: Video,
        *,
        sha256: str = "",
        fps: float | None = None,
        start: StartImage | None = None,
    ) -> Seen: ...
    def prepare(self, seen: Sequence[Seen], prompts: Sequence[str]) -> Prepared: ...
    def run(self, prepared: Prepared) -> Judged: ...
    def tokens(self, seen: Seen) -> int: ...
    def is_slow(self, seen: Seen) -> bool: ...


@dataclass(frozen=True, slots=True)
class Task:
    """One clip with one prompt. `sha256` of the file, where it is known, is how a cache finds it;
    `fps` is the rate of an array of frames that are to be sampled; `start` is the start image, for
    models that look at it."""

    video: Video
    prompt: str
    sha256: str = ""
    fps: float | None = None
    start: StartImage | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at a time. A batch holds one clip at least, however large."""

    batch_size: int = 32
    batch_tokens: int = 8192
    readers: int = 2

    @property
    def window(self) -> int:
        return 2 * self.batch_size


class Scored(NamedTuple):
    """What became of one task: a raw reward [D] with its deviation [D], or why there is none."""

    row: int
    reward: np.ndarray | None
    std: np.ndarray | None
    error: ClipUnreadableError | None = None
    slow: bool = False  # it has fewer frames per second than the model looks at


@dataclass(frozen=True, slots=True)
class _Read:
    index: int
    seen: Seen
    tokens: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch for the network, and which clips stand in it."""

    clips: list[_Read]
    prepared: Prepared


class Tap:
    """Once shut, no further batch is begun; those that are being judged still come."""

    def __init__(self) -> None:
        self.open = True

    def shut(self) -> None:
        self.open = False


def stream(
    model: Judge, tasks: Sequence[Task], limits: Limits, tap: Tap | None = None
) -> Iterator[list[Scored]]:
    """Every task exactly once, in batches as they are ready; the order is not that of the tasks."""
    tap = tap or Tap()
    limits = replace(limits, batch_tokens=min(limits.batch_tokens, model.batch_tokens))
    with closing(one_ahead(_ready(model, tasks, limits))) as items, Lanes(model.lanes) as lanes:
        running: deque[tuple[_Ready, Future[Judged]]] = deque()
        for each in items:
            if not tap.open:
                break
            if isinstance(each, Scored):
                yield [each]
                continue
            running.append((each, lanes.submit(model.run, each.prepared)))
            if len(running) >= lanes.ahead:
                yield _scored(model, *running.popleft())
        while running:
            yield _scored(model, *running.popleft())


def _scored(model: Judge, ready: _Ready, running: "Future[Judged]") -> list[Scored]:
    judged = running.result()
    return [
        Scored(
            clip.index,
            judged.reward[row],
            None if judged.std is None else judged.std[row],
            slow=model.is_slow(clip.seen),
        )
        for row, clip in enumerate(ready.clips)
    ]


def one_ahead(items: Generator[T]) -> Generator[T]:
    """The same items, the next of them made by another thread while one is used."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="preparer")
    try:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
    finally:
        pool.shutdown()
        items.close()


def _ready(model: Judge, tasks: Sequence[Task], limits: Limits) -> Generator[_Ready | Scored]:
    """Batches for the network, and the clips that cannot be read."""
    window: list[_Read] = []
    tokens = held = 0
    for index, found in _decoded(model, tasks, limits):
        if isinstance(found, ClipUnreadableError):
            yield Scored(index, None, None, found)
            continue
        window.append(_Read(index, found, model.tokens(found)))
        tokens += window[-1].tokens
        held += found.nbytes
        # Short clips wait for others of their length; of long ones the next batch is enough, and
        # the network works while more are decoded.
        full = len(window) >= limits.window or tokens >= limits.batch_tokens
        if full or held >= HELD_BYTES // 2:
            yield from _prepared(model, tasks, window, limits)
            window, tokens, held = [], 0, 0
    yield from _prepared(model, tasks, window, limits)


def _prepared(
    model: Judge, tasks: Sequence[Task], window: Sequence[_Read], limits: Limits
) -> Iterator[_Ready]:
    for batch in _batches(sorted(window, key=lambda each: (each.tokens, each.index)), limits):
        prompts = [tasks[each.index].prompt for each in batch]
        yield _Ready(batch, model.prepare([each.seen for each in batch], prompts))


def _decoded(
    model: Judge, tasks: Sequence[Task], limits: Limits
) -> Iterator[tuple[int, Seen | ClipUnreadableError]]:
    """The clips in order, or why one cannot be read; threads are some clips ahead."""
    waiting: deque[tuple[int, Future[Seen | ClipUnreadableError]]] = deque()
    left = iter(enumerate(tasks))
    largest = 0
    pool = ThreadPoolExecutor(limits.readers, thread_name_prefix="reader")
    try:
        while True:
            # Until one clip is there, nobody knows how large they are.
            room = HELD_BYTES // 2 // largest if largest else 2 * limits.readers
            ahead = max(limits.readers, min(limits.window, room))
            for index, task in islice(left, max(0, ahead - len(waiting))):
                waiting.append((index, pool.submit(_read, model, task)))
            if not waiting:
                return
            index, future = waiting.popleft()
            found = future.result()
            if not isinstance(found, ClipUnreadableError):
                largest = max(largest, found.nbytes)
            yield index, found
    finally:
        pool.shutdown(cancel_futures=True)


def _read(model: Judge, task: Task) -> Seen | ClipUnreadableError:
    try:
        return model.read(task.video, sha256=task.sha256, fps=task.fps, start=task.start)
    except ClipUnreadableError as error:
        return error


def _batches(ordered: Sequence[_Read], limits: Limits) -> Iterator[list[_Read]]:
    """Neighbours by length, as many as both limits allow; the longest of a batch stands last."""
    batch: list[_Read] = []
    for each in ordered:
        too_long = (len(batch) + 1) * each.tokens > limits.batch_tokens
        if batch and (too_long or len(batch) >= limits.batch_size):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch
