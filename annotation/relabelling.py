"""Chosen pairs go back to people: as a campaign of their own, to more voters, or to a ruling.

Why they were chosen is said to nobody who votes: a campaign of chosen pairs is named and set up
like the one that they come from. People who have judged a pair are not asked about it once more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from annotation import assigning
from annotation.campaign_options import OPTIONS
from annotation.campaigns import check_name
from annotation.cloning import clone_campaign, free_name
from annotation.errors import CampaignError
from annotation.extending import want_votes
from annotation.importing import create_triplets
from annotation.models import (
    Adjudication,
    Campaign,
    CampaignKind,
    CampaignState,
    Triplet,
    TripletState,
    Vote,
)
from annotation.permissions import ANNOTATOR
from annotation.quality import flags

MOST: Final = 5_000  # pairs sent back at once, while a browser waits
_AT_ONCE: Final = 500


class Way(StrEnum):
    RELABEL = "relabel"  # a campaign of their own, with new people
    MORE_VOTES = "more_votes"  # in the campaign where they are
    ADJUDICATE = "adjudicate"  # one lead settles them, blind


@dataclass(frozen=True, slots=True)
class Sending:
    """How pairs go back. `votes`: of each pair, by new people; a ruling takes none."""

    way: Way
    votes: int = 0
    name: str = ""  # of the new campaign; empty: the old one's with a number


@dataclass(frozen=True, slots=True)
class Outlook:
    """What sending would ask, counted before anything is written.

    `left_out`: pairs that cannot go this way, by the reason. `short_of_people`: pairs for which
    fewer people are left than votes are wanted; they would wait for new accounts.
    """

    pairs: int
    votes: int
    left_out: Mapping[str, int]
    short_of_people: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the pairs are now, and how many were new there."""

    campaign: Campaign
    pairs: int


def outlook(campaign: Campaign, triplets: Sequence[int], sending: Sending) -> Outlook:
    """What would be asked; nothing is written. CampaignError where it cannot be at all."""
    _check(campaign, triplets, sending)
    fit, left_out = _sorted_out(campaign, triplets, sending)
    return Outlook(
        pairs=len(fit),
        votes=len(fit) * sending.votes,
        left_out=left_out,
        short_of_people=_short(campaign, fit, sending.votes),
    )


def send_back(campaign: Campaign, triplets: Sequence[int], sending: Sending, lead: User) -> Sent:
    """Do it; CampaignError where nothing is left to send."""
    _check(campaign, triplets, sending)
    fit, left_out = _sorted_out(campaign, triplets, sending)
    if not fit:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise CampaignError(f"none of these pairs can go this way: {why}")
    if sending.way is Way.RELABEL:
        return _relabel(campaign, fit, sending, lead)
    if sending.way is Way.MORE_VOTES:
        wanted = {each.pk: each.need + sending.votes for each in fit}
        return Sent(campaign, want_votes(campaign, wanted).triplets)
    return Sent(campaign, flags.ask_for_ruling(fit, lead))


def _check(campaign: Campaign, triplets: Sequence[int], sending: Sending) -> None:
    if campaign.kind != CampaignKind.PAIRWISE:
        raise CampaignError(
            f"the campaign {campaign.name!r} is of the kind {campaign.kind}; pairs go back from one"
            f" of the kind {CampaignKind.PAIRWISE.value} alone"
        )
    if not 1 <= len(set(triplets)) <= MOST:
        raise CampaignError(f"choose 1 to {MOST} pairs, got {len(set(triplets))}")
    if sending.way is Way.ADJUDICATE:
        return
    try:
        OPTIONS["votes_wanted"](sending.votes)
    except ValueError as error:
        raise CampaignError(f"votes is {sending.votes!r}; expected {error}") from None
    if sending.way is Way.RELABEL and sending.name:
        check_name(sending.name)
    if sending.way is Way.MORE_VOTES and campaign.state == CampaignState.CLOSED:
        raise CampaignError(
            f"the campaign {campaign.name!r} is closed and takes no votes; open it again, or send"
            " the pairs to a campaign of their own"
        )


def _sorted_out(
    campaign: Campaign, triplets: Sequence[int], sending: Sending
) -> tuple[list[Triplet], dict[str, int]]:
    """The pairs that can go this way, in the order in which they were named; the others by why."""
    rows = {each.pk: each for each in _rows(campaign, triplets)}
    ruled = _ruled(rows) if sending.way is Way.ADJUDICATE else frozenset[int]()
    fit, left_out = [], defaultdict[str, int](int)
    for pk in dict.fromkeys(triplets):
        why = _unfit(rows.get(pk), sending.way, ruled)
        if why:
            left_out[why] += 1
        else:
            fit.append(rows[pk])
    return fit, dict(left_out)


def _unfit(triplet: Triplet | None, way: Way, ruled: frozenset[int]) -> str:
    """Why a pair cannot go this way; empty if it can."""
    if triplet is None:
        return "are not pairs of this campaign"
    if triplet.video_b is None or triplet.video_a.withdrawn or triplet.video_b.withdrawn:
        return "have a withdrawn clip"
    if triplet.state != TripletState.COMPLETE:
        return "still wait for votes"
    if way is Way.MORE_VOTES and not triplet.need:
        return "came with their labels and take no votes in this campaign"
    if triplet.pk in ruled:
        return "were ruled on, or wait for a ruling, already"
    return ""


def _rows(campaign: Campaign, triplets: Sequence[int]) -> list[Triplet]:
    found: list[Triplet] = []
    wanted = sorted(set(triplets))
    for start in range(0, len(wanted), _AT_ONCE):
        some = campaign.triplets.filter(pk__in=wanted[start : start + _AT_ONCE])
        found += some.select_related("prompt", "video_a", "video_b")
    return found


def _ruled(triplets: Mapping[int, Triplet]) -> frozenset[int]:
    wanted, found = sorted(triplets), set(flags.waiting_for_ruling(triplets))
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Adjudication.objects.filter(triplet__in=wanted[start : start + _AT_ONCE])
        found |= set(rows.values_list("triplet_id", flat=True))
    return frozenset(found)


@transaction.atomic
def _relabel(campaign: Campaign, fit: Sequence[Triplet], sending: Sending, lead: User) -> Sent:
    """A draft like the campaign, with these pairs and nobody who has judged them."""
    name = sending.name or free_name(campaign.name)
    made = clone_campaign(campaign, name, lead, votes_wanted=sending.votes)
    # In the order of the choice people could read how contested a pair is; slots are shuffled.
    pairs = [(each.prompt, each.video_a, each.video_b) for each in fit]
    new = create_triplets(made, pairs)
    earlier = _voters([each.pk for each in fit])
    assigning.pass_over(
        (again.pk, person)
        for before, again in zip(fit, new, strict=True)
        for person in earlier[before.pk]
    )
    made.refresh_from_db()
    return Sent(made, len(new))


def _voters(triplets: Sequence[int]) -> dict[int, set[int]]:
    """Who has a standing word, here or in an earlier campaign about the same two clips."""
    found: dict[int, set[int]] = defaultdict(set)
    for start in range(0, len(triplets), _AT_ONCE):
        some = list(Triplet.objects.filter(pk__in=triplets[start : start + _AT_ONCE]))
        by_clips = {frozenset((each.video_a_id, each.video_b_id)): each.pk for each in some}
        clips = {clip for pair in by_clips for clip in pair}
        votes = Vote.objects.live().filter(
            Q(triplet__video_a__in=clips) & Q(triplet__video_b__in=clips)
        )
        rows = votes.values_list("triplet__video_a_id", "triplet__video_b_id", "annotator_id")
        for a, b, person in rows.iterator(chunk_size=5000):
            if frozenset((a, b)) in by_clips:
                found[by_clips[frozenset((a, b))]].add(person)
    return found


def _short(campaign: Campaign, fit: Sequence[Triplet], votes: int) -> int:
    """Pairs for which fewer people are left than votes are wanted."""
    if not votes:
        return 0
    allowed = User.objects.filter(is_active=True, groups__name=ANNOTATOR)
    if not campaign.open_to_all:
        allowed = allowed.filter(campaigns=campaign)
    people = set(allowed.values_list("pk", flat=True))
    earlier = _voters([each.pk for each in fit])
    return sum(len(people - earlier[each.pk]) < votes for each in fit)
