"""Which rows of a file say what another one said already. Pure: rows in, rows out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from annotation.imports.faults import Faults
from annotation.imports.rows import Row
from formats.labels import Label, mirrored


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row that says what another one said already: skipped."""

    line: int
    repeats: int | None  # the line; None if the campaign had the pair before
    mirrored: bool = False
    word: Callable[[int], str] = "line {}".format  # how people find a line

    def __str__(self) -> str:
        what = "is in the campaign already"
        if self.repeats is not None:
            what = f"repeats {self.word(self.repeats)}"
        return f"{self.word(self.line)} {what}{' with A and B swapped' if self.mirrored else ''}"


@dataclass(frozen=True, slots=True)
class Sides:
    """A pair by content: the digests of the prompt and of both clips; no B where A is alone."""

    prompt: str
    a: str
    b: str = ""

    @property
    def mirrored(self) -> "Sides":
        return Sides(self.prompt, self.b, self.a)


SidesOf = Callable[[Row], Sides]
Opinion = tuple[Mapping[str, Label], Mapping[str, float], Mapping[str, float]]


def opinion_of(row: Row, *, swap: bool = False) -> Opinion:
    if not swap:
        return row.labels, row.scores_a, row.scores_b
    return (
        {key: mirrored(label) for key, label in row.labels.items()},
        row.scores_b,
        row.scores_a,
    )


def distinct(
    rows: Iterable[Row], sides_of: SidesOf, faults: Faults, word: Callable[[int], str]
) -> tuple[list[Row], list[Duplicate]]:
    """The first row of each pair, and the rows that only say it again."""
    first: dict[Sides, Row] = {}
    duplicates = []
    for row in rows:
        sides = sides_of(row)
        if sides.a == sides.b:
            faults.add(row.line, "path_A and path_B are the same clip; expected two")
            continue
        swap = sides.mirrored in first
        earlier = first.setdefault(sides.mirrored if swap else sides, row)
        if earlier is row:
            continue
        if opinion_of(row, swap=swap) == opinion_of(earlier):
            duplicates.append(Duplicate(row.line, earlier.line, swap, word))
        else:
            how = ", with A and B swapped," if swap else ""
            faults.add(
                row.line, f"the pair of {word(earlier.line)} comes again{how} with other labels"
            )
    return list(first.values()), duplicates
