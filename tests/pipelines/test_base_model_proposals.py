"""The allow-list of base models: one proposes, another allows, and nothing else gets on it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from pipelines import proposals
from pipelines.errors import NotAllowed, PipelineError, WrongState
from pipelines.models import BaseModel, BaseModelProposal

pytestmark = pytest.mark.django_db
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD = {
    "name": "Wan 1.3B", "role": "generator", "source": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "revision": COMMIT, "why": "the paper's base",
}  # fmt: skip
Ask = Callable[..., Any]


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def proposed(user: Any, **changes: str) -> BaseModelProposal:
    given = {**GOOD, **changes}
    return proposals.propose(
        user, given["name"], given["role"], given["source"],
        revision=given["revision"], why=given["why"],
    )  # fmt: skip


@pytest.mark.promise("S8")
def test_an_engineer_proposes_and_an_operator_allows(mia: Any, olga: Any) -> None:
    engineer, operator = client_of(mia), client_of(olga)
    assert engineer.post("/base-models/", GOOD).status_code == 302
    assert not BaseModel.objects.exists()
    row = BaseModelProposal.objects.get()
    page = operator.get("/base-models/").content.decode()
    assert GOOD["source"] in page
    assert "the paper&#x27;s base" in page
    answer = operator.post(f"/base-models/{row.pk}/", {"act": "approve", "note": "looked at it"})
    assert answer.status_code == 302
    model = BaseModel.objects.get()
    assert (model.source, model.revision) == (GOOD["source"], COMMIT)
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.base_model) == ("approved", olga, model)
    from annotation.models import AuditEntry

    acts = list(
        AuditEntry.objects.filter(act__startswith="base_model").values_list("act", "person")
    )
    assert sorted(acts) == [("base_model.approve", olga.pk), ("base_model.propose", mia.pk)]


@pytest.mark.promise("S8")
def test_nobody_allows_what_they_proposed(olga: Any) -> None:
    row = proposed(olga)
    with pytest.raises(NotAllowed, match="second person"):
        proposals.approve(row, olga)
    client = client_of(olga)
    client.post(f"/base-models/{row.pk}/", {"act": "approve"})
    path = f"/api/base-models/{row.pk}/decision"
    answer = client.post(path, {"act": "approve"}, content_type="application/json")
    assert answer.status_code == 403
    assert not BaseModel.objects.exists()
    assert proposals.refuse(row, olga).state == "refused"  # to think better of it needs nobody


@pytest.mark.promise("S8")
def test_the_database_holds_it_as_well(mia: Any, olga: Any) -> None:
    row = proposed(mia)
    rows = BaseModelProposal.objects.filter(pk=row.pk)
    for change in (
        {"state": "approved", "decided_by": mia},
        {"state": "approved", "decided_by": None},
        {"state": "proposed", "decided_by": olga},
        {"state": "loved", "decided_by": olga},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**change)
    assert rows.update(state="approved", decided_by=olga) == 1


@pytest.mark.mutant("S8")
def test_without_the_second_person_one_would_do(olga: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the function taken away, the constraint still refuses."""
    row = proposed(olga)
    monkeypatch.setattr(row, "proposed_by_id", -1)
    with pytest.raises(IntegrityError), transaction.atomic():
        proposals.approve(row, olga)


def test_of_two_decisions_one_counts(mia: Any, olga: Any) -> None:
    row = proposed(mia)
    other = BaseModelProposal.objects.get(pk=row.pk)
    proposals.approve(row, olga)
    with pytest.raises(WrongState):
        proposals.refuse(other, olga)
    with pytest.raises(WrongState):
        proposals.approve(other, olga)
    assert BaseModel.objects.count() == 1


@pytest.mark.promise("S8")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "/etc"),
        ("source", "/srv/models/wan"),
        ("source", "../../x"),
        ("source", "a/../b"),
        ("source", "https://example.org/x"),
        ("source", "owner/name@main"),
        ("source", "owner/name;rm"),
        ("source", "--help/x"),
        ("source", "owner/name/more"),
        ("revision", "main"),
        ("revision", ""),
        ("revision", COMMIT.upper()),
        ("revision", COMMIT + "0"),
        ("role", "trust_remote_code"),
        ("name", "  "),
        ("name", "x" * 201),
        ("why", ""),
    ],
)
def test_only_public_ids_with_their_commit_are_proposed(mia: Any, field: str, value: str) -> None:
    client = client_of(mia)
    assert client.post("/base-models/", {**GOOD, field: value}).status_code == 422
    answer = client.post(
        "/api/base-models", {**GOOD, field: value}, content_type="application/json"
    )
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert not BaseModelProposal.objects.exists()


@pytest.mark.promise("S8")
def test_nothing_says_that_code_of_a_model_may_run(mia: Any) -> None:
    answer = client_of(mia).post(
        "/api/base-models",
        {**GOOD, "trust_remote_code": True},
        content_type="application/json",
    )
    assert answer.status_code == 422
    assert "trust_remote_code" in answer.json()["error"]


def test_a_name_is_proposed_once_at_a_time(mia: Any, olga: Any) -> None:
    row = proposed(mia)
    with pytest.raises(PipelineError, match="nobody has decided"):
        proposed(mia)
    proposals.refuse(row, olga, "too large")
    again = proposed(mia)
    proposals.approve(again, olga)
    with pytest.raises(PipelineError, match="already"):
        proposed(mia)


def test_who_may_do_what(mia: Any, lee: Any, alice: Any, olga: Any) -> None:
    assert client_of(lee).get("/base-models/").status_code == 200
    assert client_of(alice).get("/base-models/").status_code == 403
    assert client_of(lee).post("/base-models/", GOOD).status_code == 403
    row = proposed(mia)
    for user in (mia, lee, alice):
        assert (
            client_of(user).post(f"/base-models/{row.pk}/", {"act": "approve"}).status_code == 403
        )
    assert "Allow</button>" not in client_of(mia).get("/base-models/").content.decode()


def test_rest_lists_proposes_and_decides(mia: Any, olga: Any, tmp_path: Any) -> None:
    call_command("register_base_model", "local", role="vlm", source=str(tmp_path))
    engineer, operator = client_of(mia), client_of(olga)
    made = engineer.post("/api/base-models", GOOD, content_type="application/json")
    assert made.status_code == 201
    path = f"/api/base-models/{made.json()['id']}/decision"
    assert operator.post(path, {"act": "nod"}, content_type="application/json").status_code == 422
    decided = operator.post(path, {"act": "approve"}, content_type="application/json").json()
    assert (decided["state"], decided["decided_by"]) == ("approved", "olga")
    found = engineer.get("/api/base-models").json()
    assert [each["source"] for each in found["base_models"]] == [
        "a folder of this site",
        GOOD["source"],
    ]
    assert str(tmp_path) not in str(found)
    nowhere = operator.post(
        "/api/base-models/99/decision", {"act": "approve"}, content_type="application/json"
    )
    assert nowhere.status_code == 404
