"""Which probe is given when: hidden among the pairs of the queue, never two in a row.

Whether one is due is drawn from a keyed hash of (campaign, annotator, number of the question): a
test can hold it, an annotator cannot foretell it.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from django.conf import settings
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from annotation.models import (
    Campaign,
    Cursor,
    Probe,
    ProbeKind,
    ProbeLease,
    ProbeLeaseState,
    Stage,
    TripletState,
    Vote,
)
from annotation.offers import Assignment, Empty, StageProgress
from annotation.quality import gold, qualifying

REPEAT_AFTER: Final = 20  # own votes in between, at least
_REPEAT_WITHIN: Final = 100  # and not too long ago either, while there are enough
HIDDEN: Final = (ProbeKind.GOLD, ProbeKind.REPEAT)


class InHand(Protocol):
    """A lease on a slot, as far as the order of what a tab shows goes."""

    @property
    def tab(self) -> uuid.UUID: ...

    @property
    def issued_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class _Draw:
    """What chance says about one question of one annotator."""

    due: float  # in [0, 1)
    start: int  # in [0, 2**62)
    swap: bool


def give_if_due(
    campaign: Campaign,
    cursor: Cursor,
    tab: uuid.UUID,
    now: datetime,
    *,
    live: Sequence[InHand] = (),
    prefetch: bool = False,
) -> Assignment | Empty | None:
    """A probe, or why there is nothing to do, or None: then a pair of the queue is due.

    Under the lock of the cursor, before a slot is taken or shown again. `live`: the own live slot
    leases of this campaign, oldest first; `cursor.probe` tells whether a probe is in hand besides.
    While somebody works and no probe is due, this asks the database nothing.
    """
    qualifying.keep_in_step(campaign, cursor, now)
    held = _in_hand(cursor, now)
    if held is not None:
        return _again(held, campaign, cursor, tab, live, prefetch=prefetch)
    if cursor.stage in qualifying.STAGES:
        found = qualifying.next_question(campaign, cursor, now)
        return _give_to_qualify(found, cursor, tab, now)
    # A tab that has a pair already shows that one again.
    if not prefetch and any(each.tab == tab for each in live):
        return None
    number = cursor.questions + len(live) + 1
    probe, swap = _due(campaign, cursor, number, draw(cursor, number))
    if probe is None:
        return None
    cursor.last_probe = number
    return _assignment(_lease(probe, cursor, tab, now, swap=swap), cursor)


def draw(cursor: Cursor, number: int) -> _Draw:
    said = f"{cursor.campaign_id}|{cursor.annotator_id}|{number}"
    bits = salted_hmac("annotation.probes", said, algorithm="sha256").digest()
    return _Draw(
        due=int.from_bytes(bits[:8]) / 2**64,
        start=int.from_bytes(bits[8:16]) >> 2,
        swap=bits[16] % 2 == 1,
    )


def kind_due(campaign: Campaign, chance: float) -> str:
    """Gold, a repeat, or nothing, so that their shares of the stream are those of the campaign.

    After a probe one question is free of them. With a chance of c at all others the gap between two
    is 1 + 1/c questions, so a share of s wants c = s / (1 - s).
    """
    share = campaign.gold_share + campaign.repeat_share
    if share <= 0:
        return ""
    due = share / (1 - share) if share < 0.5 else 1.0
    if chance >= due:
        return ""
    return ProbeKind.GOLD if chance < due * campaign.gold_share / share else ProbeKind.REPEAT


def live(cursor: Cursor, now: datetime) -> ProbeLease | None:
    """The probe in hand; nothing is asked of the database where there is none."""
    if cursor.probe is None:
        return None
    held = with_clips().filter(pk=cursor.probe, state=ProbeLeaseState.OPEN)
    # A clip of it may have been withdrawn meanwhile.
    lease = held.filter(probe__active=True).first()
    return lease if lease is not None and lease.expires_at > now else None


def _in_hand(cursor: Cursor, now: datetime) -> ProbeLease | None:
    held = live(cursor, now)
    if held is None and cursor.probe is not None:
        expired = ProbeLease.objects.filter(pk=cursor.probe, state=ProbeLeaseState.OPEN)
        expired.update(state=ProbeLeaseState.RELEASED)
        Cursor.objects.filter(pk=cursor.pk).update(probe=None)
        cursor.probe = None
    return held


def _again(
    held: ProbeLease,
    campaign: Campaign,
    cursor: Cursor,
    tab: uuid.UUID,
    live: Sequence[InHand],
    *,
    prefetch: bool,
) -> Assignment | Empty | None:
    """A reload shows the oldest that the tab holds; before work there is one question at a time."""
    if cursor.stage in qualifying.STAGES:
        if prefetch:
            return Empty(_("Here is one question at a time; the next comes after this one."))
        ProbeLease.objects.filter(pk=held.pk).update(tab=tab)
        progress = qualifying.progress(campaign, cursor, held.attempt)
        return _assignment(held, cursor, progress)
    older = [each for each in live if each.tab == tab and each.issued_at <= held.issued_at]
    return None if prefetch or held.tab != tab or older else _assignment(held, cursor)


def _due(
    campaign: Campaign, cursor: Cursor, number: int, chance: _Draw
) -> tuple[Probe | None, bool]:
    """The hidden probe for this question and its sides, if one is due and there is one left."""
    if cursor.last_probe and number < cursor.last_probe + 2:
        return None, False
    kind = kind_due(campaign, chance.due)
    if kind == ProbeKind.GOLD:
        return _gold_for(cursor, chance.start), chance.swap
    if kind == ProbeKind.REPEAT:
        return _repeat_for(cursor, chance.start)
    return None, False


def unseen_gold(campaign_id: int, annotator_id: int) -> QuerySet[Probe]:
    """Gold that this person has neither been shown nor voted on as a pair of the queue."""
    seen = ProbeLease.objects.filter(probe=OuterRef("pk"), annotator_id=annotator_id)
    voted = Vote.objects.filter(triplet=OuterRef("triplet"), annotator_id=annotator_id)
    return Probe.objects.filter(
        ~Exists(seen.exclude(state=ProbeLeaseState.RELEASED)),
        ~Exists(voted),
        campaign_id=campaign_id,
        kind=ProbeKind.GOLD,
        active=True,
    )


def _gold_for(cursor: Cursor, start: int) -> Probe | None:
    """From a place of one's own in the circle, so that people do not all meet the same ones."""
    left = unseen_gold(cursor.campaign_id, cursor.annotator_id)
    passed = ExpressionWrapper(Q(shuffle__lt=start), BooleanField())
    left = left.select_related("prompt__image", "video_a", "video_b")
    return left.order_by(passed, "shuffle").first()


def _repeat_for(cursor: Cursor, start: int) -> tuple[Probe | None, bool]:
    """An own earlier pair, with the sides the other way round."""
    votes = (
        Vote.objects.live()
        .filter(campaign_id=cursor.campaign_id, annotator_id=cursor.annotator_id)
        .exclude(triplet__state=TripletState.WITHDRAWN)
        .exclude(triplet__video_a__withdrawn=True)
        .exclude(triplet__video_b__withdrawn=True)
        .order_by("-submitted_at")
    )
    old_enough = votes[REPEAT_AFTER : REPEAT_AFTER + _REPEAT_WITHIN]
    triplets = dict(old_enough.values_list("triplet_id", "pk"))
    known = set(
        Probe.objects.filter(
            annotator_id=cursor.annotator_id, origin__triplet__in=triplets
        ).values_list("origin__triplet_id", flat=True)
    )
    left = [pk for triplet, pk in triplets.items() if triplet not in known]
    if not left:
        return None, False
    clips = ("triplet__prompt__image", "triplet__video_a", "triplet__video_b")
    vote = Vote.objects.select_related(*clips).get(pk=left[start % len(left)])
    said = {
        each.dimension.key: each.label or int(each.score_a or 0)
        for each in vote.judgements.select_related("dimension")
    }
    return gold.make_repeat(vote, said), not vote.swap


def _give_to_qualify(
    found: qualifying.StageQuestion | Empty | None,
    cursor: Cursor,
    tab: uuid.UUID,
    now: datetime,
) -> Assignment | Empty | None:
    if not isinstance(found, qualifying.StageQuestion):
        return found
    swap = draw(cursor, cursor.questions + 1).swap
    lease = _lease(found.probe, cursor, tab, now, swap=swap, attempt=found.attempt)
    return _assignment(lease, cursor, found.progress)


def _lease(
    probe: Probe,
    cursor: Cursor,
    tab: uuid.UUID,
    now: datetime,
    *,
    swap: bool,
    attempt: int = 0,
) -> ProbeLease:
    lease = ProbeLease.objects.create(
        probe=probe,
        campaign_id=cursor.campaign_id,
        annotator_id=cursor.annotator_id,
        swap=swap and probe.video_b_id is not None,
        attempt=attempt,
        tab=tab,
        issued_at=now,
        expires_at=now + lease_time(),
    )
    cursor.probe = lease.pk
    Cursor.objects.filter(pk=cursor.pk).update(probe=lease.pk, last_probe=cursor.last_probe)
    return lease


def _assignment(
    lease: ProbeLease, cursor: Cursor, progress: StageProgress | None = None
) -> Assignment:
    probe = lease.probe
    left, right = sides(probe.video_a, probe.video_b, swap=lease.swap)
    return Assignment(
        token=lease.pk,
        prompt=probe.prompt,
        left=left,
        right=right,
        expires_at=lease.expires_at,
        mine=cursor.questions,
        stage=Stage.WORKING if probe.kind in HIDDEN else probe.kind,
        stage_progress=progress,
    )


def sides(a: Any, b: Any, *, swap: bool) -> tuple[Any, Any]:
    """Left and right on the screen; a single clip is always left."""
    return (b, a) if swap else (a, b)


def with_clips() -> QuerySet[ProbeLease]:
    return ProbeLease.objects.select_related(
        "campaign", "probe__prompt__image", "probe__video_a", "probe__video_b"
    )


def lease_time() -> timedelta:
    return timedelta(seconds=settings.TIEBREAK_LEASE_SECONDS)
