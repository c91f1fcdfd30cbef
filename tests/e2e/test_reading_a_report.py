"""A report in the browser: pairs in step, no barriers, on paper, as a file without a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.conftest import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
APART = 0.05  # seconds; a frame of these clips lasts 0.125
TIMES = "pair => [...pair.querySelectorAll('video')].map(each => each.currentTime)"
PLAYING = "pair => [...pair.querySelectorAll('video')].every(each => !each.paused)"


@pytest.fixture
def report(transactional_db: None, mia: Any) -> Any:
    from pipelines.loops.chain import start_loop
    from pipelines.models import Artifact
    from tests.pipelines.loop_world import loop_config, make_campaign, play_all

    play_all(start_loop(make_campaign(user=mia), loop_config(), mia))
    return Artifact.objects.get(kind="report")


def test_a_lead_reads_a_report_and_takes_it_away(
    at_browser: Callable,
    browser: Any,
    no_barriers: Callable,
    report: Any,
    lee: Any,
    tmp_path: Path,
) -> None:
    page = at_browser(lee)
    page.goto(f"/reports/{report.pk}/")
    expect(page.locator(".verdict")).to_contain_text("Take Flow-DPO")
    no_barriers(page)
    _on_paper_there_are_pictures_and_no_buttons(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="… with its clips").click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    _needs_no_network(browser, file)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Results side by side")).to_be_visible()
    expect(page.locator("svg.rate-bars")).to_have_count(8)  # two judges, four dimensions
    no_barriers(page)


@pytest.mark.playback
def test_both_sides_of_a_pair_play_in_step(
    at_browser: Callable, until: Callable, report: Any, lee: Any
) -> None:
    page = at_browser(lee)
    page.goto(f"/reports/{report.pk}/")
    pair = page.locator("[data-pair]").first
    pair.scroll_into_view_if_needed()
    until(page, lambda: pair.evaluate(PLAYING) and max(pair.evaluate(TIMES)) > 0)
    for _ in range(5):
        page.wait_for_timeout(70)
        base, candidate = pair.evaluate(TIMES)
        # One of them may have begun anew already.
        assert min(abs(base - candidate), 0.5 - abs(base - candidate)) < APART
    button = page.locator("[data-play-pairs]").first
    button.click()
    expect(button).to_have_text("Play all")
    until(page, lambda: not pair.evaluate(PLAYING))
    base, candidate = pair.evaluate(TIMES)
    assert abs(base - candidate) < APART


def _on_paper_there_are_pictures_and_no_buttons(page: Any) -> None:
    picture = page.locator("[data-pair] img.print-only").first
    expect(picture).to_be_hidden()
    page.emulate_media(media="print")
    expect(picture).to_be_visible()
    for hidden in (".topbar", "[data-pair] video", "[data-play-pairs]"):
        expect(page.locator(hidden).first).to_be_hidden()
    page.emulate_media(media="screen")


def _needs_no_network(browser: Any, file: Path) -> None:
    context = browser.new_context(offline=True)
    asked: list[str] = []
    told: list[str] = []
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.goto(file.as_uri())
    expect(page.locator(".verdict")).to_contain_text("Take Flow-DPO")
    expect(page.locator("video")).not_to_have_count(0)
    page.locator("video").first.evaluate("each => each.play()")
    context.close()
    assert [url[:60] for url in asked if not url.startswith(("file:", "data:"))] == []
    assert told == []
