"""The audit log and erasure through pages and REST; every dangerous act leaves its entry."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.access import audit, audited_acts
from annotation.accounts import erasing
from annotation.models import AuditEntry, Erasure

pytestmark = pytest.mark.django_db


def browser(user: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(user)
    return client


def newest() -> AuditEntry:
    entry = AuditEntry.objects.first()
    assert entry is not None
    return entry


# What is written down.


def test_a_page_that_acts_is_written_down(lee: Any, bob: Any) -> None:
    client = browser(lee, REMOTE_ADDR="192.0.2.4")
    client.post("/people/", {"act": "deactivate", "user": bob.pk})
    entry = newest()
    assert (entry.act, entry.target, entry.person) == ("people.deactivate", f"user {bob.pk}", lee)
    assert (entry.via, entry.address, entry.details) == ("session", "192.0.2.4", {})


def test_a_rest_door_that_acts_is_written_down_with_its_values(lee: Any, bob: Any) -> None:
    answer = browser(lee).put(
        f"/api/people/{bob.pk}/active", {"active": False}, content_type="application/json"
    )
    assert answer.status_code == 200
    entry = newest()
    assert (entry.act, entry.target) == ("people.active", f"user {bob.pk}")
    assert entry.details == {"active": False}


def test_an_act_that_is_refused_has_a_second_entry(lee: Any, olga: Any) -> None:
    answer = browser(lee).put(
        f"/api/people/{olga.pk}/active", {"active": False}, content_type="application/json"
    )
    assert answer.status_code == 403
    refused, asked = AuditEntry.objects.all()[:2]
    assert (asked.act, asked.target) == ("people.active", f"user {olga.pk}")
    assert (refused.act, refused.target) == ("act.refused", f"user {olga.pk}")
    assert refused.details == {"of": "people.active", "status": 403}


def test_whoever_may_not_even_ask_leaves_nothing(alice: Any, bob: Any) -> None:
    before = AuditEntry.objects.filter(act__startswith="people").count()
    answer = browser(alice).post("/people/", {"act": "deactivate", "user": bob.pk})
    assert answer.status_code == 403
    bob.refresh_from_db()
    assert bob.is_active
    entries = AuditEntry.objects.filter(act="people.deactivate").count()
    refused = AuditEntry.objects.filter(act="act.refused").count()
    assert (before, entries) in {(0, 0), (0, refused)}


@pytest.mark.parametrize("act", ["delete_all; drop", "", "x" * 99, "a b"])
def test_a_word_of_a_form_that_we_do_not_know_is_unknown(lee: Any, act: str) -> None:
    browser(lee).post("/people/", {"act": act})
    assert AuditEntry.objects.filter(act="people.unknown").count() == 1


def test_reading_is_not_written_down_but_data_that_leave_are(lee: Any, make_campaign: Any) -> None:
    campaign = make_campaign(1)
    client = browser(lee)
    count = AuditEntry.objects.count()
    for path in ("/people/", f"/campaigns/{campaign.pk}/", "/api/people"):
        assert client.get(path).status_code == 200
    assert AuditEntry.objects.count() == count
    client.get(f"/api/campaigns/{campaign.pk}/export?what=votes")
    entry = newest()
    assert (entry.act, entry.target) == ("export.votes", f"campaign {campaign.pk}")
    assert entry.details == {"what": "votes"}
    client.get(f"/campaigns/{campaign.pk}/pay.csv?from=2026-01-01")
    assert newest().details == {"from": "2026-01-01"}


def test_no_secret_and_no_name_of_a_form_gets_in(lee: Any) -> None:
    rows = "username,email\nfranka,franka@post.example\n"
    browser(lee).post("/people/", {"act": "bulk", "csv": rows})
    assert User.objects.filter(username="franka").exists()
    assert "franka" not in json.dumps([each.details for each in AuditEntry.objects.all()])


def test_the_admin_is_written_down(olga: Any, bob: Any) -> None:
    browser(olga).post(f"/admin/auth/user/{bob.pk}/change/", {"username": "bob"})
    entry = AuditEntry.objects.filter(act__startswith="admin").get()
    assert (entry.act, entry.target, entry.person) == ("admin.change", f"user {bob.pk}", olga)


def test_log_ins_of_staff_are_written_down(lee: Any, alice: Any) -> None:
    browser(lee)
    browser(alice)
    assert [each.person for each in AuditEntry.objects.filter(act="session.begin")] == [lee]


def test_voting_writes_nothing(make_campaign: Any, alice: Any, annotator: Any) -> None:
    campaign = make_campaign(2)
    person = annotator(alice)
    assert person.vote(person.next(campaign)).status_code == 200
    assert not AuditEntry.objects.exists()


def test_every_address_in_the_table_exists() -> None:
    from django.urls import get_resolver

    def names(resolver: Any, prefix: str = "") -> set[str]:
        found = set()
        for each in resolver.url_patterns:
            if hasattr(each, "url_patterns"):
                inner = f"{prefix}{each.namespace}:" if each.namespace else prefix
                found |= names(each, inner)
            elif each.name:
                found.add(prefix + each.name)
        return found

    assert set(audited_acts.ACTS) - names(get_resolver()) == set()


# The pages.


def test_a_lead_reads_the_log_and_finds_in_it(lee: Any, mia: Any) -> None:
    audit.record(mia, "run.start", "run 7", kind="snapshot")
    audit.record(mia, "run.cancel", "run 8")
    page = browser(lee).get("/audit/?act=run.start").content.decode()
    assert "run 7" in page
    assert "kind: snapshot" in page
    assert "run 8" not in page
    assert newest().act == "audit.read"


def test_reading_the_log_through_rest(lee: Any, mia: Any) -> None:
    audit.record(mia, "run.start", "run 7", kind="snapshot")
    body = browser(lee).get("/api/audit?act=run.start").json()
    (entry,) = body["results"]
    wanted = {"person": "mia", "act": "run.start", "target": "run 7", "via": "command"}
    assert {name: entry[name] for name in wanted} == wanted
    assert entry["details"] == {"kind": "snapshot"}


@pytest.mark.parametrize("path", ["/audit/", "/api/audit", "/people/erasures/", "/api/erasures"])
@pytest.mark.parametrize(("who", "status"), [("alice", 403), ("mia", 403), ("olga", 200)])
def test_who_may_read_it(request: Any, path: str, who: str, status: int) -> None:
    assert browser(request.getfixturevalue(who)).get(path).status_code == status


@pytest.mark.parametrize("query", ["since=yesterday", "before=x", "before=-1"])
def test_a_query_that_cannot_be_read_is_refused_in_a_sentence(lee: Any, query: str) -> None:
    answer = browser(lee).get(f"/audit/?{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()


def test_the_admin_shows_the_log_and_changes_nothing(olga: Any) -> None:
    entry = audit.record(olga, "run.start", "run 7")
    client = browser(olga)
    assert client.get("/admin/annotation/auditentry/").status_code == 200
    client.post(f"/admin/annotation/auditentry/{entry.pk}/delete/", {"post": "yes"})
    client.post(f"/admin/annotation/auditentry/{entry.pk}/change/", {"act": "run.other"})
    assert AuditEntry.objects.get(pk=entry.pk).act == "run.start"


# Erasure.


def test_an_annotator_asks_and_takes_it_back(alice: Any) -> None:
    client = browser(alice)
    assert "Ask to be forgotten" in client.get("/account/").content.decode()
    client.post("/account/erasure/", {"act": "ask"})
    assert [each.person for each in erasing.waiting()] == [alice]
    assert "Take it back" in client.get("/account/").content.decode()
    client.post("/account/erasure/", {"act": "withdraw"})
    assert list(erasing.waiting()) == []
    assert client.post("/api/erasures").status_code == 201
    assert client.delete("/api/erasures").status_code == 204


def test_an_operator_erases_on_the_page_with_the_name_twice(olga: Any, alice: Any) -> None:
    erasing.ask(alice)
    client = browser(olga)
    assert "alice" in client.get("/people/erasures/").content.decode()
    answer = client.post("/people/erasures/", {"username": "alice", "confirmed": "alise"})
    assert answer.status_code == 422
    alice.refresh_from_db()
    assert alice.is_active
    answer = client.post("/people/erasures/", {"username": "alice", "confirmed": "alice"})
    assert answer.status_code == 200
    alice.refresh_from_db()
    assert not alice.is_active
    assert Erasure.objects.get().done_by == olga
    assert list(erasing.waiting()) == []


def test_a_lead_reads_who_waits_and_erases_nobody(lee: Any, alice: Any) -> None:
    client = browser(lee)
    assert "An operator does it." in client.get("/people/erasures/").content.decode()
    answer = client.post("/people/erasures/", {"username": "alice", "confirmed": "alice"})
    assert answer.status_code == 403
    answer = client.post(
        f"/api/people/{alice.pk}/erase", {"username": "alice"}, content_type="application/json"
    )
    assert answer.status_code == 403
    alice.refresh_from_db()
    assert alice.username == "alice"


def test_rest_erases_only_with_the_name_in_the_body(olga: Any, alice: Any) -> None:
    client = browser(olga)
    path = f"/api/people/{alice.pk}/erase"
    wrong = client.post(path, {"username": "bob"}, content_type="application/json")
    assert wrong.status_code == 422
    done = client.post(path, {"username": "alice"}, content_type="application/json")
    assert done.json() == {"user": alice.pk, "left": []}


# Doors that write their entries themselves, in one transaction with the act.
THEMSELVES = {
    "annotation:erasures", "annotation:api-erase", "annotation:tokens", "annotation:api-tokens",
    "pipelines:base-model-decide", "pipelines:api-base-model-decide",
}  # fmt: skip
# Second factors and identities are kept by django-allauth in tables of its own.
OF_ALLAUTH = ("mfa_", "socialaccount_")


def test_every_act_that_asks_for_a_fresh_log_in_is_written_down() -> None:
    from annotation.access.policy_table import ALL as OF_ANNOTATION
    from pipelines.policy_table import ALL as OF_PIPELINES

    dangerous = {
        name
        for name, policy in {**OF_ANNOTATION, **OF_PIPELINES}.items()
        if policy.act is not None
        and policy.act.fresh
        and not name.startswith(("admin:", *OF_ALLAUTH))
    }
    assert len(dangerous) > 10
    assert dangerous - set(audited_acts.ACTS) - THEMSELVES == set()


def test_every_way_out_that_asks_for_a_fresh_log_in_is_written_down() -> None:
    from annotation.access.policy_table import ALL

    ways = {
        name
        for name, policy in ALL.items()
        if policy.read is not None and policy.read.fresh and not name.startswith(OF_ALLAUTH)
    }
    assert {"annotation:pay-table", "annotation:api-pay-table"} <= ways
    assert {
        name for name in ways if not getattr(audited_acts.ACTS.get(name), "reads", False)
    } == set()
