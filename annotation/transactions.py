"""Doing a transaction again when it lost against another one; on SQLite, waiting for one's turn."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    OperationalError,
    connections,
    transaction,
)

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_ATTEMPTS = 5
_LOST = {"40001", "40P01"}  # serialization failure, deadlock
_LOOK_EVERY: Final = 0.001  # seconds
_LOOK_AT_MOST: Final = 5.0  # then SQLite's own wait decides


def retried(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in a transaction of its own, and again if it ran into another writer.

    A broken uniqueness means that somebody else was quicker; the next attempt sees what they did.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, _ATTEMPTS):
            try:
                with _turn(), transaction.atomic():
                    return function(*args, **kwargs)
            except (IntegrityError, OperationalError) as error:
                if not _may_pass(error):
                    raise
                logger.info("%s is tried again: %s", function.__name__, error)
                time.sleep(0.005 * attempt)
        with _turn(), transaction.atomic():
            return function(*args, **kwargs)

    return run


def wait_for_imports() -> None:
    """In this transaction: what it needs may be held by an import, and that may write for minutes.

    Not for requests that a person waits for: those give up after the seconds of the settings.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for limit in ("lock_timeout", "statement_timeout"):
                cursor.execute(f"SET LOCAL {limit} = '10min'")


def _may_pass(error: DatabaseError) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.__cause__, "sqlstate", "") in _LOST


@contextmanager
def _turn() -> Iterator[None]:
    """The only short writer of SQLite's file, until the block ends.

    SQLite lets a second writer sleep for up to 100 ms at a time while others pass it by. This line
    is a courtesy on top, and safe to lose: SQLite's own lock still holds, and a killed process
    leaves the line. The file is one of its own, because closing a descriptor of the database would
    take SQLite's locks away.
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    alone = database.vendor != "sqlite" or database.is_in_memory_db()
    if alone or database.in_atomic_block:  # who is in a transaction has the file already
        yield
        return
    line = os.open(f"{database.settings_dict['NAME']}-turn", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        _wait_in(line)
        yield
    finally:
        os.close(line)  # and whoever waits is next


def _wait_in(line: int) -> None:
    until = time.monotonic() + _LOOK_AT_MOST
    while time.monotonic() < until:
        try:
            fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_EVERY)
        else:
            return
