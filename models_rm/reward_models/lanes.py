"""Forwards side by side on one CPU.

Two forwards of one thread each are quicker than one after the other of two threads: much of a
forward is passes over memory that a second thread hardly shortens, and none of it waits for the
other. On a GPU one forward fills the device, so there is one lane.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self, TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")
# Each lane holds the activations of a batch.
MOST: Final = 4
# On a CPU larger batches only leave the caches; what is gained by batches is gained by then.
_CPU_TOKENS: Final = 1024
_NO_LIMIT: Final = 2**31


def lanes_on(device: torch.device) -> int:
    return min(MOST, torch.get_num_threads()) if device.type == "cpu" else 1


def tokens_on(device: torch.device) -> int:
    return _CPU_TOKENS if device.type == "cpu" else _NO_LIMIT


class Lanes:
    """A pool whose threads share the threads that torch has, for as long as it is entered."""

    def __init__(self, count: int):
        # Of several lanes none waits: one batch does. One lane loses no more than its batch when it
        # is killed, and begins nothing behind a stop.
        self.ahead = count + 1 if count > 1 else 1
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(
            count,
            thread_name_prefix="lane",
            initializer=torch.set_num_threads,
            initargs=(max(1, self._threads // count),),
        )

    def submit(self, work: Callable[[A], B], given: A) -> Future[B]:
        return self._pool.submit(work, given)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # A part of what a lane sets holds for the whole process.
        torch.set_num_threads(self._threads)
