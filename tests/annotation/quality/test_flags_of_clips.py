"""Flags: a bad clip leaves every queue at once, a dismissed one comes back whole."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F

from annotation import adjudicating
from annotation.accounts import pay
from annotation.importing import create_triplets
from annotation.models import (
    Campaign,
    Cursor,
    Flag,
    Outbox,
    Probe,
    ProbeKind,
    ProbeLease,
    Slot,
    Triplet,
    Video,
)
from annotation.promises import broken_promises
from annotation.quality import flags, gold


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    campaign = make_campaign(2)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    return campaign


def flag(browser: Any, given: dict[str, Any], kind: str, side: str = "left", note: str = "") -> Any:
    body = {"kind": kind, "side": side, "note": note}
    return browser.post(f"/api/leases/{given['lease']}/flag", body)


@pytest.mark.parametrize("kind", ["disturbing", "broken"])
def test_a_bad_clip_leaves_every_queue_and_comes_back_when_dismissed(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any, kind: str,
    make_campaign: Callable[..., Campaign],
) -> None:  # fmt: skip
    other = make_campaign(1)
    here, there = annotator(alice), annotator(bob)
    given = here.next(campaign)
    triplet = Triplet.objects.get(leases__token=given["lease"])
    prompt, a, b = triplet.prompt, triplet.video_a, triplet.video_b
    create_triplets(other, [(prompt, a, b)])
    twin = other.triplets.get(prompt=prompt)
    held = there.next(campaign)  # bob holds a slot of the same or of the other pair

    answer = flag(here, given, kind, "right", "not for people")
    assert answer.json() == {"flagged": True, "withdrawn": True}
    clip = Video.objects.get(pk=given["right"]["id"])
    assert clip.withdrawn
    for each in (triplet, twin):
        each.refresh_from_db()
        assert each.state == "withdrawn"
        assert set(each.slots.values_list("state", flat=True)) == {"open"}
    campaign.refresh_from_db()
    assert campaign.triplets_total == 1
    assert here.get(given["right"]["url"]).status_code == 404
    # The question is over for alice, counts as answered, and neither is given the pair again.
    assert Cursor.objects.get(annotator=alice).questions == 1
    for browser in (here, there):
        assert triplet.prompt.text != browser.next(campaign, tab=browser.tab)["prompt"]["text"]
    assert Outbox.objects.filter(kind="flag.raised").count() == 1
    assert broken_promises(campaign) == broken_promises(other) == []
    # A vote that was under way is kept as extra.
    if held["prompt"]["text"] == triplet.prompt.text:
        assert there.vote(held).json()["state"] == "surplus"

    row = Flag.objects.get()
    assert (row.kind, row.note, str(row.video_id)) == (kind, "not for people", given["right"]["id"])
    flags.settle(row.pk, lee, uphold=False)
    for each in (triplet, twin):
        each.refresh_from_db()
        assert each.state == "open"
    clip.refresh_from_db()
    campaign.refresh_from_db()
    assert (clip.withdrawn, campaign.triplets_total) == (False, 2)
    assert broken_promises(campaign) == broken_promises(other) == []
    flags.settle(row.pk, lee, uphold=True)
    triplet.refresh_from_db()
    assert triplet.state == "withdrawn"


def test_the_same_flag_again_changes_nothing(
    campaign: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    for _ in range(3):
        assert flag(browser, given, "broken").json() == {"flagged": True, "withdrawn": True}
    assert Flag.objects.count() == 1
    assert Cursor.objects.get(annotator=alice).questions == 1


def test_a_flag_on_the_pair_takes_both_clips_out(
    campaign: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    flag(browser, given, "disturbing", "")
    assert Video.objects.filter(withdrawn=True).count() == 2
    assert Flag.objects.count() == 2
    assert Cursor.objects.get(annotator=alice).questions == 1
    assert [day.questions for day in pay.days_of(campaign)] == [1]


@pytest.mark.parametrize("kind", ["recognised", "other"])
def test_other_flags_are_noted_and_the_question_goes_on(
    campaign: Campaign, alice: Any, annotator: Any, kind: str
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    answer = flag(browser, given, kind, "", "the logo of a maker")
    assert answer.json() == {"flagged": True, "withdrawn": False}
    assert browser.next(campaign)["lease"] == given["lease"]
    assert browser.vote(given).json()["state"] == "counted"
    assert Cursor.objects.get(annotator=alice).questions == 1
    assert Flag.objects.get().video is None


def test_a_clip_stays_out_while_another_flag_on_it_stands(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any
) -> None:
    here, there = annotator(alice), annotator(bob)
    given = here.next(campaign)
    triplet = Triplet.objects.get(leases__token=given["lease"])
    held = there.next(campaign)
    if held["prompt"]["text"] != given["prompt"]["text"]:
        there.post(f"/api/leases/{held['lease']}/skip", {})
        held = there.next(campaign)
    both = {given["left"]["id"], given["right"]["id"]}
    side = "left" if held["left"]["id"] == given["left"]["id"] else "right"
    assert {held["left"]["id"], held["right"]["id"]} == both
    flag(here, given, "broken", "left")
    flag(there, held, "disturbing", side)
    first, second = Flag.objects.order_by("pk")
    flags.settle(first.pk, lee, uphold=False)
    triplet.refresh_from_db()
    assert triplet.state == "withdrawn"
    flags.settle(second.pk, lee, uphold=False)
    triplet.refresh_from_db()
    assert triplet.state == "open"
    assert broken_promises(campaign) == []


def test_two_bad_clips_of_one_pair_must_both_be_dismissed(
    campaign: Campaign, alice: Any, lee: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    triplet = Triplet.objects.get(leases__token=given["lease"])
    flag(browser, given, "broken", "left")
    flag(browser, given, "broken", "right")
    for row, state in zip(Flag.objects.order_by("pk"), ("withdrawn", "open"), strict=True):
        flags.settle(row.pk, lee, uphold=False)
        triplet.refresh_from_db()
        assert triplet.state == state


def test_flagged_gold_is_asked_no_more_and_tells_nothing(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any,
    make_campaign: Callable[..., Campaign],
) -> None:  # fmt: skip
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=1, repeat_share=0)
    pair = make_campaign(1).triplets.select_related("prompt").get()
    probe = Probe.objects.create(
        campaign=campaign, kind=ProbeKind.GOLD, prompt=pair.prompt, video_a=pair.video_a,
        video_b=pair.video_b, expected={"VQ": "A"}, shuffle=1,
    )  # fmt: skip
    here, there = annotator(alice), annotator(bob)
    given = here.next(campaign)
    assert ProbeLease.objects.filter(pk=given["lease"]).exists()
    assert flag(there, given, "broken").status_code == 403
    assert flag(here, given, "broken").json() == {"flagged": True, "withdrawn": True}
    probe.refresh_from_db()
    assert not probe.active
    assert Flag.objects.get().probe == probe
    assert here.next(campaign)["lease"] != given["lease"]
    assert Cursor.objects.get(annotator=alice).questions == 1
    flags.settle(Flag.objects.get().pk, lee, uphold=False)
    probe.refresh_from_db()
    assert probe.active


def test_a_withdrawn_clip_is_no_repeat_no_gold_and_no_case(
    campaign: Campaign, alice: Any, bob: Any, lee: Any, annotator: Any,
    make_campaign: Callable[..., Campaign],
) -> None:  # fmt: skip
    done = make_campaign(30, votes_wanted=2)
    Campaign.objects.filter(pk=done.pk).update(gold_share=0, repeat_share=0)
    browsers = annotator(alice), annotator(bob)
    for browser in browsers:
        for _ in range(30):
            assert browser.vote(browser.next(done), "left").status_code == 200
    Campaign.objects.filter(pk=done.pk).update(repeat_share=0.5)
    Video.objects.filter(prompt__in=done.triplets.values("prompt")).update(withdrawn=True)
    assert gold.promotable(done).count() == 0
    assert adjudicating.waiting(done, lee).total == 0
    assert "lease" not in browsers[0].next(done)
    # With its clips a repeat would be due.
    Video.objects.update(withdrawn=False)
    Cursor.objects.filter(campaign=done).update(questions=F("questions") + 2)
    given = [each for _ in range(6) if "lease" in (each := next_of(browsers[0], done))]
    assert given
    assert adjudicating.waiting(done, lee).total > 0
    # One that is in hand ends when its clip goes.
    last = given[-1]
    Probe.objects.filter(leases__token=last["lease"]).update(active=False)
    assert browsers[0].next(done).get("lease") != last["lease"]


def next_of(browser: Any, campaign: Campaign) -> dict[str, Any]:
    """The next question, while the count of questions goes on."""
    given: dict[str, Any] = browser.next(campaign)
    if "lease" not in given:
        Cursor.objects.filter(campaign=campaign).update(questions=F("questions") + 1)
    return given


def test_a_retired_question_stays_retired_when_its_clip_comes_back(
    campaign: Campaign, alice: Any, lee: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    pair = Triplet.objects.select_related("prompt").get(leases__token=given["lease"])
    probe = Probe.objects.create(
        campaign=campaign, kind=ProbeKind.GOLD, prompt=pair.prompt, video_a=pair.video_a,
        video_b=pair.video_b, expected={"VQ": "A"}, shuffle=1, active=False,
    )  # fmt: skip
    flag(browser, given, "broken")
    flags.settle(Flag.objects.get().pk, lee, uphold=False)
    probe.refresh_from_db()
    assert not probe.active


def test_a_flag_that_nobody_knows_is_refused(
    campaign: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(campaign)
    assert flag(browser, given, "ugly").status_code == 422
    assert flag(browser, given, "broken", "middle").status_code == 422
    assert Flag.objects.count() == 0
    assert Slot.objects.filter(state="leased").count() == 1
