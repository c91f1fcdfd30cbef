"""Scores that are safe: what a scoring run has finished, in files that are whole or not there.

A killed run loses the part that was not written yet and goes on behind the others. Rows are told
apart by (video, prompt), so parts of any size, of any attempt, fit together.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.records import ScoreRecord

Key = tuple[str, str]  # (video id, prompt)
FOLDER: Final = "parts"


def key_of(record: ScoreRecord) -> Key:
    return record.video_id, record.prompt


class Parts:
    """The parts of one run. `fence` is that of this attempt: no attempt writes over another's."""

    def __init__(self, folder: Path, fence: int, *, clips: int, seconds: float):
        self._folder = folder
        self._fence = fence
        self._clips = clips
        self._seconds = seconds
        self._open: list[ScoreRecord] = []
        self._written = time.monotonic()

    def read(self, report: Callable[[str], None]) -> dict[Key, ScoreRecord]:
        """What earlier attempts finished, each (video, prompt) once.

        A damaged part is reported and removed, and so its clips are scored again. What two
        attempts have scored (the older one was cut off from its worker) counts once, the first.
        """
        found: dict[Key, ScoreRecord] = {}
        for path in self._files():
            try:
                records = ScoreRecord.read(path)
            except FormatError as error:
                report(f"a part is not used and its clips are scored again: {error}")
                path.unlink()
                continue
            for record in records:
                found.setdefault(key_of(record), record)
        return found

    def add(self, records: Iterable[ScoreRecord]) -> None:
        """Keep these; they are safe when the part is full or old enough, or at `flush`."""
        self._open.extend(records)
        if len(self._open) >= self._clips or time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is not safe yet."""
        self._written = time.monotonic()
        if not self._open:
            return
        number = 1 + max((_number(path) for path in self._files()), default=0)
        ScoreRecord.write(self._folder / f"{number:06}-{self._fence}.jsonl", self._open)
        self._open = []

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"), key=_number)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])
