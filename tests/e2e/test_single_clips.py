"""One clip at a time, scored from 1 to 5 on each dimension."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


@pytest.fixture
def single_campaign(transactional_db: None, make_clip: Callable) -> Any:
    from annotation.campaigns import create_campaign, ensure_built_in_sets, open_campaign
    from annotation.importing import create_triplets
    from annotation.media.keeping import store_video
    from annotation.models import Prompt

    ensure_built_in_sets()
    campaign = create_campaign(
        "Single squares", "videoalign", kind="single", votes_wanted=1, watch_gate=True
    )
    questions = []
    for number in range(2):
        prompt = Prompt.objects.for_text(f"Single square {number}.")
        questions.append((prompt, store_video(make_clip(50 + number), prompt=prompt), None))
    create_triplets(campaign, questions)
    open_campaign(campaign)
    return campaign


def test_a_clip_is_scored_by_digits_and_the_score_can_be_changed(
    at_browser: Callable,
    alice: Any,
    single_campaign: Any,
    voting: type,
    no_barriers: Callable,
) -> None:
    from annotation.models import Judgement, Vote

    page = at_browser(alice)
    stage = voting(page, single_campaign).open()
    first = stage.wait_for_pair()
    expect(page.locator(".pane-b")).to_be_hidden()
    no_barriers(page)
    stage.press("4 2")
    expect(page.locator("#submit")).to_contain_text("2 of 3 answered")
    stage.press("v 1 Enter")  # the third is invalid: broken
    second = stage.wait_for_pair(other_than=first)
    stage.expect_badge("saved")
    rows = Judgement.objects.filter(vote__triplet__prompt__text=first)
    found = {row.dimension.key: (row.label, row.score_a, row.reason) for row in rows}
    assert found == {
        "VQ": (None, 4, ""),
        "MQ": (None, 2, ""),
        "TA": ("invalid", None, "broken"),
    }
    stage.press("Backspace")
    expect(page.locator("#prompt")).to_have_text(first)
    expect(page.locator('[data-label="4"][aria-checked="true"]')).to_have_count(1)
    page.locator('[data-dimension="VQ"].ballot-row [data-label="5"]').click()
    stage.press("Enter")
    expect(page.locator("#prompt")).to_have_text(second)
    stage.expect_badge("saved")
    live = Vote.objects.live().get(triplet__prompt__text=first)
    assert live.judgements.get(dimension__key="VQ").score_a == 5
