"""Soft labels: whose word weighs more is known from the votes, and from answers on gold."""

import uuid
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import (
    Campaign,
    Consensus,
    Probe,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
)
from annotation.statistics.posteriors import refresh_posteriors

pytestmark = pytest.mark.django_db
KEYS = ("VQ", "MQ", "TA")


@pytest.fixture
def split(make_campaign: Any, people: Any, annotator: Any, side_of: Any) -> tuple[Campaign, Any]:
    """Two triplets on which one of two people always says A and the other B; a third decides."""
    campaign = make_campaign(2, votes_wanted=3)
    users = people(3)
    for user, labels in zip(users, (("A", "A"), ("B", "B"), ("A", "B")), strict=True):
        browser, given_to = annotator(user), iter(labels)
        while not (given := browser.next(campaign)).get("empty"):
            browser.vote(given, side_of(given, next(given_to)))
    return campaign, users


def answered(campaign: Campaign, user: Any, number: int, said: dict[str, Any]) -> ProbeAnswer:
    """This person's answers on gold whose right answer is A everywhere."""
    pair = campaign.triplets.order_by("pk").first()
    assert pair is not None
    probe = Probe.objects.create(
        campaign=campaign, kind=ProbeKind.GOLD, prompt=pair.prompt, video_a=pair.video_a,
        video_b=pair.video_b, expected=dict.fromkeys(KEYS, "A"), shuffle=number,
    )  # fmt: skip
    lease = ProbeLease.objects.create(
        probe=probe, campaign=campaign, annotator=user, swap=False, tab=uuid.uuid4(),
        state=ProbeLease.State.ANSWERED, expires_at=timezone.now(),
    )  # fmt: skip
    return ProbeAnswer.objects.create(
        lease=lease, annotator=user, campaign=campaign, kind=ProbeKind.GOLD,
        answers={key: {"label": label} for key, label in said.items()}, errors=0.0, req_hash="",
    )  # fmt: skip


def chance_of_a(campaign: Campaign, key: str) -> list[float]:
    refresh_posteriors(campaign)
    rows = Consensus.objects.filter(triplet__campaign=campaign, dimension__key=key)
    return [row.posterior[0] for row in rows.order_by("triplet")]


def test_who_is_right_on_gold_is_believed(split: tuple[Campaign, Any]) -> None:
    campaign, (first, second, _) = split
    before = chance_of_a(campaign, "VQ")
    for number in range(12):
        answered(campaign, first, number, dict.fromkeys(KEYS, "A"))
        answered(campaign, second, 100 + number, {"VQ": "B", "MQ": "invalid"})
    after = chance_of_a(campaign, "VQ")
    assert all(now > then for now, then in zip(after, before, strict=True))
    assert min(after) > 0.5
    labels = Consensus.objects.filter(triplet__campaign=campaign, dimension__key="VQ")
    assert sorted(row.label for row in labels) == ["A", "B"]  # the majority's, as it was


def test_a_revised_answer_on_gold_counts_as_it_stands(split: tuple[Campaign, Any]) -> None:
    campaign, (first, *_) = split
    before = chance_of_a(campaign, "VQ")
    for number in range(12):
        answer = answered(campaign, first, number, {"VQ": "A"})
        ProbeAnswer.objects.filter(pk=answer.pk).update(superseded=True)
    assert chance_of_a(campaign, "VQ") == before
