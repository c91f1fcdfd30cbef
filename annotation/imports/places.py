"""Where a row stands, for people: the line of a file, where an import may be several files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from annotation.errors import ImportRefused
from annotation.imports.table_files import TASKS, Cells, Table, read_table
from annotation.imports.task_files import read_tasks

LEFT_OUT = ".left-out.jsonl"  # what TRL cannot say, beside its file


@dataclass(slots=True)
class Places:
    """Lines are counted through all files; each file begins behind a line of that count."""

    name: str
    begins: list[tuple[int, str]] = field(default_factory=list)

    def at(self, line: int) -> tuple[str, int]:
        for begin, name in reversed(self.begins):
            if begin < line:
                return name, line - begin
        return self.name, line

    def told(self, line: int) -> str:
        name, number = self.at(line)
        return f"{name}:{number}"

    def word(self, line: int) -> str:
        """Without the name of the file where there is only one."""
        return self.told(line) if len(self.begins) > 1 else f"line {line}"


def read_tables(parts: Sequence[tuple[str, Path]], places: Places) -> Table:
    """The tables of these files as one; all have the same columns, but for what TRL left out."""
    tables = [(name, _read(path, name)) for name, path in parts]
    if len(tables) == 1:
        return tables[0][1]
    filled = [(name, table) for name, table in tables if table.columns]
    _check_alike(filled)
    columns = tuple(dict.fromkeys(chain.from_iterable(table.columns for _, table in filled)))
    first = filled[0][1].first if filled else {}
    return Table("", columns, _chained(tables, places), first, typed=True)


def _read(path: Path, name: str) -> Table:
    return read_tasks(path, name) if name.lower().endswith(TASKS) else read_table(path, name)


def _check_alike(tables: Sequence[tuple[str, Table]]) -> None:
    alike = [(name, table) for name, table in tables if not name.endswith(LEFT_OUT)]
    for name, table in alike[1:]:
        other, first = alike[0]
        differ = set(table.columns) ^ set(first.columns)
        if differ:
            raise ImportRefused(f"{name} and {other} differ in the column {min(differ)!r}")


def _chained(tables: Sequence[tuple[str, Table]], places: Places) -> Iterator[Cells]:
    end = 0
    for name, table in tables:
        begin = end
        places.begins.append((begin, name))
        for cells in table.cells:
            end = max(end, begin + cells.line)
            yield Cells(begin + cells.line, cells.values, fault=cells.fault, behind=cells.behind)
