"""The beat of a trainer: how many steps it has asked about, and how long one takes.

A file of the run directory that `Supervised.check` writes at most once a second. The supervisor
sees in it that the trainer goes on, long before a step is worth a line of metrics, and how patient
it has to be. Losing it costs nothing, so it is written without waiting for the disk.
"""

import contextlib
import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_REMEMBERED: Final = 101
_EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Beat:
    count: int  # of steps asked about since this process began
    median: float  # seconds of the last ones; 0.0 as long as there is none

    @classmethod
    def read(cls, file: Path) -> "Beat | None":
        """None where nothing has beaten yet, or where the file cannot be read."""
        try:
            count, median = file.read_text(encoding="ascii").split()
            return cls(int(count), float(median))
        except (OSError, ValueError):
            return None


class Heart:
    """Counts and times the steps of this process."""

    def __init__(
        self,
        file: Path,
        *,
        every: float = _EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._file = file
        self._every = every
        self._clock = clock
        self._count = 0
        self._steps: deque[float] = deque(maxlen=_REMEMBERED)
        self._last: float | None = None
        self._written = -every

    def beat(self) -> None:
        """Another step begins."""
        now = self._clock()
        if self._last is not None:
            self._steps.append(now - self._last)
        self._last = now
        self._count += 1
        if now - self._written >= self._every:
            self._written = now
            self._write(Beat(self._count, statistics.median(self._steps) if self._steps else 0.0))

    def _write(self, beat: Beat) -> None:
        # A full disk ends the run where it matters: at its next checkpoint.
        with contextlib.suppress(OSError):
            own = self._file.with_name(f".{self._file.name}-{os.getpid()}")
            own.write_text(f"{beat.count} {beat.median:.6f}", encoding="ascii")
            own.replace(self._file)
