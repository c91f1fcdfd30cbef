"""Two clips of unequal rate and length play in step, and step to frames of the same moment."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.e2e, pytest.mark.playback]

# Both media clocks, read in the same moment of every drawn frame, while both play.
MEASURE = """
(seconds) => new Promise((resolve) => {
  const [a, b] = document.querySelectorAll("video");
  const drifts = [];
  const start = performance.now();
  const look = () => {
    const playing = ![a, b].some((each) => each.paused || each.ended || each.seeking);
    if (playing) drifts.push(1000 * Math.abs(a.currentTime - b.currentTime));
    if (performance.now() - start < 1000 * seconds) requestAnimationFrame(look);
    else resolve(drifts);
  };
  look();
})
"""
MEANS = """
() => [...document.querySelectorAll("video")].map((video) => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 16, height: 16});
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 16, 16);
  const pixels = context.getImageData(0, 0, 16, 16).data;
  return {
    mean: pixels.reduce((sum, each) => sum + each, 0) / pixels.length,
    time: video.currentTime, width: video.videoWidth, ready: video.readyState,
  };
})
"""


def p95(samples: list[float]) -> float:
    return sorted(samples)[int(0.95 * len(samples))]


def test_clips_of_unequal_rate_and_length_stay_in_step(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    clips = ({"frames": 36, "fps": 24}, {"frames": 20, "fps": 16})
    stage = voting(at_browser(alice), make_campaign(1, clips=clips)).open()
    stage.wait_for_pair()
    drifts = stage.page.evaluate(MEASURE, 6)  # about three loops
    assert len(drifts) > 50
    assert p95(drifts) <= 80  # ms; 50 is the promise, CI machines are slow
    assert stage.page.evaluate(MEASURE, 0.5), "the pair plays in a loop"


def test_a_pause_and_steps_leave_no_drift(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    clips = ({"frames": 24, "fps": 24}, {"frames": 16, "fps": 16})
    stage = voting(at_browser(alice), make_campaign(1, clips=clips)).open()
    stage.wait_for_pair()
    toggle = stage.page.locator("#toggle")
    expect(toggle).to_have_attribute("aria-label", "Pause")  # they play by themselves
    stage.page.wait_for_timeout(300)
    stage.press("Space")
    expect(toggle).to_have_attribute("aria-label", "Play")
    for key, by in (("Period", 1), ("Period", 1), ("Comma", -1), ("Shift+Period", 10)):
        before, _ = _frames_on_screen(stage.page)
        stage.press(key)
        stage.page.wait_for_timeout(300)
        fine, coarse = _frames_on_screen(stage.page)
        assert fine == min(23, before + by)  # steps are frames of the finer clip
        assert coarse == int((fine + 0.5) / 24 * 16)  # the frame that covers the same moment


def _frames_on_screen(page: Any) -> tuple[int, int]:
    """Of the clip with 24 and the one with 16 frames a second; both stand in a frame's middle."""
    from annotation.models import Lease

    times = page.evaluate("() => [...document.querySelectorAll('video')].map((v) => v.currentTime)")
    fine, coarse = reversed(times) if Lease.objects.get().swap else times
    for time, fps in ((fine, 24), (coarse, 16)):
        assert (time * fps) % 1 == pytest.approx(0.5, abs=0.05)
    return int(fine * 24), int(coarse * 16)


def test_a_tiny_clip_is_scaled_up_without_blur_in_equal_boxes(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    stage = voting(at_browser(alice), make_campaign(1)).open()
    stage.wait_for_pair()
    video = stage.page.locator("video").first
    expect(video).to_have_css("image-rendering", "pixelated")
    boxes = [each.bounding_box() for each in stage.page.locator(".screen").all()]
    assert boxes[0]["width"] == pytest.approx(boxes[1]["width"], abs=1)
    assert boxes[0]["height"] == pytest.approx(boxes[1]["height"], abs=1)
    assert boxes[0]["height"] > 200


def test_nothing_plays_by_itself_for_people_who_want_less_motion(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    campaign = make_campaign(1, watch_gate=True)
    page = at_browser(alice, reduced_motion="reduce")
    stage = voting(page, campaign).open()
    expect(page.locator("#gate")).to_contain_text("Press Space to play")
    page.wait_for_timeout(500)
    assert page.evaluate("() => [...document.querySelectorAll('video')].every((v) => v.paused)")
    stage.press("Space")
    stage.wait_for_pair()  # shown once: the gate opens


def test_on_a_phone_a_stands_above_b_and_everything_is_in_reach(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    page = at_browser(alice, viewport={"width": 390, "height": 844}, has_touch=True)
    stage = voting(page, make_campaign(1)).open()
    stage.wait_for_pair()
    a, b = (each.bounding_box() for each in page.locator(".screen").all())
    assert a["y"] + a["height"] <= b["y"] + 1
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    for row in page.locator(".ballot-row").all():
        button = row.locator('[data-label="left"]')
        button.scroll_into_view_if_needed()
        assert button.bounding_box()["height"] >= 44
        button.tap()
    page.locator("#submit").tap()
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")


@pytest.mark.shared
def test_the_real_clips_play(
    page: Page, at_browser: Callable, alice: Any, transactional_db: None, shared: Path, voting: type
) -> None:
    from annotation.campaigns import ensure_built_in_sets
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_video
    from annotation.models import Prompt

    campaign = _campaign_of_real_clips(
        shared / "data" / "videoalign", ensure_built_in_sets, create_triplets, store_video, Prompt
    )
    stage, prompt = voting(at_browser(alice), campaign).open(), ""
    for _ in range(3):
        prompt = stage.wait_for_pair(other_than=prompt)
        drifts = stage.page.evaluate(MEASURE, 1.5)
        for side in stage.page.evaluate(MEANS):
            assert side["ready"] >= 2
            assert side["time"] > 0
            assert side["width"] >= 200
            assert side["mean"] > 64.5  # a black picture has 63.75: its alpha channel alone
        assert drifts
        assert p95(drifts) <= 80
        stage.press("q s c Enter")
    stage.expect_message("No pair for you right now")


def _campaign_of_real_clips(
    folder: Path, ensure: Callable, create_triplets: Callable, store: Callable, prompts: Any
) -> Any:
    from annotation.campaigns import create_campaign, open_campaign

    ensure()
    campaign = create_campaign("Real clips", "videoalign", votes_wanted=1, watch_gate=False)
    with (folder / "example.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:3]
    pairs = []
    for row in rows:
        prompt = prompts.objects.for_text(row["prompt"])
        clips = [store(folder / row[name], prompt=prompt) for name in ("path_A", "path_B")]
        pairs.append((prompt, *clips))
    create_triplets(campaign, pairs)
    open_campaign(campaign)
    return campaign
