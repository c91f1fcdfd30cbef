"""What a person did is never lost and never counted twice."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.promise("V9")]
# RELIABILITY V9 wants two minutes, which outlast every retry; `make test-faults-full` takes them.
OFFLINE_MS = 120_000 if os.environ.get("TIEBREAK_FAULTS") == "full" else 0


def test_a_vote_made_offline_survives_the_page_and_is_sent_exactly_once(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(3)
    page = at_browser(alice)
    context = page.context
    fetched: list[str] = []
    page.on("requestfinished", lambda each: fetched.append(each.url) if "/v/" in each.url else None)
    stage = voting(page, campaign).open()
    prompt = stage.wait_for_pair()
    until(page, lambda: len(fetched) == 6)  # three pairs: two of them ahead
    context.set_offline(True)
    stage.press("q a z Enter")
    stage.expect_badge("1 waiting")
    stage.wait_for_pair(other_than=prompt)  # voting goes on with what was fetched ahead
    page.wait_for_timeout(OFFLINE_MS)
    stage.expect_badge("1 waiting")
    page.close()
    context.set_offline(False)
    assert not Vote.objects.exists()

    sent: list[str] = []
    again = context.new_page()
    again.on("request", lambda each: sent.append(each.url) if each.method == "POST" else None)
    stage = voting(again, campaign).open()
    stage.expect_badge("saved")
    stage.wait_for_pair()
    again.reload()
    stage.wait_for_pair()
    assert Vote.objects.get().triplet.prompt.text == prompt
    assert len([url for url in sent if url.endswith("/api/votes")]) == 1


def test_an_answer_lost_after_the_commit_does_not_make_a_second_vote(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(2)
    page = at_browser(alice)
    answers: list[int] = []

    def lose_the_first(route: Any) -> None:
        answer = route.fetch()
        answers.append(answer.status)
        if len(answers) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route("**/api/votes", lose_the_first)
    stage = voting(page, campaign).open()
    stage.wait_for_pair()
    stage.press("e d c Enter")
    stage.expect_badge("waiting")
    stage.expect_badge("saved")
    assert answers == [200, 200]
    assert Vote.objects.count() == 1


def test_an_ended_log_in_keeps_the_vote_until_the_person_is_back(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, password: str
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(2)
    page = at_browser(alice)
    stage = voting(page, campaign).open()
    stage.wait_for_pair()
    page.context.clear_cookies()
    stage.press("q a z Enter")
    stage.expect_badge("log in")
    expect(page.locator("#notice")).to_contain_text("your votes are kept")
    assert not Vote.objects.exists()
    page.locator("#notice").get_by_role("button", name="Log in").click()
    page.fill("[name=username]", "alice")
    page.fill("[name=password]", password)
    page.keyboard.press("Enter")
    stage.wait_for_pair()
    stage.expect_badge("saved")
    assert Vote.objects.get().annotator == alice


def test_a_refused_vote_is_shown_and_kept(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    campaign = make_campaign(6)
    page = at_browser(alice)
    refusal = '{"error": "The vote names other clips.", "code": "bad_vote"}'
    page.route(
        "**/api/votes",
        lambda route: route.fulfill(status=422, content_type="application/json", body=refusal),
    )
    stage = voting(page, campaign).open()
    stage.wait_for_pair()
    stage.press("q a z Enter")
    stage.expect_badge("1 problem")
    expect(page.locator("#notice")).to_contain_text("The vote names other clips.")
    page.unroute("**/api/votes")
    page.reload()
    stage.wait_for_pair()
    stage.expect_badge("1 problem")  # it is still there, and is sent again when the person says so
    page.click("#sync")
    page.get_by_role("button", name="Send again now").click()
    stage.expect_badge("saved")


def test_another_person_at_the_same_browser_neither_sends_nor_loses_a_vote(
    at_browser: Callable, alice: Any, bob: Any, make_campaign: Callable, voting: type, password: str
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(8)
    page = at_browser(alice)
    stage = voting(page, campaign).open()
    prompt = stage.wait_for_pair()

    def log_in(name: str) -> None:
        page.fill("[name=username]", name)
        page.fill("[name=password]", password)
        page.keyboard.press("Enter")

    page.context.clear_cookies()  # the session ends while a vote is being sent
    stage.press("q a z Enter")
    stage.expect_badge("log in")
    page.locator("#notice").get_by_role("button", name="Log in").click()
    log_in("bob")
    stage.wait_for_pair()
    stage.expect_badge("saved")  # bob has nothing to send
    assert not Vote.objects.exists()
    page.context.clear_cookies()
    stage.open()
    log_in("alice")
    stage.wait_for_pair()
    stage.expect_badge("saved")
    vote = Vote.objects.get()
    assert (vote.annotator, vote.triplet.prompt.text) == (alice, prompt)


def test_a_switched_account_in_another_tab_is_refused_and_the_vote_kept(
    at_browser: Callable,
    alice: Any,
    bob: Any,
    make_campaign: Callable,
    voting: type,
    until: Callable,
) -> None:
    from django.conf import settings
    from django.test import Client

    from annotation.models import Vote

    page = at_browser(alice)
    stage = voting(page, make_campaign(3)).open()
    stage.wait_for_pair()
    answers: list[int] = []
    page.on(
        "response",
        lambda each: answers.append(each.status) if each.url.endswith("/api/votes") else None,
    )
    client = Client()
    client.force_login(bob)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    url = page.url.split("/annotate")[0]
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])
    stage.press("q a z Enter")
    stage.expect_badge("1 problem")
    assert answers == [403]
    assert not Vote.objects.exists()
    page.click("#sync")
    expect(page.locator("#outbox-list li")).to_have_count(1)


def test_a_reload_shows_the_same_pair_and_what_was_chosen_on_it(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    stage = voting(at_browser(alice), make_campaign(6)).open()
    prompt = stage.wait_for_pair()
    stage.press("w d")
    stage.page.reload()
    assert stage.wait_for_pair() == prompt
    for dimension, label in (("VQ", "tie"), ("MQ", "right")):
        chosen = stage.page.locator(f'[data-dimension="{dimension}"] [data-label="{label}"]')
        expect(chosen).to_have_attribute("aria-checked", "true")
    expect(stage.page.locator("#submit")).to_contain_text("2 of 3 answered")


def test_leaving_gives_untouched_pairs_back_to_the_others(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    from annotation.models import Slot

    page = at_browser(alice)
    stage = voting(page, make_campaign(6)).open()
    stage.wait_for_pair()
    leased = Slot.objects.filter(state="leased")
    until(page, lambda: leased.count() == 3)  # one shown, two fetched ahead
    page.goto("/")
    until(page, lambda: leased.count() == 0)
