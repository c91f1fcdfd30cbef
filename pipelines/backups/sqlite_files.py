"""SQLite is a file. Its own backup takes one moment of it, log and all; a copy would not."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from django.conf import settings

from formats.files import fsync_folder
from pipelines.backups.counting import MIGRATIONS, Dump, count, newest
from pipelines.backups.errors import BackupError

_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
)


def dump(target: Path) -> Dump:
    path = settings.DATABASES["default"]["NAME"]
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)  # all pages at once: it holds nobody up, and sees nobody's half
        copy.execute("PRAGMA journal_mode=DELETE")
        described = _described(copy)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return described


def _described(copy: sqlite3.Connection) -> Dump:
    (health,) = copy.execute("PRAGMA integrity_check").fetchone()
    if health != "ok":
        raise BackupError(f"the database is damaged: {health}")
    cursor = copy.cursor()
    tables = {name: count(cursor, name) for (name,) in copy.execute(_TABLES).fetchall()}
    migrations = newest(copy.execute(MIGRATIONS).fetchall())
    return Dump("sqlite", sqlite3.sqlite_version, tables, migrations)


def load(source: Path, path: Path | None = None) -> None:
    """Into the database of the settings, or into another file."""
    path = path or Path(settings.DATABASES["default"]["NAME"])
    for leftover in ("", "-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as dumped, closing(sqlite3.connect(path)) as database:
        dumped.backup(database)
    fsync_folder(path.parent)
