"""What must be true of all votes at any time, asked of the database itself.

The constraints make most of it impossible to break; this finds what they cannot say, and whatever
somebody did by hand. Each finding is a sentence for an operator.
"""

from collections.abc import Iterator

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from annotation.models import (
    Campaign,
    Consensus,
    ConsensusSource,
    Cursor,
    Outbox,
    ProbeAnswer,
    ProbeLease,
    ProbeLeaseState,
    Slot,
    SlotState,
    Triplet,
    TripletState,
    Vote,
    VoteState,
)


def broken_promises(campaign: Campaign) -> list[str]:
    """Everything that is wrong with the votes of a campaign; empty if all is well."""
    return [
        *_of_triplets(campaign),
        *_of_slots(campaign),
        *_of_votes(campaign),
        *_of_probes(campaign),
        *_of_counters(campaign),
    ]


def _of_triplets(campaign: Campaign) -> Iterator[str]:
    triplets = Triplet.objects.filter(campaign=campaign).annotate(
        counted=Count("votes", filter=Q(votes__state=VoteState.COUNTED), distinct=True)
    )
    voted = triplets.filter(need__gt=0)
    complete = voted.filter(state=TripletState.COMPLETE)
    yield from _named(voted.filter(counted__gt=F("need")), "has more counted votes than wanted")
    yield from _named(complete.filter(counted__lt=F("need")), "is complete without its votes")
    full = voted.filter(state=TripletState.OPEN, counted__gte=F("need"))
    yield from _named(full, "has all its votes but is still open")
    yield from _of_consensus(voted)
    slots = Slot.objects.filter(triplet=OuterRef("pk")).order_by().values("triplet")
    made = Subquery(slots.annotate(made=Count("pk")).values("made"))
    counts = voted.annotate(slots_made=Coalesce(made, 0))
    yield from _named(counts.exclude(slots_made=F("need")), "has not one slot per wanted vote")
    told = set(Outbox.objects.filter(kind="triplet.complete").values_list("ref", flat=True))
    for pk in complete.values_list("pk", flat=True):
        if str(pk) not in told:
            yield f"triplet {pk} is complete, but nobody was told"


def _of_consensus(voted: QuerySet[Triplet]) -> Iterator[str]:
    of_triplet = Consensus.objects.filter(triplet=OuterRef("pk"))
    settled = of_triplet.exclude(source=ConsensusSource.IMPORT)
    complete = voted.filter(state=TripletState.COMPLETE)
    yield from _named(complete.filter(~Exists(settled)), "is complete without a consensus")
    by_votes = of_triplet.filter(source=ConsensusSource.VOTES)
    still_open = voted.filter(Exists(by_votes), state=TripletState.OPEN)
    yield from _named(still_open, "is open, but its votes are settled already")


def _of_slots(campaign: Campaign) -> Iterator[str]:
    slots = Slot.objects.filter(campaign=campaign)
    counted = Vote.objects.filter(slot=OuterRef("pk"), state=VoteState.COUNTED)
    for pk in slots.filter(~Exists(counted), state=SlotState.VOTED).values_list("pk", flat=True):
        yield f"slot {pk} is voted, but has no vote"
    votes = Vote.objects.filter(triplet__campaign=campaign, state=VoteState.COUNTED)
    astray = votes.exclude(
        slot__state=SlotState.VOTED, slot__triplet=F("triplet"), slot__holder=F("annotator")
    )
    for vote in astray.values_list("pk", flat=True):
        yield f"vote {vote} is counted, but its slot is not its own"
    wanted = campaign.dimension_set.dimensions.count()
    short = Vote.objects.filter(triplet__campaign=campaign).annotate(spoken=Count("judgements"))
    for vote in short.exclude(spoken=wanted).values_list("pk", flat=True):
        yield f"vote {vote} does not speak of each dimension once"


def _of_votes(campaign: Campaign) -> Iterator[str]:
    votes = Vote.objects.filter(triplet__campaign=campaign)
    for vote in votes.exclude(campaign=F("triplet__campaign")).values_list("pk", flat=True):
        yield f"vote {vote} is counted in another campaign than its triplet's"
    strange = votes.exclude(guideline=None).exclude(guideline__campaign=campaign)
    for vote in strange.values_list("pk", flat=True):
        yield f"vote {vote} was given under the guideline of another campaign"


def _of_probes(campaign: Campaign) -> Iterator[str]:
    open_ones = ProbeLease.objects.filter(campaign=campaign, state=ProbeLeaseState.OPEN)
    in_hand = Cursor.objects.filter(
        probe=OuterRef("pk"), campaign=campaign, annotator=OuterRef("annotator")
    )
    for lease in open_ones.filter(~Exists(in_hand)).values_list("pk", flat=True):
        yield f"probe lease {lease} is open, but in nobody's hand"
    held = open_ones.filter(pk=OuterRef("probe"), annotator=OuterRef("annotator"))
    cursors = Cursor.objects.filter(campaign=campaign, probe__isnull=False)
    for pk in cursors.filter(~Exists(held)).values_list("pk", flat=True):
        yield f"cursor {pk} holds a probe that is not open"
    answers = ProbeAnswer.objects.filter(campaign=campaign)
    newest = answers.filter(superseded=False).values("lease").annotate(n=Count("pk"))
    for lease in newest.filter(n__gt=1).values_list("lease", flat=True):
        yield f"probe lease {lease} has more than one answer that stands"
    unanswered = ProbeLease.objects.filter(campaign=campaign, state=ProbeLeaseState.ANSWERED)
    said = answers.filter(lease=OuterRef("pk"), superseded=False)
    for lease in unanswered.filter(~Exists(said)).values_list("pk", flat=True):
        yield f"probe lease {lease} is answered, but has no answer"


def _of_counters(campaign: Campaign) -> Iterator[str]:
    campaign = Campaign.objects.get(pk=campaign.pk)
    # A withdrawn triplet is not wanted any more.
    total = campaign.triplets.exclude(state=TripletState.WITHDRAWN).count()
    done = campaign.triplets.filter(state=TripletState.COMPLETE).count()
    if (campaign.triplets_done, campaign.triplets_total) != (done, total):
        yield (
            f"campaign {campaign.pk} counts {campaign.triplets_done} of"
            f" {campaign.triplets_total} triplets, but has {done} of {total}"
        )
    live = dict(
        Vote.objects.live()
        .filter(triplet__campaign=campaign)
        .values_list("annotator_id")
        .annotate(votes=Count("pk"))
        .order_by()
    )
    for cursor in Cursor.objects.filter(campaign=campaign):
        if cursor.votes != live.get(cursor.annotator_id, 0):
            yield (
                f"annotator {cursor.annotator_id} counts {cursor.votes} votes,"
                f" but has {live.get(cursor.annotator_id, 0)}"
            )
    answers = dict(
        ProbeAnswer.objects.filter(campaign=campaign, revision=1)
        .values_list("annotator_id")
        .annotate(answers=Count("pk"))
        .order_by()
    )
    for cursor in Cursor.objects.filter(campaign=campaign):
        if cursor.questions < cursor.votes + answers.get(cursor.annotator_id, 0):
            yield f"annotator {cursor.annotator_id} counts fewer questions than they answered"


def _named(triplets: QuerySet[Triplet], what: str) -> Iterator[str]:
    for pk in triplets.values_list("pk", flat=True):
        yield f"triplet {pk} {what}"
