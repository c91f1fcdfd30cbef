"""A link makes an account; its token is told once, ends, and serves as often as allowed."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils import timezone

from annotation.accounts import invitations
from annotation.errors import BadAccount, NotFound
from annotation.models import Invitation

PASSWORD = "a quiet instrument"


@pytest.fixture
def campaign(make_campaign: Any) -> Any:
    made = make_campaign()
    made.open_to_all = False
    made.save()
    return made


def typed(**changes: str) -> dict[str, str]:
    return {"username": "dora", "password": PASSWORD, "email": "", **changes}


def test_a_link_makes_an_annotator_of_the_campaign(lee: Any, campaign: Any) -> None:
    token = invitations.invite(lee, campaign).token
    browser = Client()
    assert browser.get(f"/invitation/{token}/").status_code == 200
    answer = browser.post(f"/invitation/{token}/", typed())
    assert answer["Location"] == f"/annotate/{campaign.pk}/"
    dora = User.objects.get(username="dora")
    assert dora.check_password(PASSWORD)
    assert [group.name for group in dora.groups.all()] == ["annotator"]
    assert list(campaign.members.all()) == [dora]
    assert browser.get("/").wsgi_request.user == dora


def test_the_token_is_not_in_the_database(lee: Any) -> None:
    made = invitations.invite(lee)
    assert len(made.token) >= 43
    row = Invitation.objects.values().get()
    assert made.token not in str(row)
    assert row["token_sha256"] == invitations.digest(made.token)


def test_an_invited_lead_leads(lee: Any) -> None:
    token = invitations.invite(lee, role="lead").token
    user = invitations.make_account(token, "dora", PASSWORD)
    assert user.groups.get().name == "lead"
    assert User.objects.get(pk=user.pk).is_staff


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": True},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"uses": F("max_uses")},
    ],
)
def test_a_dead_link_says_the_same_as_one_that_never_was(
    lee: Any, client: Client, change: dict[str, Any]
) -> None:
    token = invitations.invite(lee).token
    Invitation.objects.update(**change)
    dead = client.post(f"/invitation/{token}/", typed())
    never = client.post("/invitation/never/", typed())
    assert dead.status_code == never.status_code == 404
    assert "does not hold any more" in dead.content.decode()
    assert dead.content.split(b"<main")[1] == never.content.split(b"<main")[1]
    assert not User.objects.filter(username="dora").exists()


def test_the_last_use_is_taken_once(lee: Any, monkeypatch: Any) -> None:
    """Two people have both read the invitation before either uses it."""
    token = invitations.invite(lee, max_uses=1).token
    stale = invitations.read(token)
    invitations.make_account(token, "dora", PASSWORD)
    monkeypatch.setattr(invitations, "read", lambda _token: stale)
    with pytest.raises(NotFound):
        invitations.make_account(token, "emil", PASSWORD)
    assert not User.objects.filter(username="emil").exists()
    assert Invitation.objects.get().uses == 1


def test_a_fault_in_the_form_uses_nothing(lee: Any, alice: Any, client: Client) -> None:
    token = invitations.invite(lee).token
    for wrong in ({"username": "ALICE"}, {"username": "a b"}, {"password": "12345678"}):
        answer = client.post(f"/invitation/{token}/", typed(**wrong))
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.content.decode()
    assert Invitation.objects.get().uses == 0


def test_who_has_an_account_takes_part_with_it(lee: Any, alice: Any, campaign: Any) -> None:
    token = invitations.invite(lee, campaign, max_uses=5).token
    browser = Client()
    browser.force_login(alice)
    for _ in range(2):
        assert browser.post(f"/invitation/{token}/").status_code == 302
    assert list(campaign.members.all()) == [alice]
    assert Invitation.objects.get().uses == 1


@pytest.mark.parametrize(
    "wrong", [{"role": "operator"}, {"max_uses": 0}, {"days": 0}, {"days": 4000}]
)
def test_an_invitation_has_bounds(lee: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadAccount):
        invitations.invite(lee, **wrong)


def test_joining_needs_the_token_of_the_form(lee: Any) -> None:
    token = invitations.invite(lee).token
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(f"/invitation/{token}/", typed()).status_code == 403
    assert Invitation.objects.get().uses == 0
