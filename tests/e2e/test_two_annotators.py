"""Two people vote at the same time, each at an own browser."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


def _take_turns(stages: list[Any], rounds: int) -> None:
    prompts = ["" for _ in stages]
    for _ in range(rounds):
        for place, stage in enumerate(stages):
            prompts[place] = stage.wait_for_pair(other_than=prompts[place])
            stage.press("q s c Enter")
    for place, stage in enumerate(stages):
        stage.wait_for_pair(other_than=prompts[place])  # the last vote is in the outbox
        stage.expect_badge("saved")


def test_two_annotators_never_get_the_same_slot(
    at_browser: Callable, alice: Any, bob: Any, make_campaign: Callable, voting: type
) -> None:
    from annotation.models import Lease, Slot, Vote

    # More pairs than they vote on: each browser holds its next ones, too.
    campaign = make_campaign(18, votes_wanted=1)
    stages = [voting(at_browser(user), campaign).open() for user in (alice, bob)]
    _take_turns(stages, 5)

    votes = list(Vote.objects.values_list("annotator__username", "triplet_id", "state"))
    assert len(votes) == 10
    assert {state for _, _, state in votes} == {"counted"}
    assert len({triplet for _, triplet, _ in votes}) == 10  # one slot each, nobody twice
    by_person = {name: len([v for v in votes if v[0] == name]) for name in ("alice", "bob")}
    assert by_person == {"alice": 5, "bob": 5}
    held = Slot.objects.filter(state="leased").values_list("triplet_id", "holder_id")
    assert len({triplet for triplet, _ in held}) == len(held)
    leased = Lease.objects.values_list("slot_id", "annotator_id").distinct()
    assert len({slot for slot, _ in leased}) == len(leased)


def test_a_lead_sees_the_agreement_change_without_a_reload(
    at_browser: Callable, alice: Any, bob: Any, lee: Any, make_campaign: Callable, voting: type
) -> None:
    campaign = make_campaign(4, votes_wanted=2)
    progress, lead = at_browser(lee), at_browser(lee)
    progress.goto(f"/campaigns/{campaign.pk}/")
    lead.goto(f"/campaigns/{campaign.pk}/agreement/")
    figure = lead.locator('[data-dimension="VQ"] [data-figure="alpha"]')
    counted = progress.locator('[data-figure="counted"]')
    expect(figure).to_have_text("undefined")
    expect(counted).to_have_text("0")
    table = lead.locator("#table-agreement-agreement")
    table.locator("summary").click()

    # Both say the same of every pair, wherever its clips stand: they agree perfectly.
    for user in (alice, bob):
        stage, prompt = voting(at_browser(user), campaign).open(), ""
        for _ in range(4):
            prompt = stage.wait_for_pair(other_than=prompt)
            stage.press(_keys_for(prompt))
        stage.expect_message("No pair for you right now")
    expect(counted).to_have_text("8", timeout=20_000)
    expect(figure).to_have_text("1.00", timeout=20_000)
    expect(table).to_have_attribute("open", "")  # stays as it was
    expect(progress.locator('[data-figure="done"]')).to_contain_text("4")


def _keys_for(prompt: str) -> str:
    """Even squares: clip A is better; odd ones: clip B. The screen may show them swapped."""
    from annotation.models import Lease

    lease = (
        Lease.objects.filter(triplet__prompt__text=prompt, slot__lease_token__isnull=False)
        .order_by("-issued_at")
        .first()
    )
    assert lease is not None
    wants_a = int(prompt.split()[2]) % 2 == 0
    return "q a z Enter" if wants_a != lease.swap else "e d c Enter"
