"""What an annotator's browser gets tells gold and repeats from pairs of the queue by nothing."""

import itertools
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Campaign, Probe, ProbeKind, ProbeLease
from formats.labels import Label

pytestmark = pytest.mark.one_engine

KEYS = ("VQ", "MQ", "TA")
QUESTIONS = 400
# What may differ between two questions: ids, links and texts. Everything else must be equal.
OPAQUE = {"lease", "vote", "id", "url", "poster", "text", "expires_at", "submitted_at"}


def shape(value: Any, name: str = "") -> Any:
    """The value with everything that differs from question to question by its form alone."""
    if isinstance(value, dict):
        return {key: shape(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    if name in OPAQUE and isinstance(value, str):
        return "text" if name == "text" else re.sub(r"[0-9a-f]", "0", value)
    return value


def form(body: dict[str, Any]) -> str:
    """Without what counts on (progress, time of day) and what the annotator said themselves."""
    kept = dict(body)
    for name in ("progress", "rest", "judgements", "expires_at", "submitted_at"):
        kept[name] = sorted(kept[name]) if isinstance(kept.get(name), dict) else type(name).__name__
    return repr(shape(kept))


@pytest.fixture
def campaign(make_campaign: Callable[..., Campaign]) -> Campaign:
    """Nearly every second question is a probe."""
    campaign = make_campaign(QUESTIONS // 2 + 40)
    Campaign.objects.filter(pk=campaign.pk).update(gold_share=0.25, repeat_share=0.24)
    source = make_campaign(QUESTIONS // 2)
    Probe.objects.bulk_create(
        Probe(
            campaign=campaign,
            kind=ProbeKind.GOLD,
            prompt_id=triplet.prompt_id,
            video_a_id=triplet.video_a_id,
            video_b_id=triplet.video_b_id,
            # Unlike the prompts' numbers, so that the texts tell nothing either.
            expected=dict.fromkeys(KEYS, Label.A.value),
            shuffle=triplet.shuffle % 2**62,
        )
        for triplet in source.triplets.all()
    )
    # Whatever alice says, she stays at work.
    Campaign.objects.filter(pk=campaign.pk).update(keep_share=0)
    return campaign


def test_probes_look_like_pairs_in_every_answer(
    campaign: Campaign, alice: Any, annotator: Any
) -> None:
    browser = annotator(alice)
    given, voted, mine = [], [], []
    for number in range(QUESTIONS):
        question = browser.next(campaign)
        assert question["progress"]["mine"] == number
        given.append(question)
        answer = browser.vote(question, ("left", "tie", "right")[number % 3])
        assert answer.status_code == 200
        voted.append(answer.json())
        if number % 20 == 19:
            listed = browser.get(f"/api/votes/mine?campaign={campaign.pk}").json()
            mine += listed["votes"]
            assert len(listed["votes"]) == 20
    probes = {str(token) for token in ProbeLease.objects.values_list("token", flat=True)}
    hidden = [each["lease"] in probes for each in given]
    assert 180 <= sum(hidden) <= 220
    assert not any(first and second for first, second in itertools.pairwise(hidden))
    for bodies in (given, voted):
        forms = {
            which: {form(body) for body, of in zip(bodies, hidden, strict=True) if of is which}
            for which in (True, False)
        }
        assert forms[True] == forms[False]
        assert len(forms[True]) == 1
    rows = [(form(row), row["lease"] in probes) for row in mine]
    assert {each for each, is_probe in rows if is_probe} == {
        each for each, is_probe in rows if not is_probe
    }
    assert {len(row["judgements"]) for row in mine} == {3}
    # Random ids of version 4 everywhere: no counter, no clock.
    ids = [each[name] for each in given for name in ("lease",)] + [row["vote"] for row in voted]
    assert {uuid.UUID(each).version for each in ids} == {4}


def test_the_same_deeds_have_the_same_answers(
    campaign: Campaign, alice: Any, bob: Any, annotator: Any
) -> None:
    browser, stranger = annotator(alice), annotator(bob)
    told: dict[bool, list[Any]] = {}
    while len(told) < 2:
        question = browser.next(campaign)
        is_probe = ProbeLease.objects.filter(pk=question["lease"]).exists()
        told[is_probe] = deeds(browser, stranger, question)
    assert told[True] == told[False]


def deeds(browser: Any, stranger: Any, question: dict[str, Any]) -> list[Any]:
    """Everything that can be done with one question, and what comes back."""
    lease = f"/api/leases/{question['lease']}"
    said = browser.ballot(question, "left")
    other = browser.ballot(question, "right")
    swapped = {**said, "left_video": said["right_video"], "right_video": said["left_video"]}
    answers = [
        stranger.post(f"{lease}/renew"),
        stranger.send(said),
        browser.post(f"{lease}/renew"),
        browser.send(swapped),
        browser.send({**said, "judgements": {}}),
        browser.post(f"{lease}/release"),
        browser.post(f"{lease}/release"),
        browser.post(f"{lease}/renew"),
        browser.send(said),
        browser.send(said),
        browser.send(other),
        browser.post(f"{lease}/skip", {"reason": "cannot_decide"}),
        browser.post(f"{lease}/renew"),
    ]
    vote = answers[8].json()["vote"]
    answers += [
        browser.revise(vote, 1, other),
        browser.revise(vote, 1, other),
        browser.revise(vote, 1, said),
        browser.revise(str(uuid.uuid4()), 1, said),
        stranger.revise(vote, 1, said),
    ]
    return [(each.status_code, shape(_without_times(each.json()))) for each in answers]


def _without_times(body: dict[str, Any]) -> dict[str, Any]:
    return {key: "" if key == "expires_at" else value for key, value in body.items()}
