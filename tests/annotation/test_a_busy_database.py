"""Who cannot be served in time is told so with a 503, and may send the very same again."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test import RequestFactory

from annotation.models import Vote
from config.busy import BusyMiddleware, passes


@contextmanager
def somebody_writes() -> Iterator[None]:
    """Another connection has the votes for itself, for longer than this one has patience."""
    on_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'" if on_postgres else "PRAGMA busy_timeout = 50")
    held, over = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            if on_postgres:
                connection.cursor().execute("LOCK TABLE annotation_vote IN EXCLUSIVE MODE")
            held.set()
            over.wait(20)
        connections.close_all()

    holder = Thread(target=hold)
    holder.start()
    assert held.wait(20)
    try:
        yield
    finally:
        over.set()
        holder.join()


@pytest.mark.django_db(transaction=True)
def test_a_vote_that_had_to_wait_too_long_is_asked_for_again_and_counts_once(
    make_campaign: Callable[..., Any], alice: Any, annotator: Any
) -> None:
    campaign, browser = make_campaign(1), annotator(alice)
    given = browser.next(campaign)
    with somebody_writes():
        refused = browser.vote(given, "left")
    assert refused.status_code == 503
    assert int(refused["Retry-After"]) > 0
    assert refused.json() == {"error": "The site is busy; ask again in a moment.", "code": "busy"}
    assert not Vote.objects.exists()
    assert browser.vote(given, "left").status_code == 200
    assert Vote.objects.count() == 1


def _postgres(state: str | None) -> OperationalError:
    cause = psycopg.OperationalError() if state is None else psycopg.errors.lookup(state)()
    return _raised(cause)


def _sqlite(name: str) -> OperationalError:
    cause = sqlite3.OperationalError("said by SQLite")
    cause.sqlite_errorname = name
    return _raised(cause)


def _raised(cause: Exception) -> OperationalError:
    error = OperationalError("said by the database")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        *map(_postgres, ["55P03", "40P01", "40001", "53300", "57P03", None]),
        *map(_sqlite, ["SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED"]),
    ],
    ids=lambda error: repr(error.__cause__)[:40],
)
def test_what_passes_by_itself_is_a_503(error: OperationalError) -> None:
    assert passes(error)


@pytest.mark.parametrize(
    "error",
    [_postgres("57014"), _postgres("53100"), _sqlite("SQLITE_FULL"), OperationalError("bare")],
    ids=["slow statement", "full disk", "full disk of SQLite", "of nobody"],
)
def test_what_stays_as_it_is_remains_a_fault_of_ours(error: OperationalError) -> None:
    assert not passes(error)
    asked = RequestFactory().get("/campaigns/")
    assert BusyMiddleware(lambda _: None).process_exception(asked, error) is None


def test_who_asked_for_a_page_gets_a_page_for_which_no_database_is_asked() -> None:
    asked = RequestFactory().get("/campaigns/", headers={"Accept": "text/html"})
    page = BusyMiddleware(lambda _: None).process_exception(asked, _postgres("55P03"))
    assert page.status_code == 503
    assert "The site is busy" in page.content.decode()
    assert page["Retry-After"]
