"""PostgreSQL by its own tools. The password goes by the environment, never into a command line."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from django.conf import settings
from psycopg import sql

from pipelines.backups.counting import MIGRATIONS, Dump, count, newest
from pipelines.backups.errors import BackupError

_NAMES: Final = {
    "HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD",
    "NAME": "PGDATABASE",
}  # fmt: skip
_KEYWORDS: Final = {
    "PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
}  # fmt: skip
_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


def target() -> dict[str, str]:
    """The database of the settings, as the tools want to be told."""
    given = settings.DATABASES["default"]
    return {name: str(given[key]) for key, name in _NAMES.items() if given.get(key)}


@contextmanager
def _connected(where: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    # An own connection: those of the site give up after seconds, and a dump takes what it takes.
    given: dict[str, Any] = {_KEYWORDS[name]: value for name, value in where.items()}
    with psycopg.connect(**given) as found:
        yield found


def dump(path: Path) -> Dump:
    where = target()
    with _connected(where) as database:
        refuse_old_tool("pg_dump", database)
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        database.read_only = True
        cursor = database.cursor()
        ((moment,),) = cursor.execute("SELECT pg_export_snapshot()").fetchall()
        _tool("pg_dump", where, "--format=custom", "--no-owner", "--no-privileges",
              f"--snapshot={moment}", f"--file={path}")  # fmt: skip
        names = [name for (name,) in cursor.execute(_TABLES).fetchall()]
        tables = {name: count(cursor, name) for name in names}
        migrations = newest(cursor.execute(MIGRATIONS).fetchall())
        server = str(database.info.server_version)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return Dump("postgresql", server, tables, migrations)


def load(source: Path, where: dict[str, str]) -> None:
    with _connected(where) as database:
        refuse_old_tool("pg_restore", database)
        # Nothing that people made is in it, which was asked before.
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")
    _tool("pg_restore", where, "--no-owner", "--no-privileges", "--exit-on-error",
          "--single-transaction", f"--dbname={where['PGDATABASE']}", str(source))  # fmt: skip


@contextmanager
def scratch(source: Path, name: str) -> Iterator[str]:
    """A dump in a new database beside the site's; its URL. Gone at the end."""
    where = target()
    identifier = sql.Identifier(name)
    with _connected(where) as database:
        database.autocommit = True
        database.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        try:
            beside = {**where, "PGDATABASE": name}
            load(source, beside)
            yield _url(beside)
        finally:
            database.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _url(where: dict[str, str]) -> str:
    user, password = (quote(where.get(name, ""), safe="") for name in ("PGUSER", "PGPASSWORD"))
    place = f"{where.get('PGHOST', '')}:{where.get('PGPORT', '5432')}/{where['PGDATABASE']}"
    return f"postgresql://{user}:{password}@{place}"


def _program(name: str) -> str:
    return str(Path(settings.TIEBREAK_PG_BIN) / name) if settings.TIEBREAK_PG_BIN else name


def refuse_old_tool(name: str, database: psycopg.Connection[Any]) -> None:
    """An older tool fails, or worse, writes what nobody can read (GitLab, 2017)."""
    server = database.info.server_version // 10_000
    try:
        said = subprocess.run([_program(name), "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise BackupError(
            f"there is no {name}: install the client of PostgreSQL {server},"
            " or name its folder in TIEBREAK_PG_BIN"
        ) from None
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    if match is None or int(match[1]) < server:
        raise BackupError(
            f"{_program(name)} is of version {match[1] if match else 'unknown'} and the server of"
            f" {server}: install the client of that version, or name its folder in TIEBREAK_PG_BIN"
        )


def _tool(name: str, where: dict[str, str], *words: str) -> None:
    environment = {"PATH": os.environ["PATH"], **where}
    done = subprocess.run([_program(name), *words], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise BackupError(f"{name} failed: {done.stderr.strip()[-2000:]}")
