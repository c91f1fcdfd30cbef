"""Doing a transaction again when it lost against another one."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, transaction

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_ATTEMPTS = 5
_LOST = {"40001", "40P01"}  # serialization failure, deadlock


def retried(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in a transaction of its own, and again if it ran into another writer.

    A broken uniqueness means that somebody else was quicker; the next attempt sees what they did.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, _ATTEMPTS):
            try:
                with transaction.atomic():
                    return function(*args, **kwargs)
            except (IntegrityError, OperationalError) as error:
                if not _may_pass(error):
                    raise
                logger.info("%s is tried again: %s", function.__name__, error)
                time.sleep(0.005 * attempt)
        with transaction.atomic():
            return function(*args, **kwargs)

    return run


def _may_pass(error: DatabaseError) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.__cause__, "sqlstate", "") in _LOST
