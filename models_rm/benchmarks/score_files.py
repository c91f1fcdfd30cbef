"""Scores of other models, to stand beside ours: a CSV with `path` (or `video`), `prompt`, and a
column per dimension.

A score belongs to a clip under a prompt. A table without the prompt cannot say which of its scores
is meant where a file comes under two prompts; joining by the path alone gives wrong accuracies
(VideoAlign, issue 29). What VideoAlign's evaluation writes (`reward_VQ` …) reads as it is.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from models_rm.benchmarks.pairs import Key, clip_path
from models_rm.benchmarks.reading import Row, read_csv

Scores = dict[Key, dict[str, float]]
_OTHER: Final = {"", "path", "video", "prompt", "model", "fps", "num_frames"}


def read_scores(file: Path) -> Scores:
    """(path, prompt) -> score per dimension. An empty cell is no score."""
    if not file.is_file():
        raise FormatError("the file is missing", path=file)
    columns, rows = read_csv(file)
    place = next((name for name in ("path", "video") if name in columns), None)
    if place is None or "prompt" not in columns:
        raise FormatError(
            "the columns path (or video) and prompt are wanted: a score belongs to a clip under a "
            f"prompt; there are: {', '.join(columns)}",
            path=file,
            line=1,
        )
    named = {name: name.removeprefix("reward_") for name in columns if name not in _OTHER}
    if not named:
        raise FormatError("there is no column with scores", path=file, line=1)
    found: Scores = {}
    lines: dict[Key, int] = {}
    for line, row in rows:
        key = (clip_path(row[place], file=file, line=line), row["prompt"])
        scores = _numbers(file, line, row, named)
        if found.setdefault(key, scores) != scores:
            raise FormatError(
                f"another score for the clip and prompt of line {lines[key]}", path=file, line=line
            )
        lines.setdefault(key, line)
    return found


def _numbers(file: Path, line: int, row: Row, named: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for column, dimension in named.items():
        text = row[column].strip()
        if not text:
            continue
        try:
            found[dimension] = float(text)
        except ValueError:
            found[dimension] = math.nan
        if not math.isfinite(found[dimension]):
            raise FormatError(f"{column} must be a number, got {text[:40]!r}", path=file, line=line)
    return found


def write_scores(
    file: Path, scores: Mapping[Key, Mapping[str, float]], dimensions: Sequence[str]
) -> None:
    """The same table, so that what was computed once can stand beside another model later."""
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["path", "prompt", *dimensions])
        writer.writerows(_rows(scores, dimensions))


def _rows(
    scores: Mapping[Key, Mapping[str, float]], dimensions: Sequence[str]
) -> Iterable[list[str]]:
    for (path, prompt), row in scores.items():
        yield [path, prompt, *(repr(row[key]) for key in dimensions)]
