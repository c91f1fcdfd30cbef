"""What a dump says of itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

MIGRATIONS: Final = "SELECT app, name FROM django_migrations"


@dataclass(frozen=True, slots=True)
class Dump:
    """Of which database it is, and what was in it at its moment."""

    engine: str
    server: str
    tables: dict[str, int]  # rows by table
    migrations: dict[str, str]  # the newest by app


def count(cursor: Any, table: str) -> int:
    cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608 - a name that the database gave
    return int(cursor.fetchone()[0])


def newest(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(sorted(rows))  # the last of an app stays: their names begin with numbers
