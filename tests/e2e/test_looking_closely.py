"""What a person does to see the difference: pixels, frames, one side alone; and its record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

BOXES = """() => [...document.querySelectorAll('.screen video')].map((video) => {
  const [own, pane] = [video, video.parentElement].map((each) => each.getBoundingClientRect());
  return { x: own.x - pane.x, y: own.y - pane.y, width: own.width };
})"""
PLAYED = "() => [...document.querySelectorAll('video[id]')].every((each) => each.played.length)"
FRAMES = "() => [...document.querySelectorAll('video[id]')].map((each) => each.currentTime)"


# What a <video> is given waits until the page is told to let it come.
LATE = """(() => {
  const { prototype } = HTMLMediaElement;
  const src = Object.getOwnPropertyDescriptor(prototype, 'src');
  const told = new Promise((come) => { window.letThemCome = come; });
  const set = async function (url) { await told; src.set.call(this, url); };
  Object.defineProperty(prototype, 'src', { ...src, set });
})()"""


def sizes(page: Any) -> list[float]:
    return sorted(box["width"] for box in page.evaluate(BOXES))


def moved(before: list[dict[str, float]], after: list[dict[str, float]]) -> list[float]:
    return [now["x"] - then["x"] for then, now in zip(before, after, strict=True)]


def test_both_clips_are_magnified_and_moved_together(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    clips = ({"size": 1536}, {"size": 768})
    page = at_browser(alice)
    stage = voting(page, make_campaign(1, clips=clips)).open()
    stage.wait_for_pair()
    stage.press("p")
    until(page, lambda: sizes(page) == [768, 1536])
    fitted = page.evaluate(BOXES)
    stage.press("ArrowRight ArrowRight ArrowDown")
    after = page.evaluate(BOXES)
    shifts = moved(fitted, after)
    assert all(shift < 0 for shift in shifts)
    # One share of each picture stands in the middle: the larger moves twice as far.
    assert max(shifts) == pytest.approx(min(shifts) / 2, abs=1)
    screen = page.locator(".screen").last.bounding_box()
    page.mouse.move(screen["x"] + 100, screen["y"] + 80)
    page.mouse.down()
    page.mouse.move(screen["x"] + 160, screen["y"] + 80)
    page.mouse.up()
    assert all(shift > 0 for shift in moved(after, page.evaluate(BOXES)))
    page.mouse.wheel(0, 40)
    expect(page.locator('[data-command="zoom"]')).to_have_attribute("aria-pressed", "true")
    stage.press("Escape")
    expect(page.locator('[data-command="zoom"]')).to_have_attribute("aria-pressed", "false")


def test_clips_that_come_after_the_key_are_magnified_too(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    page = at_browser(alice)
    page.add_init_script(LATE)
    stage = voting(page, make_campaign(1, clips=({"size": 48}, {"size": 64}))).open()
    stage.wait_for_pair()  # nothing gates this vote, so keys work before the clips are there
    stage.press("p")
    page.evaluate("letThemCome()")
    # The smaller clip fills its pane with whole pixels, and the other has pixels of that size.
    until(page, lambda: sizes(page)[0] % 48 == 0 and sizes(page)[0] > 48)
    factor = sizes(page)[0] / 48
    assert sizes(page) == [48 * factor, 64 * factor]
    expect(page.locator("#zoom-factor")).to_have_text(f"{factor:.0f}:1")


def test_one_side_is_enlarged_while_its_key_is_held_and_stepped_alone(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    from annotation.models import Vote

    clips = ({"frames": 24, "fps": 24}, {"frames": 16, "fps": 16})
    page = at_browser(alice)
    stage = voting(page, make_campaign(1, clips=clips)).open()
    stage.wait_for_pair()
    # They play by themselves when both are ready; on a busy machine a key could come before.
    until(page, lambda: page.evaluate(PLAYED))
    page.keyboard.down("5")
    expect(page.locator(".pane-b")).to_be_hidden()
    page.keyboard.up("5")
    expect(page.locator(".pane-b")).to_be_visible()
    stage.press("Space , ,")  # back: on a busy machine both may stand at their end by now
    page.wait_for_timeout(200)
    before = page.evaluate(FRAMES)
    stage.press("0")  # B alone, one frame on
    page.wait_for_timeout(200)
    after = page.evaluate(FRAMES)
    assert after[0] == before[0]
    assert after[1] > before[1]
    stage.press("j m ] p p")  # stretched, with sound, faster, magnified and back
    expect(page.get_by_text("motion is not at its own speed")).to_be_visible()
    expect(page.locator('[data-command="mute"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#speed")).to_have_text("1.5×")
    page.locator("#timeline").evaluate(
        "(line) => { line.value = 0.5; line.dispatchEvent(new Event('input')); }"
    )
    stage.press("q s c Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    timing = Vote.objects.get().timing
    assert timing["stretched"] is True
    assert timing["pixels"] == 1
    assert timing["enlarged"] == {"left": 1, "right": 0}
    counts = timing["playback"]
    assert (counts["nudges"], counts["steps"], counts["seeks"]) == (1, 2, 1)
    assert (counts["speeds"], counts["stretches"]) == (1, 1)
    assert [each[1:] for each in timing["answers"]] == [
        ["VQ", None, "left"],
        ["MQ", None, "tie"],
        ["TA", None, "right"],
    ]
    times = [timing[key] for key in ("ready_ms", "first_play_ms", "submit_ms")]
    assert times == sorted(times)
    assert timing["assigned_before_ms"] >= 0
    assert timing["screen"]["width"] > 400


def test_clips_are_shown_alone_first_where_the_campaign_says_so(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Vote

    campaign = make_campaign(1, showing="one_by_one", watch_gate=True)
    stage = voting(at_browser(alice), campaign).open()
    waiting = stage.page.locator(".pane.is-waiting")
    expect(waiting).to_have_count(1)
    expect(stage.page.locator("#ballot")).to_have_class("ballot is-locked")
    stage.wait_for_pair()
    expect(waiting).to_have_count(0)
    stage.press("q s c Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    timing = Vote.objects.get().timing
    assert timing["shown_first"] in ("AB", "BA")
    assert min(timing["watches"].values()) >= 1


def test_a_clip_that_flashes_asks_first(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Video

    campaign = make_campaign(1, watch_gate=True)
    Video.objects.filter(pk=Video.objects.values("pk")[:1]).update(flashes=5)
    stage = voting(at_browser(alice), campaign).open()
    page = stage.page
    expect(page.locator("#veil-text")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("() => [...document.querySelectorAll('video')].every((v) => v.paused)")
    page.get_by_role("button", name="Show them").click()
    stage.wait_for_pair()
    expect(page.locator("#veil")).to_be_hidden()


def test_a_dimension_that_needs_a_large_picture_waits_for_the_pixels(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Dimension, Vote

    campaign = make_campaign(1)
    Dimension.objects.filter(dimension_set=campaign.dimension_set, key="VQ").update(min_width=640)
    page = at_browser(alice, viewport={"width": 390, "height": 844}, has_touch=True)
    stage = voting(page, campaign).open()
    stage.expect_message("This screen is too small for these clips")
    page.get_by_role("button", name="I will look pixel by pixel").tap()
    stage.wait_for_pair()
    row = page.locator('[data-dimension="VQ"].ballot-row')
    row.locator('[data-label="left"]').tap(force=True)  # disabled, for Playwright as for everybody
    expect(row).to_contain_text("needs clips at least 640 pixels wide")
    expect(row.locator('[data-label="left"]')).to_have_attribute("aria-checked", "false")
    page.locator('.transport [data-command="zoom"]').tap()
    row.locator('[data-label="left"]').tap()
    for key in ("MQ", "TA"):
        page.locator(f'[data-dimension="{key}"].ballot-row [data-label="tie"]').tap()
    page.locator("#submit").tap()
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    assert Vote.objects.get().timing["pixels"] == 1


def test_the_picture_that_the_clips_start_from_is_enlarged_by_a_key(
    at_browser: Callable,
    alice: Any,
    make_campaign: Callable,
    voting: type,
    tmp_path: Path,
    no_barriers: Callable,
) -> None:
    from annotation.media.keeping import store_reference_image
    from annotation.models import Prompt

    campaign = make_campaign(1)
    Image.new("RGB", (320, 180), "orange").save(tmp_path / "start.png")
    Prompt.objects.update(image=store_reference_image(tmp_path / "start.png"))
    page = at_browser(alice)
    stage = voting(page, campaign).open()
    stage.wait_for_pair()
    thumbnail = page.locator("#reference")
    assert thumbnail.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320
    assert thumbnail.bounding_box()["height"] == pytest.approx(64, abs=1)
    stage.press("i")
    expect(page.locator("#reference-picture")).to_be_visible()
    no_barriers(page)
    page.keyboard.press("Escape")
    expect(page.locator("#reference-large")).to_be_hidden()
