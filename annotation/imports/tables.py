"""The table of an import, in whichever format it comes: one row model for all.

CSV, JSON lines and Parquet give the same rows for the same cells; only CSV remembers how a row was
written, so that it can go out byte for byte. The columns are described in docs/importing.md.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from annotation.errors import ImportRefused
from annotation.imports.asking import Asked
from annotation.imports.dialects import translated
from annotation.imports.faults import Faults, refused
from annotation.imports.mojibake import repaired
from annotation.imports.places import Places, read_tables
from annotation.imports.rows import Layout, Row, Shape, read_row
from annotation.imports.table_files import MAX_ROWS, Cells, Table, as_csv
from formats.dimensions import BUILT_IN
from formats.errors import FormatError
from formats.files import sha256_of


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
    places: Places
    origin: str = ""  # of what other sites wrote: one address per content

    @property
    def faults(self) -> Faults:
        """A new list of what is wrong with its rows."""
        return Faults(self.name, self.places.at)


def read_sheet(
    path: Path,
    dimensions: Sequence[str],
    *,
    name: str = "",
    single: bool = False,
    labels: Labels = Labels.AUTO,
    parts: Sequence[tuple[str, Path]] = (),
) -> Sheet:
    """Read and check the whole file; each fault is one sentence with file and line.

    `name` is how people know the file; `single` says that its campaign asks about single clips;
    `parts` are the files of a table that is several, by the names that people know.
    """
    name = name or str(path)
    places, keys = Places(name), tuple(dimensions)
    table = read_tables(parts or ((name, path),), places)
    travelled = translated(table, Asked(name, keys, single))
    if travelled is None:
        table = as_csv(table)
        shape = _shape(name, table.columns, keys, single=single, labels=labels)
    else:
        table = travelled
        layout = Layout.CLIPS if single else Layout.PAIRS
        shape = Shape(layout, keys, labelled=True, travelled=True)
    rows = _checked(Faults(name, places.at), table.cells, shape)
    if not rows:
        raise refused(name, 1, "there is no row below the header")
    warnings = [*_unread(name, table, shape), *table.remarks, *_encoded_twice(places, rows)]
    origin = _origin(parts or ((name, path),)) if travelled else ""
    return Sheet(name, table.header, shape, tuple(rows), tuple(warnings), places, origin)


def _origin(parts: Sequence[tuple[str, Path]]) -> str:
    return hashlib.sha256("\n".join(sha256_of(path) for _, path in parts).encode()).hexdigest()


def _checked(faults: Faults, cells: Iterable[Cells], shape: Shape) -> list[Row]:
    rows = []
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
                text, end, behind = each.text, each.line_end, each.behind
                rows.append(replace(row, text=text, line_end=end, behind=behind))
            if len(rows) > MAX_ROWS:
                raise refused(faults.name, each.line, f"more than {MAX_ROWS} rows; split the file")
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


def _unread(name: str, table: Table, shape: Shape) -> Iterator[str]:
    for column in table.columns:
        if shape.travelled:
            yield f"{name}:1: the column {column!r} is not read and not kept"
        elif column not in shape.known:
            yield f"{name}:1: the column {column!r} is kept, but not read as a label"


def _encoded_twice(places: Places, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        better = repaired(row.prompt)
        if better != row.prompt:
            yield (
                f"{places.told(row.line)}: the prompt was encoded twice; repaired it reads"
                f" {better!r} (imported as it stands)"
            )
