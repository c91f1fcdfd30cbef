"""One person settles what people split on, blind, with history."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Adjudication, Campaign, Consensus, Flag, Outbox, Triplet
from annotation.promises import broken_promises

SPLIT_VOTES = ("A", "B", "tie")


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    campaign = make_campaign(2)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0, repeat_share=0)
    return campaign


@pytest.fixture
def split(campaign: Campaign, people: Any, annotator: Any, side_of: Any) -> Campaign:
    """On both pairs VQ is split three ways; the others say A on MQ and TA."""
    for person, word in zip(people(3), SPLIT_VOTES, strict=True):
        browser = annotator(person)
        for _ in range(2):
            given = browser.next(campaign)
            words = [side_of(given, word), side_of(given, "A"), side_of(given, "A")]
            assert browser.vote(given, words).status_code == 200
    assert Triplet.objects.filter(state="complete").count() == 2
    return campaign


def door(campaign: Campaign, rest: str) -> str:
    return f"/api/campaigns/{campaign.pk}/adjudication/{rest}"


def ruling(case: dict[str, Any], label: str = "A", **more: Any) -> dict[str, Any]:
    """The same canonical label on every dimension."""
    a = Triplet.objects.get(pk=case["triplet"]).video_a_id
    first, second = ("left", "right") if case["left"]["id"] == str(a) else ("right", "left")
    word = {"A": first, "B": second}.get(label, label)
    return {
        "left_video": case["left"]["id"],
        "right_video": case["right"]["id"],
        "judgements": {each["key"]: {"label": word} for each in case["dimensions"]},
        "reason": "close",
        **more,
    }


def test_the_adjudicator_sees_neither_names_nor_votes_nor_generators(
    split: Campaign, lee: Any, annotator: Any
) -> None:
    case = annotator(lee).get(door(split, "next")).json()
    assert (case["why"], case["waiting"]) == ("split", 2)
    assert set(case) == {
        *("triplet", "why", "waiting", "prompt", "left", "right", "dimensions", "watch_gate"),
    }
    text = json.dumps(case)
    for secret in ("generator-secret", "person", "spread", "annotator"):
        assert secret not in text
    assert annotator(lee).get(door(split, "next")).json()["left"]["id"] == case["left"]["id"]


def test_a_ruling_settles_what_was_open_and_shows_the_spread(
    split: Campaign, lee: Any, annotator: Any
) -> None:
    browser = annotator(lee)
    case = browser.get(door(split, "next")).json()
    said = ruling(case, "B", note="the left one flickers")
    answer = browser.post(door(split, str(case["triplet"])), said).json()
    assert answer["settled"] == ["VQ"]
    left = "A" if said["judgements"]["VQ"]["label"] == "right" else "B"
    right = "B" if left == "A" else "A"
    assert answer["spread"]["VQ"] == {"left": 1, "tie": 1, "right": 1, "invalid": 0}
    assert answer["spread"]["MQ"] == {
        "left": 3 if left == "A" else 0,
        "tie": 0,
        "right": 3 if right == "A" else 0,
        "invalid": 0,
    }
    rows = Consensus.objects.filter(triplet=case["triplet"]).values_list(
        "dimension__key", "label", "source"
    )
    assert sorted(rows) == [
        ("MQ", "A", "votes"),
        ("TA", "A", "votes"),
        ("VQ", "B", "adjudication"),
    ]
    row = Adjudication.objects.get()
    assert row.labels == {"VQ": "B", "MQ": "B", "TA": "B"}
    assert (row.adjudicator, row.reason, row.note) == (lee, "close", "the left one flickers")
    assert Outbox.objects.filter(kind="triplet.adjudicated").count() == 1
    following = browser.get(door(split, "next")).json()
    assert following["triplet"] != case["triplet"]
    assert following["waiting"] == 1
    assert broken_promises(split) == []


def test_a_second_ruling_stands_and_the_first_stays_in_the_history(
    split: Campaign, lee: Any, olga: Any, annotator: Any
) -> None:
    browser = annotator(lee)
    case = browser.get(door(split, "next")).json()
    address = door(split, str(case["triplet"]))
    browser.post(address, ruling(case, "B"))
    other = annotator(olga)
    again = other.get(address).json()
    other.post(address, ruling(again, "tie", reason="guideline"))
    consensus = Consensus.objects.get(triplet=case["triplet"], dimension__key="VQ")
    assert (consensus.label, consensus.source) == ("tie", "adjudication")
    rulings = browser.get(f"{address}/rulings").json()["rulings"]
    assert [each["adjudicator"] for each in rulings] == ["olga", "lee"]
    assert [each["labels"]["VQ"] for each in rulings] == ["tie", "B"]


def test_a_pair_can_be_passed_over(split: Campaign, lee: Any, annotator: Any) -> None:
    browser = annotator(lee)
    first = browser.get(door(split, "next")).json()["triplet"]
    second = browser.get(door(split, f"next?after={first}")).json()["triplet"]
    assert second != first
    assert browser.get(door(split, f"next?after={second}")).json()["triplet"] == first


def test_uncertain_and_flagged_pairs_wait_behind_the_split_ones(
    campaign: Campaign, lee: Any, people: Any, annotator: Any, side_of: Any
) -> None:
    for person in people(3):
        browser = annotator(person)
        for _ in range(2):
            given = browser.next(campaign)
            assert browser.vote(given, side_of(given, "A")).status_code == 200
    first, second = campaign.triplets.order_by("pk")
    browser = annotator(lee)
    assert browser.get(door(campaign, "next")).json()["empty"] is True
    # Entropy of (.5, .3, .2) is 1.49 bits; of (.9, .05, .05) .57, and .9 is certain enough.
    unsure = Consensus.objects.filter(dimension__key="MQ")
    unsure.filter(triplet=first).update(posterior=[0.9, 0.05, 0.05])
    unsure.filter(triplet=second).update(posterior=[0.5, 0.3, 0.2])
    Flag.objects.create(campaign=campaign, triplet=first, annotator=lee, kind="other", note="odd")
    case = browser.get(door(campaign, "next")).json()
    assert (case["why"], case["triplet"]) == ("flagged", first.pk)
    browser.post(door(campaign, str(first.pk)), ruling(case, "A"))
    case = browser.get(door(campaign, "next")).json()
    assert (case["why"], case["triplet"]) == ("uncertain", second.pk)
    answer = browser.post(door(campaign, str(second.pk)), ruling(case, "B")).json()
    assert answer["settled"] == ["MQ"]
    assert browser.get(door(campaign, "next")).json()["empty"] is True


def test_nobody_settles_a_pair_on_which_they_voted(
    campaign: Campaign, people: Any, annotator: Any, side_of: Any
) -> None:
    from django.contrib.auth.models import Group

    voters = people(3)
    voters[0].groups.add(Group.objects.get(name="lead"))
    for person, word in zip(voters, SPLIT_VOTES, strict=True):
        browser = annotator(person)
        given = browser.next(campaign)
        browser.vote(given, side_of(given, word))
    done = Triplet.objects.filter(state="complete")
    for triplet in done:
        assert triplet.votes.filter(annotator=voters[0]).exists()
    assert annotator(voters[0]).get(door(campaign, "next")).json()["empty"] is True


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"reason": "because"}, 422),
        ({"reason": ""}, 422),
        ({"judgements": {"VQ": {"label": "left"}}}, 422),
        ({"left_video": "00000000-0000-4000-8000-000000000000"}, 422),
        ({"note": 7}, 400),
    ],
)
def test_a_ruling_that_does_not_fit_changes_nothing(
    split: Campaign, lee: Any, annotator: Any, change: dict[str, Any], status: int
) -> None:
    browser = annotator(lee)
    case = browser.get(door(split, "next")).json()
    answer = browser.post(door(split, str(case["triplet"])), {**ruling(case), **change})
    assert answer.status_code == status
    assert "error" in answer.json()
    assert not Adjudication.objects.exists()


def test_only_leads_adjudicate(split: Campaign, alice: Any, mia: Any, annotator: Any) -> None:
    for person in (alice, mia):
        browser = annotator(person)
        assert browser.get(door(split, "next")).status_code == 403
        assert browser.get(f"/campaigns/{split.pk}/adjudicate/").status_code == 403


def test_the_next_case_costs_the_same_queries_however_many_wait(
    split: Campaign, lee: Any, annotator: Any, django_assert_max_num_queries: Any
) -> None:
    browser = annotator(lee)
    with django_assert_max_num_queries(9):
        assert browser.get(door(split, "next")).status_code == 200
