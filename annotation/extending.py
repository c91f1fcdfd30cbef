"""More votes: on every triplet of a campaign, or on some that something depends on.

Slots are added and complete triplets open again, in the order of locks that votes take (triplet,
then slots), some hundred triplets at a time, so that people go on voting meanwhile. What is there
already is not added again: a call that was cut off is simply made once more.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.db.models import OuterRef, Subquery

from annotation import voting
from annotation.campaign_options import OPTIONS
from annotation.errors import CampaignError
from annotation.held_clips import hold_clips_of
from annotation.importing import position_of
from annotation.models import Campaign, Slot, SlotState, Triplet, TripletState
from annotation.transactions import retried

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Extension:
    triplets: int  # that got slots
    slots: int
    reopened: int

    def __add__(self, other: "Extension") -> "Extension":
        return Extension(
            self.triplets + other.triplets,
            self.slots + other.slots,
            self.reopened + other.reopened,
        )


NOTHING: Final = Extension(0, 0, 0)


def extend_votes(campaign: Campaign, votes_wanted: int) -> Extension:
    """Ask for more votes per triplet than so far; those that were complete open again.

    Triplets that came with their labels are left alone, and so are withdrawn ones, and those with
    a withdrawn clip: nobody could be shown them.
    """
    _raise_wanted(campaign, votes_wanted)
    short = campaign.triplets.filter(need__gte=1, need__lt=votes_wanted)
    asked = short.exclude(state=TripletState.WITHDRAWN).order_by("pk").values_list("pk", flat=True)
    return want_votes(campaign, dict.fromkeys(asked, votes_wanted))


def _raise_wanted(campaign: Campaign, votes_wanted: int) -> None:
    try:
        OPTIONS["votes_wanted"](votes_wanted)
    except ValueError as error:
        raise CampaignError(f"votes_wanted is {votes_wanted!r}; expected {error}") from None
    raised = Campaign.objects.filter(pk=campaign.pk, votes_wanted__lte=votes_wanted)
    if not raised.update(votes_wanted=votes_wanted):
        campaign.refresh_from_db(fields=["votes_wanted"])
        raise CampaignError(
            f"the campaign {campaign.name!r} asks for {campaign.votes_wanted} votes per triplet;"
            f" fewer, {votes_wanted}, would throw votes away"
        )
    campaign.refresh_from_db(fields=["votes_wanted"])


def want_votes(
    campaign: Campaign, wanted: Mapping[int, int], *, priority: int | None = None
) -> Extension:
    """See that each of these triplets (by id) wants at least so many votes.

    With a `priority`, the triplets are asked about before those of a lower one.
    """
    total = NOTHING
    for some in _chunks(sorted(wanted)):
        total += _want(campaign.pk, {pk: wanted[pk] for pk in some}, priority)
    campaign.refresh_from_db(fields=["triplets_done", "triplets_total"])
    return total


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    left = iter(ids)
    while some := list(islice(left, _CHUNK)):
        yield some


@retried
def _want(campaign_id: int, wanted: Mapping[int, int], priority: int | None) -> Extension:
    rows = Triplet.objects.filter(campaign=campaign_id, pk__in=wanted, need__gte=1)
    rows = rows.exclude(state=TripletState.WITHDRAWN).order_by("pk")
    withdrawn = hold_clips_of(rows)
    short = [
        each
        for each in rows.select_for_update(no_key=True)
        if each.need < wanted[each.pk] and withdrawn.isdisjoint((each.video_a_id, each.video_b_id))
    ]
    complete = [each.pk for each in short if each.state == TripletState.COMPLETE]
    for triplet in short:
        if priority is not None:
            triplet.priority = max(triplet.priority, priority)
    slots = [slot for triplet in short for slot in _slots(triplet, wanted[triplet.pk])]
    Slot.objects.bulk_create(slots)
    for triplet in short:
        triplet.need = wanted[triplet.pk]
    Triplet.objects.bulk_update(short, ["need", "priority"])
    if complete:
        voting.reopen(campaign_id, complete)
    return Extension(len(short), len(slots), len(complete))


def _slots(triplet: Triplet, wanted: int) -> Iterator[Slot]:
    place = position_of(triplet.priority, triplet.shuffle)
    for n in range(triplet.need + 1, wanted + 1):
        yield Slot(triplet=triplet, campaign_id=triplet.campaign_id, position=place, n=n)


def set_priorities(
    campaign: Campaign, priorities: Mapping[int, int], *, up_to: int | None = None
) -> int:
    """Give triplets (by id) their places in the queue; how many moved.

    With `up_to`, those that have a higher priority by then stay where they are.

    Slots follow their triplet, also those that are given out: if they come back, they come back to
    the new place.
    """
    moved = 0
    for some in _chunks(sorted(priorities)):
        moved += _move(campaign.pk, {pk: priorities[pk] for pk in some}, up_to)
    return moved


@retried
def _move(campaign_id: int, priorities: Mapping[int, int], up_to: int | None) -> int:
    rows = Triplet.objects.filter(campaign=campaign_id, pk__in=priorities, state=TripletState.OPEN)
    if up_to is not None:
        rows = rows.filter(priority__lte=up_to)
    locked = rows.order_by("pk").select_for_update(no_key=True)
    moved = [each for each in locked if each.priority != priorities[each.pk]]
    for triplet in moved:
        triplet.priority = priorities[triplet.pk]
    Triplet.objects.bulk_update(moved, ["priority"])
    for priority in {each.priority for each in moved}:
        some = [each.pk for each in moved if each.priority == priority]
        waiting = Slot.objects.filter(triplet__in=some).exclude(state=SlotState.VOTED)
        shuffle = Triplet.objects.filter(pk=OuterRef("triplet")).values("shuffle")
        waiting.update(position=Subquery(shuffle) + position_of(priority, 0))
    return len(moved)
