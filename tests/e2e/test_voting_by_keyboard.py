"""An annotator at the keyboard alone, from the log-in to the last pair."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.e2e

# Keys of the three rows, and what they say of the clip on the left.
ROWS = (
    ("q", "a", "z"),
    ("w", "s", "x"),
    ("e", "d", "c"),
)
WORDS = ("left", "tie", "right")


def test_an_annotator_votes_on_ten_triplets_by_keyboard_alone(
    page: Page, live_server: Any, alice: Any, password: str, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(10, watch_gate=True)
    page.set_default_timeout(20_000)
    page.goto(f"{live_server.url}/annotate/{campaign.pk}/")  # asks for the log-in first
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")

    stage, prompt, said = voting(page, campaign), "", {}
    for number in range(10):
        prompt = stage.wait_for_pair(other_than=prompt)
        choice = number % 3
        stage.press(" ".join(ROWS[choice]))
        said[prompt] = WORDS[choice]
        stage.press("Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")

    votes = Vote.objects.counted().filter(annotator=alice).prefetch_related("judgements")
    assert votes.count() == 10
    for vote in votes:
        side = {"left": "B", "right": "A"} if vote.swap else {"left": "A", "right": "B"}
        expected = side.get(said[vote.triplet.prompt.text], "tie")
        assert {each.label for each in vote.judgements.all()} == {expected}
        assert vote.active_ms is not None
        assert vote.timing["inputs"] == ["key"]
        # The watch gate held: nearly all frames were shown, or, where a busy machine dropped some,
        # the pair was played through once without a jump.
        seen = vote.timing["coverage"]["left"] >= 0.9
        assert seen or vote.timing["playback"]["loops"] >= 1
    campaign.refresh_from_db()
    assert campaign.triplets_done == 10


def test_a_vote_needs_every_row_and_an_invalid_one_its_reason(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Judgement, Vote

    campaign = make_campaign(1)
    stage = voting(at_browser(alice), campaign).open()
    stage.wait_for_pair()
    stage.press("q Enter")  # two rows are open: nothing is sent, the first open row is marked
    marked = stage.page.locator(".ballot-row.is-current")
    expect(marked).to_have_attribute("data-dimension", "MQ")
    stage.press("s v")
    expect(stage.page.get_by_text("Invalid: why?").last).to_be_visible()
    expect(stage.page.locator("#submit")).to_have_attribute("aria-disabled", "true")
    stage.press("4")
    expect(stage.page.locator("#submit")).to_have_attribute("aria-disabled", "false")
    assert not Vote.objects.exists()
    stage.press("Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    invalid = Judgement.objects.get(dimension__key="TA")
    assert (invalid.label, invalid.reason) == ("invalid", "identical")


def test_the_last_vote_can_be_opened_again_and_changed(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Vote

    stage = voting(at_browser(alice), make_campaign(2)).open()
    first = stage.wait_for_pair()
    stage.press("w s x Enter")
    second = stage.wait_for_pair(other_than=first)
    stage.expect_badge("saved")
    stage.press("q Backspace")  # a half-filled ballot of the second pair must not be lost
    expect(stage.page.locator("#prompt")).to_have_text(first)
    expect(stage.page.locator("#submit")).to_contain_text("Change the vote")
    stage.press("f 1 Enter")
    expect(stage.page.locator("#prompt")).to_have_text(second)
    stage.expect_badge("saved")
    chosen = stage.page.locator('[data-dimension="VQ"] [data-label="left"]')
    expect(chosen).to_have_attribute("aria-checked", "true")

    vote = Vote.objects.live().get()
    assert vote.revision == 2
    labels = {each.dimension.key: each.label for each in vote.judgements.all()}
    assert labels == {"VQ": "tie", "MQ": "invalid", "TA": "tie"}


def test_a_skipped_pair_does_not_come_back(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Skip

    stage = voting(at_browser(alice), make_campaign(2)).open()
    first = stage.wait_for_pair()
    stage.press("t 1")
    second = stage.wait_for_pair(other_than=first)
    stage.press("q a z Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    skip = Skip.objects.get()
    assert (skip.triplet.prompt.text, skip.reason) == (first, "cannot_decide")
    assert first != second


def test_six_dimensions_are_voted_on_with_digits_and_scores(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Judgement

    campaign = make_campaign(1, dimensions="anime", per_video_scores=True)
    stage = voting(at_browser(alice), campaign).open()
    stage.wait_for_pair()
    stage.page.get_by_role("group", name="Score of clip A").first.get_by_text("5").click()
    stage.press("1 2 3 1 2 4 5 Enter")  # the sixth is invalid, for the fifth reason
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    rows = Judgement.objects.order_by("dimension__position").select_related("vote")
    side = ("B", "A") if rows[0].vote.swap else ("A", "B")
    labels = [row.label for row in rows]
    assert labels == [side[0], "tie", side[1], side[0], "tie", "invalid"]
    assert (rows[0].score_b if rows[0].vote.swap else rows[0].score_a) == 5


def test_voting_is_open_in_one_tab_and_another_can_take_over(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    campaign = make_campaign(3)
    page = at_browser(alice)
    first = voting(page, campaign).open()
    prompt = first.wait_for_pair()
    second = voting(page.context.new_page(), campaign).open()
    second.expect_message("Voting is open in another tab")
    second.page.keyboard.press("Enter")  # vote here instead
    assert second.wait_for_pair() == prompt  # the same pair, not another one held
    first.expect_message("Voting is open in another tab")
