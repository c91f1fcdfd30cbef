"""Repeats of own pairs, probes of single clips, and the way into work as a browser sees it."""

from collections.abc import Callable
from typing import Any

import pytest

from annotation.campaigns import create_campaign
from annotation.importing import create_triplets
from annotation.models import (
    Campaign,
    CampaignState,
    Cursor,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    Vote,
)

KEYS = ("VQ", "MQ", "TA")


def set_shares(campaign: Campaign, **shares: Any) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(**shares)


def test_a_repeat_is_an_own_old_pair_with_its_sides_swapped(
    make_campaign: Callable[..., Campaign], alice: Any, annotator: Any, side_of: Any
) -> None:
    campaign = make_campaign(40)
    set_shares(campaign, gold_share=0, repeat_share=0.5)
    browser = annotator(alice)
    shown: dict[frozenset[str], tuple[int, str]] = {}
    repeats = 0
    for number in range(44):
        given = browser.next(campaign)
        pair = frozenset((given["left"]["id"], given["right"]["id"]))
        if pair in shown:
            repeats += 1
            at, left = shown.pop(pair)  # a second repeat of the pair would be a KeyError below
            # Twenty own votes lie in between, at least.
            assert number - at > 20
            assert given["left"]["id"] != left
            probe = ProbeLease.objects.get(pk=given["lease"]).probe
            assert probe.expected == dict.fromkeys(KEYS, "A")
            # Every third time the same opinion, otherwise 'same': half an error.
            word = side_of_shown(given, probe) if repeats % 3 == 0 else "tie"
        else:
            assert not ProbeLease.objects.filter(pk=given["lease"]).exists()
            shown[pair] = (number, given["left"]["id"])
            word = side_of(given, "A")
        assert browser.vote(given, word).status_code == 200
    assert repeats == ProbeAnswer.objects.filter(kind="repeat").count() > 5
    errors = sorted(set(ProbeAnswer.objects.values_list("errors", flat=True)))
    assert errors == [0.0, 0.5]
    assert Vote.objects.count() + repeats == 44 == Cursor.objects.get().questions


def side_of_shown(given: dict[str, Any], probe: Probe) -> str:
    """Which side shows clip A."""
    return "left" if given["left"]["id"] == str(probe.video_a_id) else "right"


@pytest.fixture
def singles(make_campaign: Callable[..., Campaign]) -> Campaign:
    """Four clips, each to be scored alone; a fifth is gold with a known score of 4."""
    source = make_campaign(5)
    campaign = create_campaign(
        "scores", "videoalign", kind="single", votes_wanted=1, state=CampaignState.OPEN
    )
    rows = list(source.triplets.select_related("prompt", "video_a").order_by("pk"))
    create_triplets(campaign, [(row.prompt, row.video_a, None) for row in rows[:4]])
    Probe.objects.create(
        campaign=campaign,
        kind=ProbeKind.GOLD,
        prompt=rows[4].prompt,
        video_a=rows[4].video_a,
        expected=dict.fromkeys(KEYS, 4),
        shuffle=1,
    )
    set_shares(campaign, gold_share=1, repeat_share=0)  # never a repeat in its place
    return campaign


def test_gold_among_single_clips_is_a_score(singles: Campaign, alice: Any, annotator: Any) -> None:
    browser = annotator(alice)
    given = browser.next(singles)
    assert given["kind"] == "single"
    assert given["right"] is None
    assert ProbeLease.objects.filter(pk=given["lease"]).exists()
    body = {
        "lease": given["lease"],
        "left_video": given["left"]["id"],
        "right_video": None,
        "judgements": {
            "VQ": {"score_left": 4},
            "MQ": {"score_left": 5},
            "TA": {"score_left": 1},
        },
    }
    assert browser.send({**body, "judgements": {"VQ": {"label": "left"}}}).status_code == 422
    assert browser.send(body).status_code == 200
    answer = ProbeAnswer.objects.get()
    # 4 is right, 5 is off by one, 1 by three: (0 + 1/2 + 1) / 3.
    assert answer.by_dimension == {"VQ": 0.0, "MQ": 0.5, "TA": 1.0}
    assert answer.errors == 0.5
    row = browser.get(f"/api/votes/mine?campaign={singles.pk}").json()["votes"][0]
    assert row["judgements"]["MQ"]["score_left"] == 5
    assert row["judgements"]["MQ"]["label"] is None


@pytest.fixture
def school(make_campaign: Callable[..., Campaign]) -> Campaign:
    """A campaign with a way into it: two practice questions, three of the qualification."""
    campaign = make_campaign(3)
    pairs = make_campaign(5).triplets.select_related("prompt").order_by("pk")
    for number, pair in enumerate(pairs):
        Probe.objects.create(
            campaign=campaign,
            kind=ProbeKind.PRACTICE if number < 2 else ProbeKind.QUALIFICATION,
            prompt=pair.prompt,
            video_a=pair.video_a,
            video_b=pair.video_b,
            expected=dict.fromkeys(KEYS, "tie"),
            explanation={"en": "Both are blurred.", "ja": "どちらもぼやけている。"},
            shuffle=number,
        )
    set_shares(campaign, qualify=True, gold_share=0, repeat_share=0)
    return campaign


def test_the_way_into_work_as_the_browser_sees_it(
    school: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    for done in range(2):
        given = browser.next(school)
        assert given["stage"] == "practice"
        assert given["stage_progress"] == {"done": done, "of": 2}
        answer = browser.vote(given, ["left", "tie", "invalid"]).json()
        assert answer["feedback"] == {
            "VQ": {"said": "left", "expected": "tie", "right": False},
            "MQ": {"said": "tie", "expected": "tie", "right": True},
            "TA": {"said": "invalid", "expected": "tie", "right": False},
        }
        assert answer["explanation"] == "Both are blurred."
    assert answer["note"] == "Practice is over; the qualification begins."
    for attempt, word in ((1, "invalid"), (2, "tie")):
        for done in range(3):
            given = browser.next(school)
            assert given["stage"] == "qualification"
            assert given["stage_progress"] == {"done": done, "of": 3}
            # Everything of a question can be asked before, and again after a reload.
            assert browser.next(school)["lease"] == given["lease"]
            assert browser.next(school, prefetch=True)["empty"] is True
            answer = browser.vote(given, word).json()
            assert answer["feedback"] is None
        cursor = Cursor.objects.get(annotator=alice)
        assert cursor.attempt == 2, attempt
    assert answer["note"].startswith("Qualification passed: 100% right")
    given = browser.next(school)
    assert (given["stage"], given["stage_progress"]) == ("working", None)
    assert Vote.objects.count() == 0
    card = browser.get(f"/api/campaigns/{school.pk}/scorecard").json()
    assert [each["right"]["VQ"] for each in card["attempts"]] == [0.0, 1.0]


def test_practice_speaks_the_language_of_the_page(
    school: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given = browser.next(school)
    answer = browser.post(
        "/api/votes",
        browser.ballot(given, "tie"),
        headers={"Idempotency-Key": given["lease"], "Accept-Language": "ja"},
    )
    assert answer.json()["explanation"] == "どちらもぼやけている。"


def test_who_fails_twice_meets_a_closed_gate(school: Campaign, alice: Any, annotator: Any) -> None:
    browser = annotator(alice)
    for _ in range(2 + 3 + 3):
        browser.vote(browser.next(school), "invalid")
    given = browser.next(school)
    assert (given["empty"], given["gate"]) == (True, "failed")
    assert "not passed: 0% right" in given["reason"]


def test_without_a_qualification_everybody_works(
    school: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    assert browser.next(school)["stage"] == "practice"
    set_shares(school, qualify=False)
    browser.post(f"/api/leases/{ProbeLease.objects.get().pk}/release")
    assert browser.next(school)["stage"] == "working"
