"""Which rows of a file say what another one said already. Pure: rows and digests in, rows out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotation.errors import ImportRefused
from annotation.videoalign import Row
from formats.labels import Label, mirrored


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row that says what another one said already: skipped."""

    line: int
    repeats: int | None  # the line; None if the campaign had the pair before
    mirrored: bool = False

    def __str__(self) -> str:
        what = "is in the campaign already"
        if self.repeats is not None:
            what = f"repeats line {self.repeats}"
        return f"line {self.line} {what}{' with A and B swapped' if self.mirrored else ''}"


@dataclass(frozen=True, slots=True)
class Sides:
    """A pair by content: the digests of the prompt and of both clips."""

    prompt: str
    a: str
    b: str

    @property
    def mirrored(self) -> "Sides":
        return Sides(self.prompt, self.b, self.a)


Opinion = tuple[dict[str, Label], dict[str, float], dict[str, float]]


def opinion_of(row: Row, *, swap: bool = False) -> Opinion:
    if not swap:
        return row.labels, row.scores_a, row.scores_b
    return (
        {key: mirrored(label) for key, label in row.labels.items()},
        row.scores_b,
        row.scores_a,
    )


def sides_of(row: Row, digests: dict[str, str]) -> Sides:
    prompt = hashlib.sha256(row.prompt.encode()).hexdigest()
    return Sides(prompt, digests[row.path_a], digests[row.path_b])


def distinct(
    file: Path, rows: Sequence[Row], digests: dict[str, str]
) -> tuple[list[Row], list[Duplicate]]:
    """The first row of each pair, and the rows that only say it again."""
    first: dict[Sides, Row] = {}
    duplicates = []
    for row in rows:
        sides = sides_of(row, digests)
        if sides.a == sides.b:
            raise refused(file, row, "path_A and path_B are the same clip; expected two")
        swap = sides.mirrored in first
        earlier = first.setdefault(sides.mirrored if swap else sides, row)
        if earlier is row:
            continue
        if opinion_of(row, swap=swap) != opinion_of(earlier):
            how = ", with A and B swapped," if swap else ""
            raise refused(
                file, row, f"the pair of line {earlier.line} comes again{how} with other labels"
            )
        duplicates.append(Duplicate(row.line, earlier.line, swap))
    return list(first.values()), duplicates


def refused(file: Path, row: Row, what: str) -> ImportRefused:
    return ImportRefused(f"{file}:{row.line}: {what}", path=str(file), line=row.line)
