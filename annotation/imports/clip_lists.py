"""What a folder or an archive of clips holds, and what a manifest says about each of them.

A manifest is a table (CSV, JSON lines, Parquet) with the columns `path` and `prompt`, and, where
they are known, `model`, `seed`, `image_path`, `category` and `prompt_<language>`: the same columns
as an import of single clips has (docs/importing.md).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from annotation.errors import ImportRefused
from annotation.imports.faults import Faults
from annotation.imports.rows import Layout, Row, Shape, read_row
from annotation.imports.table_files import SUFFIXES, open_table
from formats.errors import FormatError

MAX_FILES: Final = 200_000
_COLUMNS: Final = Shape(Layout.CLIPS, (), labelled=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file to take: its name for people, and its row of the manifest."""

    name: str
    path: Path
    row: Row | None = None
    image: Path | None = None  # the reference image that the row names
    fault: str = ""  # why it cannot even be looked at


def files_below(folder: Path) -> dict[str, Path]:
    """Plain files by their path below the folder; hidden ones and tables are no clips."""
    found: dict[str, Path] = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and path.suffix.lower() not in SUFFIXES:
                found[path.relative_to(folder).as_posix()] = path
        if len(found) > MAX_FILES:
            raise ImportRefused(f"{folder.name} holds more than {MAX_FILES} files; import in parts")
    return found


def listed(files: Mapping[str, Path], rows: Mapping[str, Row] | None) -> Iterator[Listed]:
    """Each file with its row. Without a manifest every file is taken; with one, what it names."""
    named = rows or {}
    images = {row.image for row in named.values() if row.image}
    for name in sorted((named.keys() | images) - files.keys()):
        yield Listed(name, Path(), fault="the manifest names it, but it is not there")
    for name, path in files.items():
        if name not in images:
            yield _listed(name, path, files, rows)


def _listed(
    name: str, path: Path, files: Mapping[str, Path], rows: Mapping[str, Row] | None
) -> Listed:
    if path.is_symlink() or not path.is_file():
        return Listed(name, path, fault="it is a link or a device, not a plain file")
    if rows is None:
        return Listed(name, path)
    if name not in rows:
        return Listed(name, path, fault="the manifest does not name it")
    return Listed(name, path, rows[name], files.get(rows[name].image))


def read_manifest(path: Path, name: str) -> dict[str, Row]:
    """The rows by the file that they name; ImportRefused lists every fault with its line."""
    table = open_table(path, name)
    unknown = sorted(set(table.columns) - _COLUMNS.known)
    if unknown:
        known = ", ".join(sorted(_COLUMNS.known))
        raise ImportRefused(f"{name}: nobody reads the column {unknown[0]!r}; known are {known}")
    faults, rows = Faults(name), dict[str, Row]()
    for cells in table.cells:
        if cells.fault:
            faults.add(cells.line, cells.fault)
            continue
        try:
            row = read_row(cells.line, cells.values, _COLUMNS)
        except FormatError as error:
            faults.add(cells.line, error.message)
            continue
        if (earlier := rows.setdefault(row.a.path, row)) is not row:
            faults.add(row.line, f"{row.a.path} stands in line {earlier.line} already")
    faults.refuse()
    if not rows:
        raise ImportRefused(f"{name}: it names no file")
    return rows
