"""Consent, invitations, accounts and members through REST and on the lead's page."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from annotation.models import Campaign, Consent, Invitation


@pytest.fixture
def campaign(make_campaign: Any) -> Any:
    return make_campaign(2, name="pairs")


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def test_nobody_votes_before_agreeing_to_the_text(
    alice: Any, campaign: Any, annotator: Any
) -> None:
    Campaign.objects.update(consent="Your votes are published.")
    browser = annotator(alice)
    path = f"/api/campaigns/{campaign.pk}/consent"
    assert browser.next(campaign)["gate"] == "consent"
    asked = browser.get(path).json()
    assert (asked["text"], asked["given"]) == ("Your votes are published.", False)
    answer = browser.post(path, {"sha256": asked["sha256"]})
    assert answer.json() == {"given": True}
    assert browser.get(path).json()["given"] is True
    assert "lease" in browser.next(campaign)
    assert Consent.objects.get().text_sha256 == asked["sha256"]


def test_another_text_asks_anew_and_the_old_answer_is_kept(
    alice: Any, campaign: Any, annotator: Any
) -> None:
    Campaign.objects.update(consent="One.")
    browser, path = annotator(alice), f"/api/campaigns/{campaign.pk}/consent"
    browser.post(path, {"sha256": browser.get(path).json()["sha256"]})
    stale = browser.get(path).json()["sha256"]
    Campaign.objects.update(consent="Two.")
    assert browser.next(campaign)["gate"] == "consent"
    assert browser.post(path, {"sha256": stale}).status_code == 409
    assert browser.next(campaign)["gate"] == "consent"
    Campaign.objects.update(consent="One.")
    assert browser.get(path).json()["given"] is True
    assert "lease" in browser.next(campaign)


def test_no_text_asks_for_nothing(alice: Any, campaign: Any, annotator: Any) -> None:
    asked = annotator(alice).get(f"/api/campaigns/{campaign.pk}/consent").json()
    assert asked == {"text": "", "sha256": "", "given": True}


def test_a_lead_runs_people_through_rest(lee: Any, campaign: Any) -> None:
    lead = logged_in(lee)
    made = post(lead, "/api/invitations", campaign=campaign.pk, max_uses=2, days=3, note="class")
    assert made.status_code == 201
    assert made.json()["link"].startswith("http://testserver/invitation/")
    (listed,) = lead.get(f"/api/invitations?campaign={campaign.pk}").json()["results"]
    assert (listed["note"], listed["uses"], listed["max_uses"]) == ("class", 0, 2)
    assert "link" not in listed
    assert post(lead, f"/api/invitations/{listed['id']}/revoke").json()["revoked"] is True
    assert Client().get(made.json()["link"]).status_code == 404
    accounts = post(lead, "/api/people", csv="username\ndora\nemil", campaign=campaign.pk)
    assert accounts.status_code == 201
    dora = accounts.json()["accounts"][0]
    assert "/accounts/reset/" in dora["password_link"]
    link = post(lead, f"/api/people/{dora['id']}/password-link").json()["password_link"]
    assert Client().get(link).status_code == 302
    off = lead.put(
        f"/api/people/{dora['id']}/active", {"active": False}, content_type="application/json"
    )
    assert off.json()["active"] is False
    shown = lead.get(f"/api/campaigns/{campaign.pk}/members").json()
    assert [(each["username"], each["member"]) for each in shown["members"]] == [
        ("dora", True),
        ("emil", True),
    ]
    assert lead.delete(f"/api/campaigns/{campaign.pk}/members/{dora['id']}").status_code == 204
    assert lead.delete(f"/api/campaigns/{campaign.pk}/members/{dora['id']}").status_code == 404


def test_members_are_added_all_or_none(lee: Any, alice: Any, bob: Any, campaign: Any) -> None:
    lead, path = logged_in(lee), f"/api/campaigns/{campaign.pk}/members"
    assert post(lead, path, usernames=["alice", "nobody"]).status_code == 422
    assert campaign.members.count() == 0
    assert post(lead, path, usernames=["alice", "bob"]).json() == {"added": ["alice", "bob"]}


def test_who_works_in_an_open_campaign_is_listed_without_being_a_member(
    lee: Any, alice: Any, campaign: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    browser.vote(browser.next(campaign))
    (row,) = logged_in(lee).get(f"/api/campaigns/{campaign.pk}/members").json()["members"]
    assert (row["member"], row["questions"], row["stage"]) == (False, 1, "working")


def test_accounts_come_in_pages(lee: Any, people: Any) -> None:
    people(150)
    lead = logged_in(lee)
    first = lead.get("/api/people?search=annotator").json()
    assert len(first["results"]) == 100
    rest = lead.get(first["next"]).json()
    assert (len(rest["results"]), rest["next"]) == (50, None)
    names = {each["username"] for each in [*first["results"], *rest["results"]]}
    assert len(names) == 150
    page = lead.get("/people/?search=annotator").content.decode()
    assert page.count('name="user"') == 100
    assert "after=annotator" in page


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/api/invitations"),
        ("post", "/api/invitations"),
        ("post", "/api/invitations/1/revoke"),
        ("get", "/api/people"),
        ("post", "/api/people"),
        ("post", "/api/people/1/password-link"),
        ("put", "/api/people/1/active"),
        ("get", "/api/campaigns/{campaign}/members"),
        ("post", "/api/campaigns/{campaign}/members"),
        ("delete", "/api/campaigns/{campaign}/members/1"),
        ("get", "/api/campaigns/{campaign}/pay"),
        ("get", "/api/campaigns/{campaign}/pay.csv"),
        ("get", "/people/"),
        ("get", "/campaigns/{campaign}/people/"),
    ],
)
def test_people_belong_to_leads(
    alice: Any, mia: Any, campaign: Any, method: str, path: str
) -> None:
    path = path.format(campaign=campaign.pk)
    for user in (alice, mia):
        call = getattr(logged_in(user), method)
        assert (
            call(
                path, **({} if method == "get" else {"content_type": "application/json"})
            ).status_code
            == 403
        )


@pytest.mark.parametrize(
    "body",
    [
        {"max_uses": "2"},
        {"days": True},
        {"role": 5},
        {"campaign": "pairs"},
        {"note": None},
    ],
)
def test_a_body_of_the_wrong_kind_is_told(lee: Any, campaign: Any, body: dict[str, Any]) -> None:
    assert post(logged_in(lee), "/api/invitations", **body).status_code == 400
    assert not Invitation.objects.exists()


def test_the_lead_s_page_does_the_same(lee: Any, alice: Any, campaign: Any) -> None:
    lead, path = logged_in(lee), f"/campaigns/{campaign.pk}/people/"
    invited = lead.post(path, {"act": "invite", "role": "annotator", "max_uses": "3", "days": "2"})
    assert "http://testserver/invitation/" in invited.content.decode()
    assert "/invitation/" not in lead.get(path).content.decode()
    bad = lead.post(path, {"act": "bulk", "csv": "username\na b\nalice"})
    assert bad.status_code == 422
    assert bad.content.decode().count("<li>Line") == 2
    assert "a b" in bad.content.decode()
    good = lead.post(path, {"act": "bulk", "csv": "username\ndora"}).content.decode()
    assert "dora,http://testserver/accounts/reset/" in good
    assert lead.post(path, {"act": "add", "usernames": "alice, dora"}).status_code == 200
    assert campaign.members.count() == 2
    assert lead.post(path, {"act": "deactivate", "user": str(alice.pk)}).status_code == 200
    assert not User.objects.get(pk=alice.pk).is_active
    assert lead.post(path, {"act": "fly"}).status_code == 400
    assert lead.get("/people/").status_code == 200


def test_every_act_of_the_page_needs_a_token(lee: Any, campaign: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(lee)
    act = {"act": "invite", "max_uses": "1", "days": "1"}
    assert strict.post(f"/campaigns/{campaign.pk}/people/", act).status_code == 403
    assert strict.post("/api/invitations", {}, content_type="application/json").status_code == 403
