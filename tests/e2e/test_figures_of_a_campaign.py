"""A lead looks at the figures: by pointer and keyboard, on a phone, while people vote."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from bench.annotation_data import Plan, fill

pytestmark = pytest.mark.e2e

PAGES = ("", "agreement/", "annotators/", "generators/", "dataset/")


@pytest.fixture
def campaign(transactional_db: None) -> Any:
    return fill(Plan("Pairs of twelve generators", pairs=400, annotators=8, done=0.9, seed=1))


def open_page(page: Any, campaign: Any, name: str) -> None:
    page.goto(f"/campaigns/{campaign.pk}/{name}")
    expect(page.locator(".panel-slot")).to_have_count(0)  # all panels have come


def test_the_pages_of_figures_have_no_barriers(
    at_browser: Callable, lee: Any, campaign: Any, no_barriers: Callable
) -> None:
    page = at_browser(lee)
    for name in PAGES:
        open_page(page, campaign, name)
        for table in page.locator("details.behind > summary").all():
            table.click()
        no_barriers(page)


def test_on_a_phone_in_the_dark_nothing_is_wider_than_the_screen(
    at_browser: Callable, lee: Any, campaign: Any, no_barriers: Callable
) -> None:
    page = at_browser(lee, color_scheme="dark", viewport={"width": 390, "height": 844})
    for name in PAGES:
        open_page(page, campaign, name)
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) == 0, name
        if name == "generators/":
            no_barriers(page)  # the colours of both heat maps and charts


def test_a_chart_tells_its_figures_to_pointer_and_keyboard(
    at_browser: Callable, lee: Any, campaign: Any
) -> None:
    page = at_browser(lee)
    open_page(page, campaign, "generators/")
    tip = page.locator(".tip")
    chart = page.locator("#panel-generators .rows-chart").first
    marks = chart.locator("[data-tip]")
    marks.nth(2).hover()
    expect(tip).to_have_text(marks.nth(2).get_attribute("data-tip"))
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    # A chart is one stop of the Tab key; the arrows walk over its marks.
    assert chart.locator("[data-tip][tabindex='0']").count() == 1
    marks.first.focus()
    page.keyboard.press("ArrowDown")
    expect(tip).to_have_text(marks.nth(1).get_attribute("data-tip"))
    page.keyboard.press("End")
    expect(tip).to_have_text(marks.last.get_attribute("data-tip"))
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_curve_is_switched_off_by_its_name(at_browser: Callable, lee: Any, campaign: Any) -> None:
    page = at_browser(lee)
    open_page(page, campaign, "agreement/")
    curves = page.locator("#panel-agreement-over-time figure").first
    curves.get_by_role("button", name="MQ").click()
    expect(curves.locator(".line.series-2")).to_be_hidden()
    expect(curves.locator(".line.series-1")).to_be_visible()
    curves.get_by_role("button", name="MQ").click()
    expect(curves.locator(".line.series-2")).to_be_visible()


def test_progress_follows_while_people_vote(
    at_browser: Callable, lee: Any, alice: Any, make_campaign: Callable, voting: type
) -> None:
    campaign = make_campaign(2)
    watching = at_browser(lee)
    open_page(watching, campaign, "")
    counted = watching.locator("[data-figure=counted]")
    expect(counted).to_have_text("0")
    watching.locator("#panel-progress details").first.locator("summary").click()
    stage = voting(at_browser(alice), campaign).open()
    stage.wait_for_pair()
    stage.press("q a z Enter")
    expect(counted).to_have_text("1")
    # What was open stays open when the panel is replaced.
    expect(watching.locator("#panel-progress details").first).to_have_attribute("open", "")
