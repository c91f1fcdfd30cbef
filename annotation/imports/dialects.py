"""Tables that other tools and other sites write: told by their columns, and put into our words.

A table of rows (docs/importing.md) is read as it is. All others bring labels; each dialect has a
module (`TITLE`, `fits`, `known`, `translate`) that makes of its cells those of our rows, one per
pair.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from annotation.errors import ImportRefused
from annotation.imports import dialect_preferences, dialect_tasks, dialect_trl, dialect_votes
from annotation.imports.asking import Asked
from annotation.imports.faults import refused
from annotation.imports.table_files import Cells, Table

Translate = Callable[[Table, Asked], Iterator[Cells]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`fits`: the columns are those of this dialect. `known`: this column is read, or says nothing
    that a row could keep."""

    title: str
    fits: Callable[[frozenset[str]], bool]
    known: Callable[[str], bool]
    translate: Translate


# In this order: raw votes have the columns of labels, too.
DIALECTS: Final[tuple[Dialect, ...]] = tuple(
    Dialect(each.TITLE, each.fits, each.known, each.translate)
    for each in (dialect_votes, dialect_preferences, dialect_trl, dialect_tasks)
)


def translated(table: Table, asked: Asked) -> Table | None:
    """The table in our columns, its own being those that nobody reads; None where it is one of
    rows."""
    columns = frozenset(table.columns)
    _check_schema(table, asked.name)
    dialect = next((each for each in DIALECTS if each.fits(columns)), None)
    if dialect is None:
        return None
    unread = tuple(column for column in table.columns if not dialect.known(column))
    return replace(
        table, header="", columns=unread, cells=dialect.translate(table, asked), typed=False
    )


def _check_schema(table: Table, name: str) -> None:
    """A file of ours that says what it is must be one that we know."""
    schema = table.first.get("schema")
    if schema is None or schema in dialect_votes.SCHEMAS:
        return
    if schema == "preferences/1":
        raise ImportRefused(f"{name}: this is the inside of a snapshot; export it as Parquet first")
    known = ", ".join(dialect_votes.SCHEMAS)
    raise refused(name, 1, f"the file says that it is {str(schema)[:40]!r}; known are {known}")
