"""The database file of the tests is SQLite's alone.

POSIX takes all locks of a process on a file away when the process closes any descriptor of it
(fcntl(2); sqlite.org/howtocorrupt.html 2.2). A test that copied the file lost the locks of all
connections of its process: the next child that closed its own connection took itself for the last
one and removed the log under them, and from then on no new connection could be opened ("disk I/O
error", SQLITE_IOERR_SHORT_READ), in whatever test came next.
"""

import os
import sys
from typing import Any


class OpenedDatabaseFile(AssertionError):
    """Python opened the file of a database that connections of this process have locked."""


def keep_to_sqlite(name: str) -> None:
    """For the rest of the process, since an audit hook stays: `name` is opened by SQLite only."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and _path(arguments[0]) == name:
            raise OpenedDatabaseFile(
                f"{name} is the database of this test process: closing it would take the locks of"
                " every open connection away; read it through SQLite, or in another process"
            )

    sys.addaudithook(hook)


def _path(given: Any) -> str:
    return os.fsdecode(given) if isinstance(given, str | bytes | os.PathLike) else ""
