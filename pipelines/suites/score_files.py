"""Files of scores that another judge gave: which clip a row is about, and what it says.

CSV or JSON lines with `video` (id or sha256), `path`, or `prompt` and `seed`; one column per
dimension. Every number must lie on the scale that was said beforehand.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from formats.errors import FormatError
from formats.records import GenerationRecord, ScoreRecord

NAMES: Final = ("video", "path", "prompt", "seed")
_NAMED: Final = 8
_MOST_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line: the clip as the file names it, and its scores."""

    line: int
    key: tuple[str, ...]
    scores: dict[str, float]


def read_rows(file: Path, name: str, scale: Mapping[str, Sequence[float]]) -> list[ScoreRow]:
    """All lines, each with finite numbers on the scale; FormatError names file and line."""
    rows: list[ScoreRow] = []
    lines: dict[tuple[str, ...], int] = {}
    for line, values in _lines(file, name):
        row = _row(name, line, values, scale)
        if row.key in lines:
            raise FormatError(
                f"the clip {' '.join(row.key)[:80]!r} has scores in line {lines[row.key]} already",
                path=name,
                line=line,
            )
        lines[row.key] = line
        rows.append(row)
    if not rows:
        raise FormatError("the file has no score", path=name)
    return rows


def _lines(file: Path, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = _text(file, name)
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".jsonl":
        return _json_lines(text, name)
    if suffix == ".csv":
        return _csv_lines(text, name)
    raise FormatError(f"expected a .csv or .jsonl file, got {suffix!r}", path=name)


def _text(file: Path, name: str) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise FormatError(f"the file is larger than {_MOST_BYTES >> 20} MB", path=name)
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", path=name) from None
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 text at byte {error.start}", path=name) from None


def _csv_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            if None in values or None in values.values():
                raise FormatError(
                    f"expected {len(reader.fieldnames or ())} columns", path=name,
                    line=reader.line_num,
                )  # fmt: skip
            yield reader.line_num, values
    except csv.Error as error:
        raise FormatError(f"not a CSV: {error}", path=name, line=reader.line_num) from None


def _json_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.strip():
            continue
        try:
            values = json.loads(row)
        except (json.JSONDecodeError, RecursionError):
            raise FormatError("not JSON", path=name, line=line) from None
        if not isinstance(values, dict):
            raise FormatError("expected an object", path=name, line=line)
        yield line, values


def _row(
    name: str, line: int, values: Mapping[str, Any], scale: Mapping[str, Sequence[float]]
) -> ScoreRow:
    unknown = sorted(set(values) - set(scale) - set(NAMES))
    if unknown:
        raise FormatError(
            f"the scale of the column {unknown[0]!r} is not given; there are: {', '.join(scale)}",
            path=name,
            line=line,
        )
    missing = sorted(set(scale) - set(values))
    if missing:
        raise FormatError(f"there is no score for {missing[0]!r}", path=name, line=line)
    scores = {key: _score(name, line, key, values[key], ends) for key, ends in scale.items()}
    return ScoreRow(line, _key(name, line, values), scores)


def _score(name: str, line: int, key: str, value: Any, ends: Sequence[float]) -> float:
    try:
        number = float("bool" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(f"{key} must be a finite number, got {value!r}", path=name, line=line)
    if not ends[0] <= number <= ends[1]:
        raise FormatError(
            f"{key} is {number:g}, off its scale of {ends[0]:g} to {ends[1]:g}; "
            "the file is on another scale, or the scale is wrong",
            path=name,
            line=line,
        )
    return number


def _key(name: str, line: int, values: Mapping[str, Any]) -> tuple[str, ...]:
    """How the row names its clip."""
    for column in ("video", "path"):
        if values.get(column):
            return column, str(values[column])
    if values.get("prompt"):
        return "prompt", str(values["prompt"]).strip(), str(values.get("seed") or 0)
    raise FormatError("the row names no clip: give video, path, or prompt", path=name, line=line)


# Rows and clips.


def matched(
    clips: Sequence[GenerationRecord],
    rows: Sequence[ScoreRow],
    name: str,
    originals: Mapping[str, str],
) -> list[ScoreRecord]:
    """The scores of each clip, in the order of the set; what stands alone is named.

    `originals`: what the file of a clip was called where it came from, by its sha256.
    """
    given = {row.key: row for row in rows}
    used: set[tuple[str, ...]] = set()
    found: list[ScoreRecord] = []
    without = []
    for clip in clips:
        names = _keys(clip, originals.get(clip.video.sha256, ""))
        key = next((key for key in names if key in given), None)
        if key is None:
            without.append(f"{clip.video.id} ({clip.prompt[:40]!r}, seed {clip.video.seed})")
            continue
        used.add(key)
        scores = given[key].scores
        found.append(ScoreRecord(clip.video.id, clip.prompt_id, clip.prompt, scores, scores))
    if without:
        raise FormatError(f"{len(without)} clips have no scores: {_some(without)}", path=name)
    foreign = [row for row in rows if row.key not in used]
    if foreign:
        raise FormatError(
            f"no clip of the set is named {' '.join(foreign[0].key[1:])[:80]!r}"
            f" ({len(foreign)} rows name none)",
            path=name,
            line=foreign[0].line,
        )
    return found


def _keys(clip: GenerationRecord, original: str) -> list[tuple[str, ...]]:
    """The names that a clip goes by."""
    video = clip.video
    return [
        ("video", video.id),
        ("video", video.sha256),
        ("path", original),
        ("path", video.path),
        ("path", PurePosixPath(video.path).name),
        ("prompt", clip.prompt, str(video.seed or 0)),
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'; '.join(names[:_NAMED])}{more}"
