"""What the tests of this repository may do with their own database."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from tests.databases import OpenedDatabaseFile

# What came of it once: a copy of the file, and another process that closes its own connection.
COPIED = """
import shutil, sqlite3, subprocess, sys
from tests.databases import keep_to_sqlite
path, guarded = sys.argv[1], sys.argv[2] == "guarded"
def opened():
    found = sqlite3.connect(path, isolation_level=None)
    found.execute("PRAGMA journal_mode=WAL")
    return found
first = opened()
first.execute("CREATE TABLE written (number)")
if guarded:
    keep_to_sqlite(path)
try:
    shutil.copyfile(path, path + ".copy")
except AssertionError:
    print("refused")
other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"
read = "SELECT * FROM written"
subprocess.run([sys.executable, "-c", other, path, read], check=True)
first.execute("INSERT INTO written VALUES (1)")  # into a log that has lost its name
try:
    opened().execute(read).fetchall()
    print("the next connection reads")
except sqlite3.OperationalError as error:
    print(error.sqlite_errorname)
"""


def said(path: Path, how: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", COPIED, str(path), how],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_test_that_reads_the_database_file_is_refused(tmp_path: Path) -> None:
    assert said(tmp_path / "a.sqlite3", "guarded") == ["refused", "the next connection reads"]


def test_without_the_guard_the_next_connection_fails(tmp_path: Path) -> None:
    """The mutant: an operating system that keeps its locks would need no guard."""
    assert said(tmp_path / "a.sqlite3", "bare") == ["SQLITE_IOERR_SHORT_READ"]


@pytest.mark.one_engine
@pytest.mark.django_db
def test_the_guard_stands_before_the_database_of_this_process(tmp_path: Path) -> None:
    name = connection.settings_dict["NAME"]
    for way in (Path(name).read_bytes, lambda: shutil.copyfile(name, tmp_path / "copy")):
        with pytest.raises(OpenedDatabaseFile, match="another process"):
            way()
    with closing(sqlite3.connect(name)) as through_sqlite:
        assert through_sqlite.execute("SELECT count(*) FROM django_migrations").fetchone()[0] > 0
