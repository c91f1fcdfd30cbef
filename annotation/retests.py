"""Blind campaigns of a candidate against its base: opened by a run, voted on like any other.

Whoever votes learns nothing: the campaign has a neutral name, the clips have random ids, A and B
are dealt anew for each pair, and left and right for each vote (`assigning.swapped`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.crypto import salted_hmac

from annotation.campaigns import close_campaign, create_campaign, open_campaign
from annotation.errors import CampaignError
from annotation.importing import create_triplets
from annotation.models import (
    Campaign,
    CampaignKind,
    CampaignState,
    Consensus,
    ConsensusSource,
    Cursor,
    Judgement,
    Prompt,
    Slot,
    SlotState,
    Stage,
    Triplet,
    TripletState,
    Video,
    VoteState,
)
from formats.labels import Label

_SAYS_NOTHING: Final = {"", "base", "candidate"}  # words that name no model


@dataclass(frozen=True, slots=True)
class BlindPair:
    """Clips of both sides for one prompt and seed."""

    prompt: Prompt
    base: Video
    candidate: Video


@dataclass(frozen=True, slots=True)
class Opened:
    """A pair that people are asked about. `candidate_is`: `A` or `B`."""

    triplet: int
    candidate_is: str


@dataclass(frozen=True, slots=True)
class BlindWish:
    """What is asked, of whom. `hidden`: names that nobody may read in what annotators see.

    `annotators`: only these people; none means everybody who may vote.
    """

    name: str
    dimension_set: str
    made_by: str
    votes_wanted: int = 2
    extra_votes: int = 1
    instructions: str = ""
    annotators: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def open_retest(
    wish: BlindWish, pairs: Sequence[BlindPair], user: User | None
) -> tuple[Campaign, list[Opened]]:
    """Make the campaign with these pairs and open it, all of it or nothing.

    The same maker again gets the campaign that it has opened before.
    """
    refuse_telling(wish)
    with transaction.atomic():
        campaign = Campaign.objects.filter(made_by=wish.made_by).first()
        if campaign is None:
            campaign = _made(wish, user)
        dealt = [_dealt(wish.made_by, pair) for pair in pairs]
        clips = [
            (pair.prompt, *((pair.candidate, pair.base) if is_a else (pair.base, pair.candidate)))
            for pair, is_a in zip(pairs, dealt, strict=True)
        ]
        triplets = create_triplets(campaign, clips)
        if campaign.state == CampaignState.DRAFT:
            open_campaign(campaign)
    found = zip(triplets, pairs, strict=True)
    return campaign, [Opened(each.pk, _side(each, pair)) for each, pair in found]


def _made(wish: BlindWish, user: User | None) -> Campaign:
    campaign = create_campaign(
        wish.name,
        wish.dimension_set,
        votes_wanted=wish.votes_wanted,
        created_by=user,
        made_by=wish.made_by,
        kind=CampaignKind.RETEST,
        extra_votes=wish.extra_votes,
        instructions=wish.instructions,
        open_to_all=not wish.annotators,
    )
    campaign.members.set(people_named(wish.annotators))
    return campaign


def people_named(names: Iterable[str]) -> list[User]:
    """CampaignError where there is no such account."""
    wanted = list(dict.fromkeys(names))
    found = {each.get_username(): each for each in User.objects.filter(username__in=wanted)}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise CampaignError(f"there is no account {missing[0]!r} that could vote")
    return list(found.values())


def refuse_telling(wish: BlindWish) -> None:
    """CampaignError where what annotators read names one of the sides."""
    for where, text in (("name", wish.name), ("instructions", wish.instructions)):
        for hidden in wish.hidden:
            if hidden.casefold() not in _SAYS_NOTHING and _says(text, hidden):
                raise CampaignError(
                    f"the {where} of a re-test is read by those who vote and must not say"
                    f" {hidden!r}"
                )


def _says(text: str, name: str) -> bool:
    """Whether it stands there as a word of its own."""
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))


def _dealt(made_by: str, pair: BlindPair) -> bool:
    """Whether the candidate is A: by chance, and the same when the run is tried again."""
    said = f"{made_by}|{pair.prompt.sha256}|{pair.base.pk}|{pair.candidate.pk}"
    return salted_hmac("annotation.retests", said, algorithm="sha256").digest()[0] % 2 == 1


def _side(triplet: Triplet, pair: BlindPair) -> str:
    return Label.A.value if triplet.video_a_id == pair.candidate.pk else Label.B.value


# How far it is.


def votes_missing(campaign: Campaign) -> int:
    """Votes that the open pairs of a campaign still want."""
    slots = Slot.objects.filter(campaign=campaign, triplet__state=TripletState.OPEN)
    return slots.exclude(state=SlotState.VOTED).count()


def is_over(campaign: Campaign) -> bool:
    """Whether no further vote is to come: all are there, or a lead has closed the campaign."""
    done = campaign.triplets_done >= campaign.triplets_total
    return done or campaign.state == CampaignState.CLOSED


def end(campaign_id: int) -> None:
    """Nobody is asked any more, because the votes have been counted."""
    campaign = Campaign.objects.get(pk=campaign_id)
    if campaign.state != CampaignState.CLOSED:
        close_campaign(campaign)


# What was said.


@dataclass(frozen=True, slots=True)
class CastVote:
    """One vote that stands, in the order in which votes came."""

    triplet: int
    annotator: int
    counted: bool  # else surplus
    labels: dict[str, Label]


def votes_of(campaign: Campaign) -> list[CastVote]:
    """The newest word of each annotator on each pair that was not withdrawn."""
    rows = (
        Judgement.objects.filter(
            vote__campaign=campaign, vote__state__in=(VoteState.COUNTED, VoteState.SURPLUS)
        )
        .exclude(vote__triplet__state=TripletState.WITHDRAWN)
        .order_by("vote__submitted_at", "vote_id")
        .values_list(
            *("vote_id", "vote__triplet_id", "vote__annotator_id", "vote__state"),
            *("dimension__key", "label"),
        )
    )
    found: dict[object, CastVote] = {}
    for vote, triplet, annotator, state, key, label in rows.iterator(chunk_size=5000):
        cast = found.setdefault(vote, CastVote(triplet, annotator, state == VoteState.COUNTED, {}))
        cast.labels[key] = Label(label)
    return list(found.values())


def ruled(campaign: Campaign) -> dict[int, dict[str, Label]]:
    """What leads have settled by adjudication, by triplet and dimension."""
    rows = Consensus.objects.filter(
        triplet__campaign=campaign, source=ConsensusSource.ADJUDICATION, label__isnull=False
    )
    found: dict[int, dict[str, Label]] = {}
    for triplet, key, label in rows.values_list("triplet_id", "dimension__key", "label"):
        found.setdefault(triplet, {})[key] = Label(str(label))
    return found


def withdrawn_triplets(campaign: Campaign) -> set[int]:
    """Pairs of which a clip was taken out, before or after it was judged."""
    gone = Q(state=TripletState.WITHDRAWN) | Q(video_a__withdrawn=True) | Q(video_b__withdrawn=True)
    return set(campaign.triplets.filter(gone).values_list("pk", flat=True))


def complete_triplets(campaign: Campaign) -> set[int]:
    return set(campaign.triplets.complete().values_list("pk", flat=True))


def stopped(campaign: Campaign) -> dict[int, str]:
    """Annotators whose work was stopped for its quality, with the reason, by id."""
    rows = Cursor.objects.filter(campaign=campaign, stage__in=(Stage.PAUSED, Stage.FAILED))
    return {
        row.annotator_id: row.stage_reason or f"their work is {row.stage}"
        for row in rows.only("annotator_id", "stage", "stage_reason")
    }
