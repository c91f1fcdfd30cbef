"""Who sees which page, and what the frame shows to whom."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client


def page_for(user: Any, path: str) -> Any:
    client = Client()
    client.force_login(user)
    return client.get(path)


def nav_of(html: str) -> list[str]:
    nav = html[html.index("<nav") : html.index("</nav>")]
    return [text.strip() for text in re.findall(r">([^<>]+)</a>", nav)]


def test_home_offers_annotators_their_open_campaigns(alice: Any, make_campaign: Callable) -> None:
    campaign = make_campaign(2, name="Squares")
    answer = page_for(alice, "/")
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f'href="/annotate/{campaign.pk}/"' in html
    assert f'href="/campaigns/{campaign.pk}/"' not in html
    assert nav_of(html) == ["Vote"]


def test_a_paused_campaign_is_not_offered(alice: Any, make_campaign: Callable) -> None:
    from annotation.campaigns import pause_campaign

    campaign = make_campaign(2)
    pause_campaign(campaign)
    assert "No campaign is open to you" in page_for(alice, "/").content.decode()


def test_home_leads_the_lead_to_the_dashboards(lee: Any, make_campaign: Callable) -> None:
    campaign = make_campaign(2)
    html = page_for(lee, "/").content.decode()
    assert f'href="/campaigns/{campaign.pk}/"' in html
    assert nav_of(html) == ["Campaigns", "Runs", "Loop", "Admin"]


def test_home_leads_the_engineer_to_all_that_trains_and_proves(mia: Any) -> None:
    html = page_for(mia, "/").content.decode()
    for page in ("loop", "runs", "suites", "comparisons", "retests", "exports"):
        assert f'href="/{page}/"' in html
    assert "/admin/pipelines/run/add/" in html


def test_home_tells_a_person_without_a_role_what_to_do(charlie: Any) -> None:
    assert "no role yet" in page_for(charlie, "/").content.decode()


@pytest.mark.parametrize("path", ["/", "/campaigns/", "/annotate/1/", "/campaigns/1/"])
def test_nobody_sees_a_page_without_a_log_in(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


def test_annotators_see_no_figures(alice: Any, make_campaign: Callable) -> None:
    campaign = make_campaign(1)
    for path in (
        "/campaigns/",
        f"/campaigns/{campaign.pk}/",
        f"/campaigns/{campaign.pk}/export.csv",
    ):
        answer = page_for(alice, path)
        assert answer.status_code == 403
        assert "Your account may not open this page" in answer.content.decode()


def test_a_lead_without_the_role_of_an_annotator_does_not_vote(
    lee: Any, make_campaign: Callable
) -> None:
    answer = page_for(lee, f"/annotate/{make_campaign(1).pk}/")
    assert answer.status_code == 403
    assert "Voting needs the role of an annotator." in answer.content.decode()


def test_a_campaign_for_members_does_not_exist_for_others(
    alice: Any, bob: Any, make_campaign: Callable
) -> None:
    campaign = make_campaign(1)
    type(campaign).objects.filter(pk=campaign.pk).update(open_to_all=False)
    campaign.members.add(alice)
    assert page_for(alice, f"/annotate/{campaign.pk}/").status_code == 200
    answer = page_for(bob, f"/annotate/{campaign.pk}/")
    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


def test_the_voting_page_says_nothing_of_what_it_will_show(
    alice: Any, make_campaign: Callable
) -> None:
    html = page_for(alice, f"/annotate/{make_campaign(1).pk}/").content.decode()
    assert "generator-secret" not in html
    assert "data-campaign=" in html
    # The reasons of the page are those of the API.
    from formats.labels import InvalidReason

    reasons = [reason.value for reason in InvalidReason]
    found = re.findall(r'data-reason="(\w+)"', html)
    assert found == reasons * 2  # in the row of a pair and in that of a single clip


def test_no_page_has_inline_scripts_or_styles(
    alice: Any, lee: Any, make_campaign: Callable
) -> None:
    campaign = make_campaign(1)
    pages = [
        page_for(alice, "/"),
        page_for(alice, f"/annotate/{campaign.pk}/"),
        page_for(lee, "/campaigns/"),
        page_for(lee, f"/campaigns/{campaign.pk}/"),
        Client().get("/accounts/login/"),
    ]
    for answer in pages:
        html = answer.content.decode()
        assert answer.status_code == 200
        assert not re.search(r"<script(?![^>]*\bsrc=)", html)
        assert not re.search(r"\sstyle=|<style|\son\w+=", html)
        assert "script-src 'self'" in answer["Content-Security-Policy"]


def test_demo_accounts_are_named_in_the_demo_alone(db: None, settings: Any) -> None:
    settings.TIEBREAK_DEMO = False
    assert "Demo accounts" not in Client().get("/accounts/login/").content.decode()
    settings.TIEBREAK_DEMO = True
    assert "Demo accounts" in Client().get("/accounts/login/").content.decode()


def test_a_wrong_password_is_answered_with_a_sentence(alice: Any) -> None:
    answer = Client().post("/accounts/login/", {"username": "alice", "password": "wrong"})
    assert "Please enter a correct username and password" in answer.content.decode()
