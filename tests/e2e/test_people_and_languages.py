"""From a lead's link to the first vote of somebody new, in their language; no barrier there."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


def test_a_lead_invites_and_a_newcomer_votes_in_japanese(
    at_browser: Callable,
    browser: Any,
    live_server: Any,
    lee: Any,
    make_campaign: Callable,
    voting: type,
    until: Callable,
) -> None:
    from django.contrib.auth.models import User

    from annotation.models import Vote

    campaign = make_campaign(2, consent="あなたの投票は公開されます。")
    desk = at_browser(lee)
    desk.goto(f"/campaigns/{campaign.pk}/people/")
    desk.get_by_role("button", name="Make a link").click()
    link = desk.get_by_label("Invitation link").input_value()

    context = browser.new_context(locale="ja-JP", base_url=live_server.url)
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("動画の比較に招待されています")
    page.get_by_label("ユーザー名").fill("花子")
    page.get_by_label("パスワード", exact=True).fill("静かな道具で見比べる")
    page.get_by_role("button", name="アカウントを作る").click()
    expect(page.get_by_text("あなたの投票は公開されます。")).to_be_visible()
    page.get_by_label("読んだうえで同意します。").check()
    page.get_by_role("button", name="同意して進む").click()
    stage = voting(page, campaign)
    stage.wait_for_pair()
    expect(page.locator("#ballot")).to_contain_text("画質")
    expect(page.locator("#ballot")).to_contain_text("A が良い")
    stage.press("q s c Enter")
    until(page, Vote.objects.exists)
    assert Vote.objects.get().annotator == User.objects.get(username="花子")
    context.close()


def test_a_person_reads_everything_in_the_chosen_language(
    at_browser: Callable, alice: Any, make_campaign: Callable
) -> None:
    make_campaign(1)
    page = at_browser(alice)
    page.goto("/")
    page.locator(".language summary").click()
    page.get_by_role("button", name="한국어").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("지금 할 수 있는 일")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.get_by_role("link", name="가이드라인").click()
    expect(page.get_by_role("heading", name="화질")).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 390, "ja")]
)
def test_nothing_is_in_the_way_on_the_pages_of_people(
    at_browser: Callable,
    alice: Any,
    lee: Any,
    make_campaign: Callable,
    no_barriers: Callable,
    scheme: str,
    width: int,
    language: str,
) -> None:
    """And no page is wider than its screen."""
    from annotation.accounts import invitations

    campaign = make_campaign(1)
    joining = f"/invitation/{invitations.invite(lee, campaign).token}/"
    root = f"/campaigns/{campaign.pk}"
    screen = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    visits = {
        alice: ["/", "/account/", f"{root}/guideline/", "/accounts/password_change/", joining],
        lee: ["/people/", f"{root}/people/", f"{root}/pay/", f"{root}/guideline/?language=ja"],
        None: ["/accounts/login/", "/accounts/password_reset/", joining],
    }
    for user, paths in visits.items():
        page = at_browser(user or alice, **screen, locale=language)
        if user is None:
            page.context.clear_cookies()
        for path in paths:
            page.goto(path)
            no_barriers(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
