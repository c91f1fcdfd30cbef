"""A new annotator: consent, guideline, practice with its feedback, qualification, work, rest."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e

EXPECTED = {"VQ": "A", "MQ": "tie", "TA": "B"}


@pytest.fixture
def make_probe(make_clip: Callable) -> Callable[..., Any]:
    from annotation.media.keeping import store_video
    from annotation.models import Prompt
    from annotation.quality.gold import Question, make

    def probe(campaign: Any, kind: str, seed: int) -> Any:
        prompt = Prompt.objects.for_text(f"A {kind} square, number {seed}.")
        clips = [store_video(make_clip(seed + side), prompt=prompt) for side in (0, 1)]
        said = {"en": "Look at the edges of the square."}
        return make(campaign, kind, Question(prompt, *clips, EXPECTED, said), None)

    return probe


def _answer(stage: Any, prompt: str, *, right: bool) -> None:
    from annotation.models import ProbeLease

    lease = ProbeLease.objects.get(probe__prompt__text=prompt)
    better = "e" if lease.swap else "q"
    worse = "z" if lease.swap else "c"
    stage.press(f"{better} {'s' if right else 'a'} {worse} Enter")


def test_the_way_from_the_consent_to_the_first_pair(
    at_browser: Callable,
    alice: Any,
    lee: Any,
    make_campaign: Callable,
    make_probe: Callable,
    voting: type,
    no_barriers: Callable,
) -> None:
    from annotation.guidance import guidelines
    from annotation.models import Consent, Cursor, Video, Vote

    campaign = make_campaign(2, qualify=True, consent="We keep your votes.\n\nFor research.")
    for number, kind in enumerate(("practice", "practice", "qualification", "qualification")):
        make_probe(campaign, kind, 100 + 2 * number)
    body = guidelines.default_body(campaign)
    clip = {"video": str(Video.objects.first().pk), "good": False, "note": {"en": "too dark"}}
    body["examples"] = {"VQ": [clip]}
    guidelines.publish(campaign, body, major=True, user=lee)

    page = at_browser(alice)
    stage = voting(page, campaign).open()
    stage.expect_message("Before you begin")
    page.get_by_label("I have read this and I agree").check()
    page.get_by_role("button", name="Agree and go on").click()
    stage.expect_message("The guideline, version 1")
    assert Consent.objects.get().annotator == alice
    expect(page.locator(".message .example")).to_contain_text("too dark")
    page.get_by_label("I have read it").check()
    page.get_by_role("button", name="Accept and go on").click()

    first = stage.wait_for_pair()
    expect(page.locator("#stage")).to_have_text("Practice: 1 of 2")
    _answer(stage, first, right=False)
    card = page.locator("#feedback")
    expect(card).to_contain_text("Not quite")
    expect(card.get_by_role("row", name="Motion quality")).to_contain_text("not right")
    expect(card).to_contain_text("Look at the edges of the square.")
    no_barriers(page)
    stage.press("g")
    expect(page.locator("#guideline-version")).to_have_text("Version 1")
    stage.press("g Enter")
    second = stage.wait_for_pair(other_than=first)
    _answer(stage, second, right=True)
    expect(card).to_contain_text("All right")
    stage.press("Enter")
    third = stage.wait_for_pair(other_than=second)
    expect(page.locator("#stage")).to_contain_text("Qualification: 1 of 2")
    _answer(stage, third, right=True)
    fourth = stage.wait_for_pair(other_than=third)
    _answer(stage, fourth, right=True)
    fifth = stage.wait_for_pair(other_than=fourth)
    expect(page.locator("#stage")).to_be_hidden()
    assert Cursor.objects.get(annotator=alice).stage == "working"
    stage.press("q s c Enter")
    stage.wait_for_pair(other_than=fifth)
    stage.expect_badge("saved")
    assert Vote.objects.get().guideline.version == 1


def test_a_rest_is_offered_between_pairs_and_a_due_one_survives_a_reload(
    at_browser: Callable, alice: Any, make_campaign: Callable, voting: type
) -> None:
    page = at_browser(alice)
    stage = voting(page, make_campaign(6)).open()
    first = stage.wait_for_pair()

    def has_worked(**values: int) -> None:
        state = {"active": 0, "votes": 60, "since": 0, "sinceVotes": 0, "until": None, **values}
        page.evaluate(
            f"""() => {{
              const at = Date.now();
              const put = (name, value) =>
                localStorage.setItem(`tiebreak-${{name}}-{alice.pk}`, JSON.stringify(value));
              put("rest", {{...{json.dumps(state)}, seen: at}});
              put("speeds", Array.from({{length: 20}}, (_, n) => [at, 30_000 - 900 * n]));
            }}"""
        )
        page.reload()
        stage.wait_for_pair()

    has_worked(sinceVotes=59)
    stage.press("q s c Enter")
    stage.expect_message("Time for a short break?")
    expect(page.get_by_role("img", name="Your time per pair today")).to_be_visible()
    page.get_by_role("button", name="Go on voting").click()
    second = stage.wait_for_pair(other_than=first)

    has_worked(active=90 * 60_000)
    stage.press("q s c Enter")
    stage.expect_message("Please rest for five minutes")
    page.reload()
    stage.expect_message("Please rest for five minutes")
    expect(page.locator("#message-text")).to_contain_text("4:5")
    expect(page.locator("#message-action")).to_be_hidden()
    page.evaluate(
        f"""() => {{
          const name = "tiebreak-rest-{alice.pk}";
          const state = JSON.parse(localStorage.getItem(name));
          localStorage.setItem(name, JSON.stringify({{...state, until: Date.now() + 1500}}));
        }}"""
    )
    page.reload()
    stage.expect_message("Welcome back")
    page.get_by_role("button", name="Go on voting").click()
    stage.wait_for_pair(other_than=second)
