"""An alignment run at a browser while it trains: curves, alarms, base beside a later step."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def look_of(run: Any, step: int, reward: float, make_clip: Callable[..., Any]) -> None:
    from formats.files import sha256_of
    from models_align.watching.looks import Look, WatchedClip
    from pipelines.adapters.watched import folder_of

    folder = folder_of(run) / "outputs" / "watched"
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    clips = []
    for prompt in range(2):
        for seed in (1, 2):
            clip = make_clip(10 * step + 2 * prompt + seed, frames=9)
            name = f"{step:08d}-{prompt:020x}{seed:04x}"
            (folder / "clips" / f"{name}.mp4").write_bytes(clip.read_bytes())
            clips.append(
                WatchedClip(
                    name, f"p{prompt}", f"square {prompt}", "validation", seed, sha256_of(clip),
                    8.0, 9, measures={"motion": 10.0 - step / 10},
                    scores={"reward": {"VQ": reward, "MQ": reward + prompt}},
                )
            )  # fmt: skip
    Look(step, tuple(clips), {"p0": 3.0, "p1": 4.0}).write(folder)


@pytest.fixture
def training(transactional_db: None, mia: Any, make_clip: Callable[..., Any]) -> Any:
    from pipelines.models import Metric, Run

    run = Run.objects.create(
        kind="alignment", name="Flow-DPO", config={"steps": 20, "method": "flow_dpo"},
        config_sha="x", queue="gpu", step=10, total=20, created_by=mia,
    )  # fmt: skip
    run.inputs.create(role="watch_prompts", file="given/prompts.jsonl", sha256="y")
    names = ("loss", "z_mean", "z_max", "implicit_accuracy", "winner_drift", "loser_drift",
             "grad_norm", "other")  # fmt: skip
    for step in range(1, 11):
        for number, name in enumerate(names):
            Metric.objects.create(run=run, name=name, step=step, value=step * 0.1 + number, fence=0)
    look_of(run, 0, 0.0, make_clip)
    look_of(run, 5, 0.25, make_clip)
    return run


def test_the_page_follows_the_run_and_shows_base_beside_current(
    training: Any, mia: Any, at_browser: Callable[..., Any], make_clip: Callable[..., Any]
) -> None:
    from playwright.sync_api import expect

    from formats.files import write_json
    from pipelines.adapters.watched import folder_of

    page = at_browser(mia)
    page.goto(f"/runs/{training.pk}/")
    expect(page.locator("[data-training-charts] figure:visible")).to_have_count(5)
    # What the panel draws is not drawn once more below; what it does not know is.
    expect(page.locator("[data-curves] figure")).to_have_count(1)
    expect(page.locator("[data-quality-charts] figcaption").first).to_contain_text("Training judge")
    expect(page.locator("[data-quality-charts] figcaption").first).to_contain_text("0.25")
    expect(page.locator("[data-look-shown]")).to_have_text("5")
    pair = page.locator(".watched-pair").first
    pair.scroll_into_view_if_needed()
    expect(pair).to_contain_text("square 0 · seed 1")
    expect(pair.locator(".number")).to_have_text("Training judge +0.25")
    base, now = pair.locator("video").nth(0), pair.locator("video").nth(1)
    expect(now).to_have_js_property("paused", value=False)

    # A further look comes while the page is open, and the newest one is followed.
    look_of(training, 10, 0.5, make_clip)
    row = {"name": "motion", "step": 10, "good": 5, "sentence": "clips move less",
           "advice": "Take fewer steps.", "stopped": False}  # fmt: skip
    write_json(folder_of(training) / "alarms.json", "alarms/1", {"alarms": [row]})
    expect(page.locator("[data-look-shown]")).to_have_text("10")
    expect(page.locator("[data-alarms]")).to_contain_text(
        "Loss of motion, step 10: clips move less."
    )
    expect(page.locator("[data-alarms]")).to_contain_text("Take fewer steps.")
    assert "/watched/10/0?" in now.get_attribute("src")
    assert "/watched/0/0?" in base.get_attribute("src")

    # Back to an earlier step by keyboard; what comes later is not followed any more.
    page.locator("[data-look]").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-look-shown]")).to_have_text("5")
    expect(page.locator("[data-look-follow]")).not_to_be_checked()
    page.locator("[data-look-seed]").select_option("")
    expect(page.locator(".watched-pair")).to_have_count(4)
    page.locator("[data-look-play]").click()
    expect(now).to_have_js_property("paused", value=True)


def test_a_phone_shows_it_without_scrolling_sideways(
    training: Any, mia: Any, at_browser: Callable[..., Any]
) -> None:
    from playwright.sync_api import expect

    page = at_browser(mia, viewport={"width": 390, "height": 844})
    page.goto(f"/runs/{training.pk}/")
    expect(page.locator(".watched-pair").first).to_be_attached()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
