"""One person settles what people split on, blind: no names, no generators, no votes (D8).

The only writer of Adjudication; every ruling stays, the newest one stands. What people had said is
shown to the adjudicator afterwards.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac

from annotation.ballots import Ballot, Said, canonical
from annotation.errors import BadVote, NotFound
from annotation.models import (
    Adjudication,
    Campaign,
    CampaignKind,
    Consensus,
    ConsensusSource,
    Dimension,
    Flag,
    FlagState,
    Judgement,
    Prompt,
    SplitReason,
    Triplet,
    TripletState,
    Video,
    Vote,
    VoteState,
)
from annotation.quality.flags import RULED, ruling_given
from annotation.transactions import retried
from annotation.voting import settle_by_adjudication
from formats.labels import Label

UNCERTAIN: Final = (
    0.6  # where the likeliest label is less likely than this, people have not settled
)
_MOST_UNCERTAIN: Final = 200  # sorted by entropy; more wait their turn

SPLIT, UNSURE, FLAGGED = "split", "uncertain", "flagged"


@dataclass(frozen=True, slots=True)
class Case:
    """What the adjudicator sees."""

    triplet: Triplet
    why: str  # split | uncertain | flagged
    swap: bool
    waiting: int  # cases of this queue, this one included

    @property
    def prompt(self) -> Prompt:
        return self.triplet.prompt

    @property
    def left(self) -> Video:
        return self.triplet.video_b if self.swap and self.triplet.video_b else self.triplet.video_a

    @property
    def right(self) -> Video | None:
        return self.triplet.video_a if self.swap else self.triplet.video_b


@dataclass(frozen=True, slots=True)
class Ruling:
    ballot: Ballot
    reason: str  # SplitReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was settled, and what people had said: {key: {label on screen: votes}}."""

    adjudication: Adjudication
    settled: tuple[str, ...]  # keys of the dimensions that the ruling decides
    spread: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many cases wait, by why. A triplet is counted once, under the first that applies."""

    split: int
    uncertain: int
    flagged: int

    @property
    def total(self) -> int:
        return self.split + self.uncertain + self.flagged


def waiting(campaign: Campaign, user: User) -> Waiting:
    split, flagged = _split(campaign, user), _flagged(campaign, user)
    return Waiting(
        split=split.count(),
        uncertain=_uncertain(campaign, user).count(),
        flagged=flagged.count(),
    )


def next_case(campaign: Campaign, user: User, after: int = 0) -> Case | None:
    """Splits first, then what people left uncertain, then what they flagged.

    `after`: a triplet to pass over; the queue goes on behind it and begins anew at its end.
    """
    queues = (
        (SPLIT, _split(campaign, user)),
        (FLAGGED, _flagged(campaign, user)),
    )
    for why, queue in queues:
        triplet = _from(queue, after)
        if triplet is not None:
            return _case(triplet, why, user, queue.count())
    unsure = _by_entropy(campaign, user)
    rest = [pk for pk in unsure if pk != after] or unsure
    if not rest:
        return None
    return _case(_with_clips(campaign).get(pk=rest[0]), UNSURE, user, len(unsure))


def case_of(campaign: Campaign, triplet_id: int, user: User) -> Case:
    """A complete triplet by its id, to be settled again; NotFound where it is none."""
    found = _with_clips(campaign).filter(pk=triplet_id, state=TripletState.COMPLETE).first()
    if found is None or campaign.kind == CampaignKind.SINGLE:
        raise NotFound("There is no such pair to settle in this campaign.")
    return _case(found, FLAGGED, user, 1)


@retried
def settle(campaign: Campaign, triplet_id: int, user: User, ruling: Ruling) -> Verdict:
    """Keep the ruling and put it in the place of what the votes say; BadVote where it does not fit.

    It decides the dimensions that were open; on those that the votes had settled it is kept in the
    history only, unless the triplet is settled again or came by a flag.
    """
    if ruling.reason not in SplitReason.values:
        raise BadVote(f"The reason of a split is one of {', '.join(SplitReason.values)}.")
    triplet = case_of(campaign, triplet_id, user).triplet
    dimensions = list(Dimension.objects.filter(dimension_set=campaign.dimension_set_id))
    said, swap = _read(ruling.ballot, triplet, dimensions)
    labels = {each.dimension.key: str(each.label) for each in said}
    open_keys = _open_keys(triplet, list(labels))
    settle_by_adjudication(triplet, {key: labels[key] for key in open_keys})
    row = Adjudication.objects.create(
        triplet=triplet,
        adjudicator=user,
        swap=swap,
        labels=labels,
        reason=ruling.reason,
        note=ruling.note,
    )
    ruling_given(triplet.pk, user)
    return Verdict(row, tuple(open_keys), _spread(triplet, dimensions, swap=swap))


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    Adjudication.objects.filter(adjudicator=user).exclude(note="").update(note="")


def history(triplet: Triplet) -> QuerySet[Adjudication]:
    """All rulings on a triplet, the standing one first."""
    return triplet.adjudications.select_related("adjudicator").order_by("-created_at", "-pk")


def entropy(posterior: Iterable[float]) -> float:
    """In bits: 0 where one label is certain, log2(3) where nothing is known of three."""
    return -sum(each * math.log2(each) for each in posterior if each > 0)


# The queues. Nobody settles a pair on which they voted themselves.


def _candidates(campaign: Campaign, user: User) -> QuerySet[Triplet]:
    voted = Vote.objects.filter(triplet=OuterRef("pk"), annotator=user)
    rows = Triplet.objects.filter(~Exists(voted), campaign=campaign, state=TripletState.COMPLETE)
    return rows.filter(video_a__withdrawn=False, video_b__withdrawn=False).order_by("pk")


def _split(campaign: Campaign, user: User) -> QuerySet[Triplet]:
    if campaign.kind == CampaignKind.SINGLE:
        return Triplet.objects.none()  # scores are averaged: nothing is left open
    split = Consensus.objects.filter(
        triplet=OuterRef("pk"), label__isnull=True, source=ConsensusSource.VOTES
    )
    return _candidates(campaign, user).filter(Exists(split))


def _flagged(campaign: Campaign, user: User) -> QuerySet[Triplet]:
    if campaign.kind == CampaignKind.SINGLE:
        return Triplet.objects.none()
    flagged = Flag.objects.filter(triplet=OuterRef("pk"), kind__in=RULED, state=FlagState.OPEN)
    ruled = Adjudication.objects.filter(triplet=OuterRef("pk"))
    rows = _candidates(campaign, user).filter(Exists(flagged), ~Exists(ruled))
    return rows.exclude(pk__in=_split(campaign, user).values("pk"))


def _unsure_consensus() -> QuerySet[Consensus]:
    rows = Consensus.objects.filter(
        source=ConsensusSource.VOTES, label__isnull=False, posterior__isnull=False
    )
    return rows.filter(*(Q(**{f"posterior__{place}__lt": UNCERTAIN}) for place in range(3)))


def _uncertain(campaign: Campaign, user: User) -> QuerySet[Triplet]:
    if campaign.kind == CampaignKind.SINGLE:
        return Triplet.objects.none()
    unsure = _unsure_consensus().filter(triplet=OuterRef("pk"))
    rows = _candidates(campaign, user).filter(Exists(unsure))
    open_otherwise = [_split(campaign, user), _flagged(campaign, user)]
    return rows.exclude(pk__in=open_otherwise[0].values("pk")).exclude(
        pk__in=open_otherwise[1].values("pk")
    )


def _by_entropy(campaign: Campaign, user: User) -> list[int]:
    """Triplets, the least certain first."""
    ids = _uncertain(campaign, user).values("pk")
    rows = _unsure_consensus().filter(triplet__in=ids).values_list("triplet_id", "posterior")
    highest: dict[int, float] = {}
    for triplet, posterior in rows:
        highest[triplet] = max(highest.get(triplet, 0.0), entropy(posterior or ()))
    return sorted(highest, key=lambda pk: (-highest[pk], pk))[:_MOST_UNCERTAIN]


def _from(queue: QuerySet[Triplet], after: int) -> Triplet | None:
    rows = queue.select_related("campaign", "prompt__image", "video_a", "video_b")
    return (rows.filter(pk__gt=after).first() if after else None) or rows.first()


def _with_clips(campaign: Campaign) -> QuerySet[Triplet]:
    return Triplet.objects.filter(campaign=campaign).select_related(
        "campaign", "prompt__image", "video_a", "video_b"
    )


def _case(triplet: Triplet, why: str, user: User, waiting_now: int) -> Case:
    return Case(triplet, why, _swapped(triplet, user), waiting_now)


def _swapped(triplet: Triplet, user: User) -> bool:
    """Random, and the same after a reload."""
    said = f"{triplet.pk}|{user.pk}"
    return salted_hmac("annotation.adjudicating", said, algorithm="sha256").digest()[0] % 2 == 1


# Settling.


def _read(
    ballot: Ballot, triplet: Triplet, dimensions: Sequence[Dimension]
) -> tuple[list[Said], bool]:
    swap = ballot.left_video == str(triplet.video_b_id)
    clips = (triplet.video_a_id, triplet.video_b_id)
    shown = (clips[1], clips[0]) if swap else clips
    return canonical(ballot, triplet.campaign, dimensions, shown=shown, swap=swap), swap


def _open_keys(triplet: Triplet, keys: Sequence[str]) -> list[str]:
    """What is to be settled: without a label, uncertain, or settled by an adjudicator before."""
    rows = Consensus.objects.filter(triplet=triplet)
    undecided = (
        Q(label__isnull=True)
        | Q(source=ConsensusSource.ADJUDICATION)
        | Q(pk__in=_unsure_consensus().filter(triplet=triplet).values("pk"))
    )
    found = set(rows.filter(undecided).values_list("dimension__key", flat=True))
    return [key for key in keys if key in found] or list(keys)


def _spread(
    triplet: Triplet, dimensions: Sequence[Dimension], *, swap: bool
) -> dict[str, dict[str, int]]:
    sides = {Label.A: "right", Label.B: "left"} if swap else {Label.A: "left", Label.B: "right"}
    words = ("left", "tie", "right", "invalid")
    spread = {each.key: dict.fromkeys(words, 0) for each in dimensions}
    counted = Judgement.objects.filter(vote__triplet=triplet, vote__state=VoteState.COUNTED)
    for key, label in counted.values_list("dimension__key", "label"):
        if label is not None:
            spread[key][sides.get(Label(label), label)] += 1
    return spread
