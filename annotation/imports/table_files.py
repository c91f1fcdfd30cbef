"""The formats that a table of an import may have: CSV, JSON lines, Parquet; from bytes to cells."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.errors import ImportRefused
from annotation.imports.behind import NOTHING, Behind
from annotation.imports.csv_lines import check_text, read_records
from annotation.imports.faults import refused
from annotation.imports.rows import LANGUAGES

MAX_ROWS: Final = 1_000_000
MAX_BYTES: Final = 1 << 30  # of an unpacked Parquet file
TASKS: Final = ".json"  # a list of tasks of Label Studio: `task_files`
SUFFIXES: Final = (".csv", ".jsonl", ".parquet", TASKS)
TASK: Final = "task"  # the one column of such a list
_BATCH: Final = 1_000  # rows of Parquet that are cells at a time


@dataclass(frozen=True, slots=True)
class Cells:
    """One row before it is checked; `text` is how it was written, or would be in CSV."""

    line: int
    values: dict[str, Any]
    text: str = ""
    line_end: str = "\n"
    fault: str = ""
    behind: Behind = NOTHING


@dataclass(frozen=True, slots=True)
class Table:
    header: str
    columns: tuple[str, ...]
    cells: Iterator[Cells]
    first: Mapping[str, Any] = field(default_factory=dict)  # what the first row says
    typed: bool = False  # cells that are no text yet: JSON lines, Parquet
    remarks: list[str] = field(default_factory=list)  # warnings that reading brings


def open_table(path: Path, name: str) -> Table:
    """The cells of a table of rows; `name` is how people know the file."""
    return as_csv(read_table(path, name))


def read_table(path: Path, name: str) -> Table:
    """The cells as the format has them: lists and objects among them, where it has any."""
    read = _READERS.get(Path(name).suffix.lower())
    if read is None:
        raise ImportRefused(f"{name}: expected a table that ends in {', '.join(SUFFIXES)}")
    return read(path, name)


def as_csv(table: Table) -> Table:
    """The same table, each row with what it would look like in CSV."""
    if not table.typed:
        return table
    columns = table.columns
    cells = _as_csv(columns, table.cells)
    return replace(table, header=_csv_text(columns) if columns else "", cells=cells, typed=False)


def _csv(path: Path, name: str) -> Table:
    records = read_records(path, name)
    first = next(records, None)
    if first is None:
        return Table("", (), iter(()))
    columns = tuple(first.fields)

    def cells() -> Iterator[Cells]:
        for record in records:
            body = record.text.rstrip("\r\n")
            end = record.text[len(body) :] or "\n"
            fits = len(record.fields) == len(columns)
            fault = "" if fits else f"{len(record.fields)} fields; expected {len(columns)}"
            values = dict(zip(columns, record.fields, strict=False))
            yield Cells(record.line, values, body, end, fault)

    return Table(first.text.rstrip("\r\n"), columns, cells())


def _jsonl(path: Path, name: str) -> Table:
    check_text(path, name)
    cells = _objects(path)
    first = next(cells, None)
    if first is None:
        return Table("", (), iter(()))
    if first.fault:  # the first row names the columns
        raise refused(name, first.line, first.fault)
    columns = tuple(first.values)
    return Table("", columns, chain([first], cells), first.values, typed=True)


def _objects(path: Path) -> Iterator[Cells]:
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                yield _read_object(line, text)


def _read_object(line: int, text: str) -> Cells:
    try:
        return Cells(line, _flat(json.loads(text, object_pairs_hook=_once, parse_constant=_bad)))
    except (ValueError, RecursionError) as error:
        return Cells(line, {}, fault=f"not a row: {error}")


def _flat(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object, one per line")  # noqa: TRY004  the file is wrong
    translations = value.pop("translations", None) or {}
    if not isinstance(translations, dict) or not set(translations) <= set(LANGUAGES):
        raise ValueError(f"translations must be an object with {', '.join(LANGUAGES)}")
    return {**value, **{f"prompt_{key}": text for key, text in translations.items()}}


def _as_csv(columns: Sequence[str], cells: Iterable[Cells]) -> Iterator[Cells]:
    """The same rows, each with what it would look like in CSV; all have the first one's columns."""
    known = set(columns)
    for each in cells:
        new = sorted(each.values.keys() - known)
        fault = each.fault or (f"the entry {new[0]!r} is not in the first row" if new else "")
        text = _csv_text(["" if (cell := each.values.get(c)) is None else cell for c in columns])
        yield replace(each, text=text, fault=fault)


def _csv_text(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the entry {twice!r} comes twice")
    return found


def _bad(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _parquet(path: Path, name: str) -> Table:
    """Rows count from 1: a Parquet file has no lines."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ImportRefused(f"{name}: not a Parquet file: {_first_line(error)}") from None
    columns = tuple(file.schema_arrow.names)

    _check_size(name, file.metadata)

    def cells() -> Iterator[Cells]:
        line = 0
        try:
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    line += 1
                    yield Cells(line, values)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            what = f"the file is damaged behind this row: {_first_line(error)}"
            raise refused(name, line, what) from None

    return Table("", columns, cells(), typed=True)


def _check_size(name: str, said: pq.FileMetaData) -> None:
    """A small file can claim, and unpack to, any size."""
    size = sum(said.row_group(n).total_byte_size for n in range(said.num_row_groups))
    if said.num_rows > MAX_ROWS or size > MAX_BYTES:
        raise ImportRefused(
            f"{name}: {said.num_rows} rows of {size} bytes; expected at most {MAX_ROWS} rows and"
            f" {MAX_BYTES} bytes"
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


_READERS: Final[dict[str, Callable[[Path, str], Table]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
