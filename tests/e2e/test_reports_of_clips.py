"""A clip that nobody should see, one that does not come, and one whose maker is known."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


def test_a_disturbing_clip_is_taken_from_everybody(
    at_browser: Callable, alice: Any, bob: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Flag, Lease, Video

    campaign = make_campaign(4, votes_wanted=2)
    page = at_browser(alice)
    stage = voting(page, campaign).open()
    first = stage.wait_for_pair()
    stage.press("k 3")
    page.locator("#flag-send").click()
    expect(page.locator("#notice")).to_contain_text("go on with this pair")
    assert stage.wait_for_pair() == first
    stage.expect_badge("saved")
    assert not Video.objects.filter(withdrawn=True).exists()

    stage.press("k 1")
    send = page.locator("#flag-send")
    expect(send).to_have_attribute("aria-disabled", "true")  # which of the two?
    page.locator("#flag").get_by_label("Clip B").check()
    page.get_by_label("Note, if you like").fill("blood")
    send.click()
    second = stage.wait_for_pair(other_than=first)
    stage.expect_badge("saved")
    lease = Lease.objects.get(triplet__prompt__text=first)
    right = lease.triplet.video_a if lease.swap else lease.triplet.video_b
    assert list(Video.objects.filter(withdrawn=True)) == [right]
    flag = Flag.objects.get(kind="disturbing")
    assert (flag.video, flag.note) == (right, "blood")

    other, seen = voting(at_browser(bob), campaign).open(), [""]
    for _ in range(3):
        seen.append(other.wait_for_pair(other_than=seen[-1]))
        other.press("q s c Enter")
    other.expect_message("No pair for you right now")
    assert second in seen
    assert first not in seen


def test_a_clip_that_does_not_come_is_reported_and_the_next_pair_follows(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Flag

    campaign = make_campaign(2, watch_gate=True)
    page = at_browser(alice)
    gone: list[str] = []

    def lose_the_first(route: Any) -> None:
        name = route.request.url.split("?")[0]
        if not gone:
            gone.append(name)
        if name == gone[0]:
            route.fulfill(status=404)
        else:
            route.continue_()

    page.route("**/v/*", lose_the_first)
    stage = voting(page, campaign).open()
    stage.wait_for_pair()
    expect(page.locator("#notice")).to_contain_text("It was reported")
    stage.expect_badge("saved")
    flag = Flag.objects.get()
    assert flag.kind == "broken"
    assert str(flag.video_id) in gone[0]


def test_where_no_clip_comes_at_all_the_clips_are_not_blamed(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Flag, Judgement

    page = at_browser(alice)
    page.route("**/v/*", lambda route: route.fulfill(status=503))
    stage = voting(page, make_campaign(1, watch_gate=True)).open()
    stage.wait_for_pair()  # the gate is open, although nothing was shown
    expect(page.locator("#notice")).to_contain_text("could not be fetched")
    stage.press("r 1 f 1 v 1 Enter")
    stage.expect_badge("saved")
    stage.expect_message("No pair for you right now")
    assert set(Judgement.objects.values_list("reason", flat=True)) == {"broken"}
    assert not Flag.objects.exists()
