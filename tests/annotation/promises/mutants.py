"""The site with its protections taken away, one per request: the cookie `mutant` names which.

Served by gunicorn as `mutants:application`. A test of a promise that cannot fail here proves
nothing. Without the cookie it is the site as it is.
"""

# ruff: noqa: I001  the site sets Django up, so it comes before the models.

import random
import re
import threading
import time
from contextlib import nullcontext

from django.db import connection, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteWrapper
from django.db.backends.utils import CursorWrapper

from config.wsgi import application as site

from annotation import assigning, queue, transactions, voting

_LOCK = re.compile(r"FOR NO KEY UPDATE(?: OF \S+)?(?: SKIP LOCKED)?")
_now = threading.local()


def mutant() -> str:
    return getattr(_now, "mutant", "")


def application(environ, start_response):
    named = re.search(r"mutant=([a-z-]+)", environ.get("HTTP_COOKIE", ""))
    _now.mutant = named[1] if named else ""
    return site(environ, start_response)


# "no-locks": PostgreSQL without row locks, SQLite with deferred transactions; and some time between
# what is read and what is written.

_execute = CursorWrapper.execute
_begin = SqliteWrapper._start_transaction_under_autocommit


def _deferred(self):
    # Connections outlive requests, so the mode is set for each.
    self.transaction_mode = "DEFERRED" if mutant() == "no-locks" else "IMMEDIATE"
    _begin(self)


SqliteWrapper._start_transaction_under_autocommit = _deferred


_turn = transactions._turn
transactions._turn = lambda: nullcontext() if mutant() == "no-locks" else _turn()


def _without_locks(self, sql, params=None):
    if mutant() != "no-locks":
        return _execute(self, sql, params)
    result = _execute(self, _LOCK.sub("", sql) if isinstance(sql, str) else sql, params)
    if "annotation_" in str(sql) and "SELECT" in str(sql)[:2000]:
        time.sleep(0.01)
    return result


CursorWrapper.execute = _without_locks

# "forgets": one vote in ten is answered and not kept.

_cast_vote = voting.cast_vote


def _forgetful(*given):
    if mutant() != "forgets":
        return _cast_vote(*given)
    with transaction.atomic():
        receipt = _cast_vote(*given)
        transaction.set_rollback(random.random() < 0.1)
    return receipt


voting.cast_vote = _forgetful

# "no-replay": a vote that comes again is taken for a new one.

_replay = voting._replay
voting._replay = lambda *given: None if mutant() == "no-replay" else _replay(*given)

# "stuck": what somebody holds never comes back.

_next_place = queue.next_place


def _without_expired(desk):
    place = _next_place(desk)
    if place is None or mutant() != "stuck":
        return place
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM annotation_slot WHERE id = %s", [place.slot_id])
        return place if cursor.fetchone()[0] == "open" else None


assigning.next_place = _without_expired
