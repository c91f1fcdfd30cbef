"""A lead looks after quality in the browser: adjudicates by keyboard, reads the pages around it."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e


def vote(user: Any, campaign: Any, word: str) -> None:
    """Votes of one person on all pairs: `word` on VQ, A on the rest; canonical labels."""
    from annotation.assigning import claim
    from annotation.models import ProbeLease, Triplet
    from annotation.offers import Assignment
    from annotation.voting import Answer, Ballot, cast_vote

    tab = uuid.uuid4()
    while isinstance(given := claim(campaign, user, tab), Assignment):
        assert not ProbeLease.objects.filter(pk=given.token).exists()
        triplet = Triplet.objects.get(leases__token=given.token)
        swap = given.left.pk == triplet.video_b_id
        side = {"A": "right", "B": "left"} if swap else {"A": "left", "B": "right"}
        a = Answer(side["A"])
        answers = {"VQ": Answer(side.get(word, word)), "MQ": a, "TA": a}
        cast_vote(given.token, user, Ballot(str(given.left.pk), str(given.right.pk), answers))


@pytest.fixture
def split(make_campaign: Callable, alice: Any, bob: Any) -> Any:
    """Three pairs on which alice says A and bob says B."""
    campaign = make_campaign(3, votes_wanted=2, gold_share=0, repeat_share=0)
    vote(alice, campaign, "A")
    vote(bob, campaign, "B")
    return campaign


def wait_for_pair(page: Page, *, other_than: str = "") -> str:
    expect(page.locator("#prompt")).not_to_have_text(other_than)
    expect(page.locator("#ballot:not(.is-locked) .ballot-row").first).to_be_visible()
    return page.locator("#prompt").inner_text()


def press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def test_an_adjudicator_settles_by_keyboard_what_people_split_on(
    at_browser: Callable, lee: Any, split: Any, no_barriers: Callable
) -> None:
    from annotation.models import Adjudication, Consensus

    page = at_browser(lee)
    page.goto(f"/campaigns/{split.pk}/quality/")
    expect(page.locator('[data-figure="cases"]')).to_have_text("3")
    no_barriers(page)
    page.get_by_role("link", name="Adjudicate").first.click()

    first = wait_for_pair(page)
    expect(page.locator("#why")).to_have_text("people split")
    expect(page.locator("#waiting")).to_have_text("3 waiting")
    expect(page.locator("#verdict")).to_be_hidden()
    assert "alice" not in page.locator("#annotate").inner_text()
    no_barriers(page)

    # "same" on all three rows; Enter asks for the reason first.
    press(page, "w s x Enter")
    expect(page.locator("#reason")).to_be_focused()
    page.locator("#reason").select_option("guideline")
    page.locator("#note").fill("both are blurred")
    page.locator("#submit").click()

    expect(page.locator("#verdict")).to_be_visible()
    vq = page.locator('#verdict-rows tr[data-dimension="VQ"]')
    expect(vq).to_have_class("is-settled")
    expect(vq.locator("td")).to_have_text(["1", "0", "1", "0", "Same"])
    expect(page.locator('#verdict-rows tr[data-dimension="MQ"]')).not_to_have_class("is-settled")
    no_barriers(page)
    ruling = Adjudication.objects.get()
    assert ruling.labels == {"VQ": "tie", "MQ": "tie", "TA": "tie"}
    assert (ruling.reason, ruling.note) == ("guideline", "both are blurred")
    settled = Consensus.objects.filter(triplet=ruling.triplet, source="adjudication")
    assert [(each.dimension.key, each.label) for each in settled] == [("VQ", "tie")]

    page.keyboard.press("Enter")
    second = wait_for_pair(page, other_than=first)
    expect(page.locator("#waiting")).to_have_text("2 waiting")
    page.keyboard.press("t")  # not now: the other one comes, then this one again
    third = wait_for_pair(page, other_than=second)
    assert {first, second, third} == {
        f"Square number {number} moves to the right." for number in range(3)
    }
    for _ in range(2):
        shown = wait_for_pair(page)
        press(page, "q a z")
        page.locator("#reason").select_option("close")
        page.locator("#submit").click()
        expect(page.locator("#verdict")).to_be_visible()
        page.locator("#submit").click()
        expect(page.locator("#verdict")).to_be_hidden()
        if Adjudication.objects.count() < 3:
            wait_for_pair(page, other_than=shown)
    expect(page.locator("#message-title")).to_have_text("Nothing to settle")
    assert not Consensus.objects.filter(label__isnull=True).exists()


def test_the_pages_of_quality_have_no_barriers(
    at_browser: Callable, lee: Any, alice: Any, make_campaign: Callable, bob: Any,
    no_barriers: Callable,
) -> None:  # fmt: skip
    from annotation.assigning import claim
    from annotation.models import Flag, Probe, Video
    from annotation.quality import flags

    campaign = make_campaign(3, votes_wanted=2, gold_share=0, repeat_share=0)
    given = claim(campaign, alice, uuid.uuid4())
    report = flags.Report("disturbing", "left", "not for people")
    flags.raise_flag(given.token, alice, report)
    vote(alice, campaign, "A")
    vote(bob, campaign, "A")

    page = at_browser(lee)
    page.goto(f"/campaigns/{campaign.pk}/quality/flags/")
    expect(page.get_by_text("not for people")).to_be_visible()
    no_barriers(page)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("are back")).to_be_visible()
    assert not Video.objects.filter(withdrawn=True).exists()
    assert Flag.objects.get().settled_by == lee

    page.goto(f"/campaigns/{campaign.pk}/quality/gold/")
    expect(page.locator(".candidate")).to_have_count(2)
    no_barriers(page)
    page.locator(".candidate input").first.check()
    page.get_by_role("button", name="Make gold").click()
    expect(page.locator("[data-question]")).to_have_count(1)
    no_barriers(page)
    assert Probe.objects.get().kind == "gold"

    page.goto(f"/campaigns/{campaign.pk}/quality/?person={alice.pk}#chosen")
    expect(page.locator("#chosen-name")).to_have_text("alice")
    no_barriers(page)

    own = at_browser(alice, viewport={"width": 390, "height": 844})
    own.goto(f"/campaigns/{campaign.pk}/me/")
    expect(own.get_by_role("heading", name="My figures")).to_be_visible()
    no_barriers(own)
