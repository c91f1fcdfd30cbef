"""Clips that are measured and safe: whole files, so that a killed run goes on behind them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.files import read_jsonl, write_jsonl
from formats.vbench_results import ClipValues

FOLDER: Final = "parts"
SCHEMA: Final = "clip_values/1"
Key = tuple[str, str]  # (video id, prompt)


class Journal:
    """The parts of one run. `fence` is that of this attempt: no attempt writes over another's."""

    def __init__(self, folder: Path, fence: int, *, clips: int):
        self._folder = folder
        self._fence = fence
        self._clips = clips
        self._open: list[ClipValues] = []

    def read(self, report: Callable[[str], None]) -> dict[Key, ClipValues]:
        """What is safe, each clip once. A damaged part is reported, removed and measured again."""
        found: dict[Key, ClipValues] = {}
        for path in sorted(self._folder.glob("clips-*.jsonl")):
            try:
                rows = [ClipValues(**row) for _, row in read_jsonl(path, SCHEMA)]
            except (FormatError, TypeError) as error:
                report(f"a part is not used and its clips are measured again: {error}")
                path.unlink()
                continue
            for row in rows:
                found.setdefault((row.video_id, row.prompt), row)
        return found

    def add(self, row: ClipValues) -> None:
        self._open.append(row)
        if len(self._open) >= self._clips:
            self.flush()

    def flush(self) -> None:
        """Write what is not safe yet."""
        if not self._open:
            return
        number = len(list(self._folder.glob(f"clips-{self._fence}-*.jsonl")))
        path = self._folder / f"clips-{self._fence}-{number}.jsonl"
        write_jsonl(path, SCHEMA, (asdict(row) for row in self._open))
        self._open = []
