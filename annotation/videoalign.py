"""Reading the VideoAlign CSV: from bytes to checked rows. Pure: no database, no clip is opened.

Columns: path_A, path_B, prompt, one per dimension (A|B|same|invalid), fps_A, num_frames_A, fps_B,
num_frames_B; optional MOS_A_<dimension>, MOS_B_<dimension>, A_model, B_model and our pair_id.
Further columns are kept word for word. Each row keeps the text it came in, so that it can go out
byte for byte.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from annotation.errors import ImportRefused
from annotation.mojibake import repaired
from formats.errors import FormatError
from formats.labels import Label, from_videoalign

NEEDED: Final = ("path_A", "path_B", "prompt")
NUMBERS: Final = ("fps_A", "num_frames_A", "fps_B", "num_frames_B")
KNOWN: Final = (*NEEDED, *NUMBERS, "A_model", "B_model", "pair_id")


@dataclass(frozen=True, slots=True)
class Row:
    """One checked row. `path_a`, `path_b` are normalised; `text` is the row as it came."""

    line: int
    text: str
    line_end: str
    values: dict[str, str]
    path_a: str
    path_b: str
    labels: dict[str, Label]
    scores_a: dict[str, float]
    scores_b: dict[str, float]

    @property
    def prompt(self) -> str:
        return self.values["prompt"]

    def number(self, column: str) -> float | None:
        return float(self.values[column]) if self.values.get(column) else None


@dataclass(frozen=True, slots=True)
class Sheet:
    header: str  # the first line as it came
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def read_sheet(path: Path, dimensions: Sequence[str]) -> Sheet:
    """Read and check the whole file; the first fault is one sentence with file and line."""
    records = _records(path, _text(path))
    line, header, columns = next(records, (1, "", []))
    _check_columns(path, columns, dimensions)
    rows = []
    for line, text, values in records:
        if len(values) != len(columns):
            raise _refused(path, line, f"{len(values)} fields; expected {len(columns)}")
        rows.append(_row(path, line, text, dict(zip(columns, values, strict=True)), dimensions))
    if not rows:
        raise _refused(path, line, "there is no row below the header")
    warnings = [*_unread(path, columns, dimensions), *_encoded_twice(path, rows)]
    return Sheet(header.rstrip("\r\n"), tuple(columns), tuple(rows), tuple(warnings))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ImportRefused(f"{path}: the file cannot be read: {error.strerror}") from None
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise _refused(path, line, "a NUL byte; expected UTF-8 text (is it UTF-16?)")
    try:
        # A byte order mark is not part of the first column's name.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise _refused(path, line, what) from None


def _records(path: Path, text: str) -> Iterator[tuple[int, str, list[str]]]:
    """First line, text and fields of each record; a quoted field may run over several lines."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines, strict=True)
    end = 0
    while True:
        start = end + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _refused(path, start, f"not CSV: {error}") from None
        end = reader.line_num
        if fields:  # a blank line says nothing
            yield start, "".join(lines[start - 1 : end]), fields


def _check_columns(path: Path, columns: Sequence[str], dimensions: Sequence[str]) -> None:
    needed = (*NEEDED, *dimensions)
    expected = f"expected {', '.join(needed)}"
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise _refused(path, 1, f"the column {twice[0]!r} comes twice")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise _refused(path, 1, f"the column {missing[0]!r} is missing; {expected}")


def _row(
    path: Path, line: int, text: str, values: dict[str, str], dimensions: Sequence[str]
) -> Row:
    try:
        body = text.rstrip("\r\n")
        return Row(
            line=line,
            text=body,
            line_end=text[len(body) :] or "\n",
            values=values,
            path_a=_clip_path(values, "path_A"),
            path_b=_clip_path(values, "path_B"),
            labels=_labels(values, dimensions),
            scores_a=_scores(values, "MOS_A_", dimensions),
            scores_b=_scores(values, "MOS_B_", dimensions),
        )
    except FormatError as error:
        raise _refused(path, line, error.message) from None


def _clip_path(values: dict[str, str], column: str) -> str:
    """The path without detours: "./videos/x.mp4" and "videos/x.mp4" are one clip."""
    given = PurePosixPath(values[column])
    if not values["prompt"].strip():
        raise FormatError("the prompt is empty")
    if not values[column].strip():
        raise FormatError(f"{column} is empty; expected the path of a clip")
    if given.is_absolute() or ".." in given.parts:
        raise FormatError(
            f"{column} is {values[column]!r}; expected a path inside the folder of the clips"
        )
    return str(given)


def _labels(values: dict[str, str], dimensions: Sequence[str]) -> dict[str, Label]:
    labels = {}
    for key in dimensions:
        try:
            labels[key] = from_videoalign(values[key])
        except FormatError as error:
            raise FormatError(f"column {key}: {error.message}") from None
    for column in NUMBERS:
        _number(values, column)
    return labels


def _scores(values: dict[str, str], prefix: str, dimensions: Sequence[str]) -> dict[str, float]:
    found = {key: _number(values, prefix + key) for key in dimensions}
    return {key: score for key, score in found.items() if score is not None}


def _number(values: dict[str, str], column: str) -> float | None:
    word = values.get(column, "")
    if not word:
        return None
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(f"{column} is {word!r}; expected a number or nothing")
    return number


def _unread(path: Path, columns: Sequence[str], dimensions: Sequence[str]) -> Iterator[str]:
    scores = [f"MOS_{side}_{key}" for side in "AB" for key in dimensions]
    for name in columns:
        if name not in (*KNOWN, *dimensions, *scores):
            yield f"{path}:1: the column {name!r} is kept, but not read as a label"


def _encoded_twice(path: Path, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        better = repaired(row.prompt)
        if better != row.prompt:
            yield (
                f"{path}:{row.line}: the prompt was encoded twice; repaired it reads {better!r}"
                " (imported as it stands)"
            )


def _refused(path: Path, line: int, what: str) -> ImportRefused:
    return ImportRefused(f"{path}:{line}: {what}", path=str(path), line=line)
