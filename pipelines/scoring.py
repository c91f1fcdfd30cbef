"""Scores of a judge (a reward model, or the truth of the demo world) on a generation set."""

from pathlib import Path
from typing import Final

from formats.records import ScoreRecord

FILE: Final = "scores.jsonl"


def read_scores(path: Path) -> list[ScoreRecord]:
    """The records of a score set, given its folder or its file."""
    return ScoreRecord.read(path / FILE if path.is_dir() else path)
