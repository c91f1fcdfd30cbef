"""The table of an import, in whichever format it comes: one row model for all.

CSV, JSON lines and Parquet give the same rows for the same cells; only CSV remembers how a row was
written, so that it can go out byte for byte. The columns are described in docs/importing.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from annotation.errors import ImportRefused
from annotation.faults import Faults, refused
from annotation.mojibake import repaired
from annotation.rows import Layout, Row, Shape, read_row
from annotation.table_files import MAX_ROWS, Cells, open_table
from formats.dimensions import BUILT_IN
from formats.errors import FormatError


class Labels(StrEnum):
    """Whether the rows of a file must bring their labels with them."""

    AUTO = "auto"  # they do if the columns of the campaign's dimensions are there
    NEEDED = "needed"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that was read and checked. `header` is its first line, as it came or as CSV."""

    name: str
    header: str
    shape: Shape
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def read_sheet(
    path: Path,
    dimensions: Sequence[str],
    *,
    name: str = "",
    single: bool = False,
    labels: Labels = Labels.AUTO,
) -> Sheet:
    """Read and check the whole file; each fault is one sentence with file and line.

    `name` is how people know the file; `single` says that its campaign asks about single clips.
    """
    name = name or str(path)
    table = open_table(path, name)
    shape = _shape(name, table.columns, tuple(dimensions), single=single, labels=labels)
    rows = _checked(name, table.cells, shape)
    if not rows:
        raise refused(name, 1, "there is no row below the header")
    warnings = [*_unread(name, table.columns, shape), *_encoded_twice(name, rows)]
    return Sheet(name, table.header, shape, tuple(rows), tuple(warnings))


def _checked(name: str, cells: Iterable[Cells], shape: Shape) -> list[Row]:
    faults, rows = Faults(name), []
    try:
        for each in cells:
            if each.fault:
                faults.add(each.line, each.fault)
                continue
            try:
                row = read_row(each.line, each.values, shape)
            except FormatError as error:
                faults.add(each.line, error.message)
            else:
                rows.append(replace(row, text=each.text, line_end=each.line_end))
            if len(rows) > MAX_ROWS:
                raise refused(name, each.line, f"more than {MAX_ROWS} rows; split the file")
    except ImportRefused:
        faults.refuse()  # what stands above the place where reading stopped comes first
        raise
    faults.refuse()
    return rows


# What the columns say.


def _shape(
    name: str,
    columns: Sequence[str],
    dimensions: tuple[str, ...],
    *,
    single: bool,
    labels: Labels,
) -> Shape:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise refused(name, 1, f"the column {twice[0]!r} comes twice")
    layout = _layout(columns, single=single, pairs=labels is Labels.NEEDED)
    bare = Shape(layout, dimensions, labelled=False)
    full = Shape(layout, dimensions, labelled=True)
    labelled = labels is Labels.NEEDED or any(column in columns for column in full.judged)
    if layout.single and not single:
        labelled = False  # clips for the pool of a campaign of pairs
    shape = full if labelled else bare
    missing = [column for column in shape.needed if column not in columns]
    if missing:
        expected = ", ".join(shape.needed)
        raise refused(name, 1, f"the column {missing[0]!r} is missing; expected {expected}")
    if not labelled:
        _check_unlabelled(name, columns, shape)
    return shape


def _layout(columns: Sequence[str], *, single: bool, pairs: bool) -> Layout:
    """By the columns that name clips; a file without any is taken for what the campaign asks."""
    for layout in Layout:
        fits = layout.single if single else not (pairs and layout.single)
        if fits and set(layout.columns) & set(columns):
            return layout
    return Layout.CLIPS if single else Layout.PAIRS


def _check_unlabelled(name: str, columns: Sequence[str], shape: Shape) -> None:
    """Labels and scores that would be dropped are said to be, and nothing is imported."""
    scores = [column for column in shape.scores if column in columns]
    if scores:
        what = f"the column {scores[0]!r} has scores, but the file has no labels that they go with"
        raise refused(name, 1, what)
    for other in BUILT_IN.values():
        if set(other.keys) <= set(columns) and other.keys != shape.dimensions:
            asked = ", ".join(shape.dimensions)
            what = f"the labels are those of the set {other.name}; the campaign asks about {asked}"
            raise refused(name, 1, what)


def _unread(name: str, columns: Sequence[str], shape: Shape) -> Iterator[str]:
    for column in columns:
        if column not in shape.known:
            yield f"{name}:1: the column {column!r} is kept, but not read as a label"


def _encoded_twice(name: str, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        better = repaired(row.prompt)
        if better != row.prompt:
            yield (
                f"{name}:{row.line}: the prompt was encoded twice; repaired it reads {better!r}"
                " (imported as it stands)"
            )
