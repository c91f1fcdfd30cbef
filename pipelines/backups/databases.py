"""The database as one file, and back.

Both engines give one moment of it while others go on writing, and the rows are counted then.
"""

from pathlib import Path
from typing import Final

from django.db import connection, connections

from pipelines.backups import postgres_dumps, sqlite_files
from pipelines.backups.counting import Dump, count
from pipelines.backups.errors import BackupError

# Rows without which a site is empty; the others are written by each `migrate`.
_FILLED: Final = ("auth_user", "annotation_campaign", "annotation_vote", "pipelines_run")


def dump(target: Path) -> Dump:
    """Write the whole database into a new file."""
    return (
        sqlite_files.dump(target) if connection.vendor == "sqlite" else postgres_dumps.dump(target)
    )


def load(source: Path, engine: str) -> None:
    """Fill the empty database with a dump; BackupError where it is not empty or another engine."""
    if engine != connection.vendor:
        raise BackupError(
            f"the backup is of {engine}, and DATABASE_URL names {connection.vendor}: a backup goes"
            " back into the engine that it came from"
        )
    if filled := what_is_there():
        raise BackupError(
            f"the database is not empty: it has rows in {', '.join(filled)}; restore into a new one"
        )
    connections.close_all()
    if engine == "sqlite":
        sqlite_files.load(source)
    else:
        postgres_dumps.load(source, postgres_dumps.target())


def what_is_there() -> list[str]:
    """Tables of the present database that people have filled."""
    with connection.cursor() as cursor:
        known = set(connection.introspection.table_names(cursor))
        return [table for table in _FILLED if table in known and count(cursor, table)]


def row_counts() -> dict[str, int]:
    """Of the present database, by table."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        return {name: count(cursor, name) for name in sorted(names)}
