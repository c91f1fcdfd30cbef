"""The JSON of Label Studio: one list of tasks, read task by task, never whole in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import ijson

from annotation.errors import ImportRefused
from annotation.imports.csv_lines import check_text
from annotation.imports.faults import refused
from annotation.imports.table_files import MAX_BYTES, TASK, Cells, Table

_EVENTS: Final = 20_000  # of one task: what keeps it from filling the memory
_LETTERS: Final = 1 << 20


def read_tasks(path: Path, name: str) -> Table:
    """Tasks count from 1, wherever their lines break."""
    if path.stat().st_size > MAX_BYTES:
        raise ImportRefused(f"{name}: more than {MAX_BYTES} bytes; split the file")
    check_text(path, name, longest=None)
    return Table("", (TASK,), _tasks(path, name), typed=True)


def _tasks(path: Path, name: str) -> Iterator[Cells]:
    number = 0
    with path.open("rb") as file:
        try:
            for number, task in enumerate(_items(file), start=1):
                yield Cells(number, {TASK: task})
        except (ijson.JSONError, ValueError, RecursionError) as error:
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise refused(name, number + 1, f"not a list of tasks: {what}") from None


def _items(file: IO[bytes]) -> Iterator[Any]:
    """The elements of the list at the top; ValueError where the file is something else."""
    events = ijson.basic_parse(_WithoutMark(file), use_float=True)
    if next(events, ("", None))[0] != "start_array":
        raise ValueError("expected a JSON list at the top")
    for event, value in events:
        if event != "end_array":  # the parser refuses what stands behind the list
            yield _item(event, value, events)


def _item(event: str, value: Any, events: Iterator[tuple[str, Any]]) -> Any:
    """One element, of a size that a task has."""
    builder = ijson.ObjectBuilder()
    depth = count = letters = 0
    while True:
        builder.event(event, value)
        depth += event.startswith("start_") - event.startswith("end_")
        count, letters = count + 1, letters + (len(value) if isinstance(value, str) else 0)
        if count > _EVENTS or letters > _LETTERS or depth > 100:
            raise ValueError("a task that is too large to be one")
        if depth == 0:
            return builder.value
        event, value = next(events)


class _WithoutMark:
    """A file, less the byte order mark at its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)
