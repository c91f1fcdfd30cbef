"""axe looks at the voting page in its states, under the policy that forbids inline scripts."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

CLOSED: dict[str, Any] = {
    "empty": True,
    "reason": "Because of a reason that is a sentence.",
    "retry_after": 60,
}
GUIDELINE = {
    "id": 7,
    "version": 3,
    "major": True,
    "accepted": False,
    "language": "en",
    "instructions": "Look at both clips whole.\n\nThen vote.",
    "dimensions": {"VQ": {"title": "Looks", "question": "Which?", "sentences": ["Clear: sharp."]}},
    "examples": {},
}

# What can be pressed and is not as high as a finger is wide; the tools of a pane keep to its
# caption, which is lower where there is little room.
SMALL = """(least) => [...document.querySelectorAll("button:not(.tool), a, input")]
  .filter((each) => each.checkVisibility())
  .filter((each) => each.getBoundingClientRect().height < least)
  .map((each) => each.outerHTML)"""


def test_the_pair_and_all_its_sheets(
    at_browser: Callable,
    alice: Any,
    make_campaign: Callable,
    voting: type,
    no_barriers: Callable,
) -> None:
    page = at_browser(alice)
    stage = voting(page, make_campaign(1)).open()
    stage.wait_for_pair()
    no_barriers(page)
    assert page.evaluate(SMALL, 44) == []
    stage.press("q s v p n")  # two answers, reasons open, pixel by pixel, a remark
    page.keyboard.type("it flickers")
    no_barriers(page)
    page.keyboard.press("Escape")
    stage.press("g")
    expect(page.locator("#guideline")).to_be_visible()
    no_barriers(page)
    stage.press("g")
    for key, sheet in (("?", "keys"), ("k", "flag"), ("t", "skip")):
        stage.press(key)
        expect(page.locator(f"#{sheet}")).to_be_visible()
        no_barriers(page)
        page.keyboard.press("Escape")
        expect(page.locator(f"#{sheet}")).to_be_hidden()
    page.click("#sync")
    no_barriers(page)


def test_pages_in_the_place_of_a_pair(
    at_browser: Callable,
    alice: Any,
    make_campaign: Callable,
    voting: type,
    no_barriers: Callable,
) -> None:
    page = at_browser(alice, color_scheme="dark")
    stage = voting(page, make_campaign(1))
    answer = dict(CLOSED)
    page.route("**/next", lambda route: route.fulfill(json=answer))
    page.route(
        "**/consent",
        lambda route: route.fulfill(json={"text": "We keep votes.", "sha256": "0", "given": False}),
    )
    page.route("**/guideline?*", lambda route: route.fulfill(json=GUIDELINE))
    for gate, title in (
        ("paused", "Your work is paused"),
        ("screen", "This screen is too small for these clips"),
        ("consent", "Before you begin"),
        ("guideline", "The guideline, version 3"),
    ):
        answer["gate"] = gate
        stage.open()
        stage.expect_message(title)
        no_barriers(page)
    go_on = page.get_by_role("button", name="Accept and go on")
    expect(go_on).to_have_attribute("aria-disabled", "true")
    page.get_by_label("I have read it").check()
    expect(go_on).to_have_attribute("aria-disabled", "false")


@pytest.mark.parametrize(
    "viewport", [{"width": 390, "height": 844}, {"width": 844, "height": 390}], ids=["up", "across"]
)
def test_a_phone(
    at_browser: Callable,
    alice: Any,
    make_campaign: Callable,
    voting: type,
    no_barriers: Callable,
    viewport: dict[str, int],
) -> None:
    page = at_browser(alice, viewport=viewport, has_touch=True)
    stage = voting(page, make_campaign(1, dimensions="anime", per_video_scores=True)).open()
    stage.wait_for_pair()
    no_barriers(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate("() => document.documentElement.scrollHeight") <= viewport["height"]
    assert page.evaluate(SMALL, 44) == []
    pressed_often = ".vote, .vote-foot .button, .transport .button"
    heights = page.locator(pressed_often).evaluate_all(
        "(all) => all.filter((e) => e.checkVisibility()).map((e) => e.offsetHeight)"
    )
    assert min(heights) >= 48
    submit = page.locator("#submit").bounding_box()
    assert submit["y"] + submit["height"] <= viewport["height"]


def test_everything_is_there_at_twice_the_size(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    """200 % on a screen of 1280 x 800 is a window of 640 x 400 CSS pixels."""
    page = at_browser(alice, viewport={"width": 640, "height": 400}, device_scale_factor=2)
    stage = voting(page, make_campaign(1)).open()
    stage.wait_for_pair()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 640
    for button in page.locator('[data-label="invalid"], .vote-foot .button').all():
        button.scroll_into_view_if_needed()
        expect(button).to_be_in_viewport(ratio=0.9)
