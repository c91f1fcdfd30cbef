"""Can this process serve? What container health checks and load balancers ask.

Alive is who answers at all. Ready is who reaches the database at the migrations of this code, and
can write clips. Without a broker the site is degraded and serves on: votes need none, and workers
look at the database by themselves (RELIABILITY O1).
"""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from celery import current_app
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError, OperationalError

logger = logging.getLogger(__name__)
_PATIENCE: Final = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0, "max_retries": 0}
_ANEW: Final = 5.0  # seconds: a load balancer asks often, a broker that hangs answers slowly


class State(StrEnum):
    GOOD = "good"
    DEGRADED = "degraded"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the site stands on. `message` goes to the log: it may name hosts."""

    name: str
    state: State
    message: str = ""


@dataclass(slots=True)
class _Last:
    part: Part | None = None
    at: float = 0.0


_BROKER: Final = _Last()


def parts() -> list[Part]:
    """Everything that was asked, each with its own word; what is not good is logged."""
    found = [database(), media(), broker()]
    for each in found:
        if each.state != State.GOOD:
            logger.warning("%s is %s: %s", each.name, each.state, each.message)
    return found


def state_of(found: list[Part]) -> State:
    """The worst of them."""
    states = {each.state for each in found}
    return next(each for each in (State.BAD, State.DEGRADED, State.GOOD) if each in states)


def database() -> Part:
    """Reached, and with the tables that this code expects."""

    def ask() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "" if _is_migrated() else "its migrations are not those of this code"

    return _asked("database", ask, (Error,))


def _is_migrated() -> bool:
    """Whether nothing is left to migrate; a yes holds for as long as this process lives."""
    if _migrated.cache_info().currsize:
        return True
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return False
    return _migrated()


@cache
def _migrated() -> bool:
    return True


def media() -> Part:
    """The folder of clips takes files. Of a bucket nothing is asked: each request would cost."""

    def ask() -> str:
        if not settings.MEDIA_STORAGE_URL:
            with tempfile.TemporaryFile(dir=settings.MEDIA_ROOT) as file:
                file.write(b"ready")
        return ""

    return _asked("media", ask, (OSError,))


def broker() -> Part:
    """Redis or RabbitMQ, where one is set: degraded without it, never bad."""
    if _BROKER.part is None or time.monotonic() - _BROKER.at > _ANEW:
        _BROKER.part, _BROKER.at = _broker(), time.monotonic()
    return _BROKER.part


def _broker() -> Part:
    url = settings.CELERY_BROKER_URL
    if not url:
        return Part("broker", State.GOOD)
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **_PATIENCE}
    try:
        with current_app.connection_for_read(url, transport_options=options) as opened:
            opened.ensure_connection(max_retries=1, interval_start=0, timeout=1)
    except (OperationalError, KombuError, OSError) as error:
        return Part("broker", State.DEGRADED, str(error))
    return Part("broker", State.GOOD)


def _asked(name: str, ask: Callable[[], str], errors: tuple[type[Exception], ...]) -> Part:
    try:
        fault = ask()
    except errors as error:
        fault = str(error)
    return Part(name, State.BAD if fault else State.GOOD, fault)
