"""Another key for a command, letters switched off, and text that no key disturbs."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

COMPOSE = """(field) => {
  field.focus();
  field.dispatchEvent(new CompositionEvent("compositionstart", {bubbles: true}));
  for (const key of ["q", "Enter", "Escape"]) {
    const init = {key, code: key === "q" ? "KeyQ" : key, isComposing: true, bubbles: true};
    field.dispatchEvent(new KeyboardEvent("keydown", init));
  }
  field.value = "動きが速い";
  field.dispatchEvent(new CompositionEvent("compositionend", {bubbles: true, data: field.value}));
  field.dispatchEvent(new Event("input", {bubbles: true}));
}"""


def test_a_command_moves_to_another_key_and_stays_there(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type, until: Callable
) -> None:
    from annotation.models import Profile

    page = at_browser(alice)
    stage = voting(page, make_campaign(1)).open()
    stage.wait_for_pair()
    stage.press("?")
    key = page.locator('[data-action="vote-1-left"]')
    key.click()
    stage.press("w")  # has a meaning already: refused
    expect(page.locator("#keys-text")).to_contain_text("W already means")
    stage.press("1")
    expect(page.locator("#keys-text")).to_contain_text("fixed meaning")
    stage.press("u")
    expect(key).to_have_text("U")
    expect(page.locator("#keys-text")).to_have_text("Saved.")
    assert Profile.objects.get(user=alice).keys == {"vote-1-left": "KeyU"}
    _close(page)
    stage.press("q")
    chosen = page.locator('[data-dimension="VQ"] [data-label="left"]')
    expect(chosen).to_have_attribute("aria-checked", "false")
    expect(chosen.locator("kbd")).to_have_text("U")
    page.reload()
    stage.wait_for_pair()
    stage.press("u")
    expect(chosen).to_have_attribute("aria-checked", "true")

    stage.press("?")
    page.get_by_label("Single letters are commands").uncheck()
    until(page, lambda: not Profile.objects.get(user=alice).single_letters)
    _close(page)
    stage.press("s")  # a letter no more
    middle = page.locator('[data-dimension="MQ"] [data-label="tie"]')
    expect(middle).to_have_attribute("aria-checked", "false")
    stage.press("2")  # a digit answers the row in focus
    expect(page.locator('[data-label="tie"][aria-checked="true"]')).to_have_count(1)


def _close(page: Any) -> None:
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_an_input_method_in_the_remark_sets_off_nothing(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Vote

    page = at_browser(alice)
    stage = voting(page, make_campaign(1)).open()
    stage.wait_for_pair()
    stage.press("q s c n")
    page.locator("#remark").evaluate(COMPOSE)
    expect(page.locator("#remark")).to_be_focused()  # Esc was the input method's
    page.keyboard.type(" twz")  # letters are text here
    page.reload()
    stage.wait_for_pair()
    expect(page.locator("#remark")).to_have_value("動きが速い twz")
    expect(page.locator('[aria-checked="true"]')).to_have_count(3)
    assert not Vote.objects.exists()
    stage.press("Enter")
    stage.expect_message("No pair for you right now")
    stage.expect_badge("saved")
    vote = Vote.objects.get()
    assert vote.remark == "動きが速い twz"
    assert {each.label for each in vote.judgements.all()} == {"A", "tie", "B"}
