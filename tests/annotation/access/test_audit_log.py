"""What could harm is written down, and nobody takes it back (RELIABILITY 3c, S5)."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from rest_framework.request import Request

from annotation.access import audit
from annotation.accounts.tokens import make_token
from annotation.errors import Unreadable
from annotation.models import AuditEntry


def test_an_entry_says_who_what_to_what_and_from_where(lee: Any, rf: RequestFactory) -> None:
    request = rf.post("/", REMOTE_ADDR="192.0.2.7")
    request.user = lee
    entry = audit.record(request, "annotator.exclude", lee, reason="careless", votes=3)
    entry.refresh_from_db()
    assert (entry.person, entry.act, entry.target) == (lee, "annotator.exclude", f"user {lee.pk}")
    assert (entry.via, entry.address) == ("session", "192.0.2.7")
    assert entry.details == {"reason": "careless", "votes": 3}


def test_a_request_of_a_program_names_its_token(mia: Any, rf: RequestFactory) -> None:
    token, _secret = make_token(mia, "nightly")
    request = Request(rf.post("/", REMOTE_ADDR="192.0.2.8"))
    request.user, request.auth = mia, token
    entry = audit.record(request, "run.start", "run 12")
    assert (entry.person, entry.via) == (mia, f"token {token.prefix}")
    assert (entry.address, entry.target) == ("192.0.2.8", "run 12")


@pytest.mark.parametrize("who", [None, AnonymousUser()])
def test_nobody_is_nobody(who: Any, db: None) -> None:
    assert audit.record(who, "run.start").person is None


@pytest.mark.parametrize("act", ["", "start", "Run.Start", "run start", "run.start.now"])
def test_an_act_is_two_words(act: str, db: None) -> None:
    with pytest.raises(ValueError, match="two words with a dot"):
        audit.record(None, act)


def test_no_secret_gets_in(db: None) -> None:
    with pytest.raises(ValueError, match="keeps no password"):
        audit.record(None, "account.change", password="x")


def test_details_are_plain_and_short(lee: Any) -> None:
    entry = audit.record(None, "account.change", a=lee, b=[1, {"c": None}], d="x" * 900)
    assert entry.details == {"a": f"user {lee.pk}", "b": [1, {"c": None}], "d": "x" * 500}


CHANGES = [
    "UPDATE annotation_auditentry SET act = 'nothing.happened'",
    "UPDATE annotation_auditentry SET person_id = NULL",
    "UPDATE annotation_auditentry SET target = 'run 13'",
    "UPDATE annotation_auditentry SET at = '2020-01-01 00:00:00'",
    "UPDATE annotation_auditentry SET via = 'command'",
    "UPDATE annotation_auditentry SET address = '192.0.2.99'",
    'UPDATE annotation_auditentry SET details = \'{"reason": "other"}\'',
    "UPDATE annotation_auditentry SET id = id + 1",
    "DELETE FROM annotation_auditentry",
]
REPLACE = """
INSERT OR REPLACE INTO annotation_auditentry (id, at, person_id, via, address, act, target, details)
SELECT id, at, person_id, via, '', 'nothing.happened', target, details FROM annotation_auditentry"""
OF_ENGINE = {"sqlite": [REPLACE], "postgresql": ["TRUNCATE annotation_auditentry"]}


def test_the_database_refuses_every_change_and_removal(lee: Any, rf: RequestFactory) -> None:
    request = rf.post("/", REMOTE_ADDR="192.0.2.7")
    request.user = lee
    entry = audit.record(request, "run.start", "run 12", reason="a reason")
    connection.check_constraints()  # a TRUNCATE waits for them
    for statement in [*CHANGES, *OF_ENGINE[connection.vendor]]:
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.all().delete()
    found = AuditEntry.objects.get()
    assert (found.pk, found.act, found.address) == (entry.pk, "run.start", "192.0.2.7")


def test_erasure_may_empty_where_from_and_details_and_nothing_else(
    lee: Any, rf: RequestFactory
) -> None:
    request = rf.post("/", REMOTE_ADDR="192.0.2.7")
    request.user = lee
    audit.record(request, "run.start", "run 12", reason="asked by lee")
    AuditEntry.objects.update(address="", details={})
    found = AuditEntry.objects.get()
    assert (found.address, found.details, found.act, found.person) == ("", {}, "run.start", lee)


def test_the_log_is_found_by_act_person_target_and_time(lee: Any, mia: Any) -> None:
    first = audit.record(lee, "run.start", "run 1")
    second = audit.record(mia, "run.cancel", "run 1")
    third = audit.record(mia, "run.cancel", "run 2")

    def found(**query: str) -> list[AuditEntry]:
        return list(audit.entries(audit.wanted_of(query)))

    assert found() == [third, second, first]
    assert found(act="run.cancel") == [third, second]
    assert found(target="run 1") == [second, first]
    assert found(person="lee") == [first]
    assert found(since=second.at.isoformat(), until=third.at.isoformat()) == [second]
    assert audit.acts() == ["run.cancel", "run.start"]


def test_a_page_of_the_log_says_where_the_next_begins(lee: Any, monkeypatch: Any) -> None:
    made = [audit.record(lee, "run.start", f"run {n}") for n in range(5)]
    monkeypatch.setattr(audit, "PAGE", 2)
    newest, before = audit.page(audit.Wanted())
    assert newest == [made[4], made[3]]
    rest, before = audit.page(audit.Wanted(), before)
    assert rest == [made[2], made[1]]
    assert audit.page(audit.Wanted(), before) == ([made[0]], None)


def test_a_moment_that_is_none_is_refused(db: None) -> None:
    with pytest.raises(Unreadable, match="since must be a day"):
        audit.wanted_of({"since": "yesterday"})
