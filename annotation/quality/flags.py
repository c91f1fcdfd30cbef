"""Flags of annotators: a disturbing or broken clip leaves every queue at once.

The only writer of Flag and of `Video.withdrawn`. What a flag takes out is written on it, so that a
lead who dismisses it brings back exactly that.
"""

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from annotation import assigning
from annotation.cursors import count_answer, lock_cursor
from annotation.errors import BadFlag, ForeignLease, NotFound, VoteConflict
from annotation.held_clips import hold_clips
from annotation.models import (
    Campaign,
    Cursor,
    Flag,
    FlagKind,
    FlagState,
    Lease,
    Outbox,
    Probe,
    ProbeLease,
    Slot,
    SlotState,
    Triplet,
    TripletState,
    Video,
)
from annotation.quality import gold, probes
from annotation.queue import OPEN_AGAIN
from annotation.transactions import retried

WITHDRAWING: Final = (FlagKind.DISTURBING, FlagKind.BROKEN)
RULED: Final = (FlagKind.OTHER, FlagKind.RECOGNISED)  # an adjudicator looks at these pairs
SIDES: Final = ("left", "right", "")
_SENT: Final = "A lead asks for a ruling."
_AT_ONCE: Final = 500  # values in one SQL statement


@dataclass(frozen=True, slots=True)
class Report:
    """What an annotator says about what they were shown."""

    kind: str
    side: str = ""  # left, right; empty: both, or none in particular
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A lease on a pair of the queue or on a probe: flags treat them alike."""

    lease: Lease | ProbeLease
    campaign_id: int
    left: uuid.UUID
    right: uuid.UUID | None

    def clips(self, report: Report) -> list[uuid.UUID | None]:
        """Those that the flag is about; a clip that is taken out must be named, or both are."""
        if report.side == "right" and self.right is not None:
            return [self.right]
        if report.side:
            return [self.left]
        if report.kind not in WITHDRAWING:
            return [None]
        return [each for each in (self.left, self.right) if each is not None]


@retried
def raise_flag(token: uuid.UUID, user: User, report: Report) -> bool:
    """Keep the flag; True where its clips are out of the queues by it.

    Then the question is over, and counts as answered; after any other flag it goes on. The same
    flag sent again changes nothing.
    """
    if report.kind not in FlagKind.values or report.side not in SIDES:
        raise BadFlag(f"A flag is {', '.join(FlagKind.values)}, on the left, the right, or both.")
    shown = _shown(token, user)
    cursor, now = lock_cursor(shown.campaign_id, user)
    clips = shown.clips(report)
    if report.kind in WITHDRAWING:
        hold_clips(clips)
    known = _own_flags(shown, user).filter(kind=report.kind).values_list("video_id", flat=True)
    new = [clip for clip in clips if clip not in set(known)]
    for clip in new:
        _keep(shown, user, report, clip, now)
    if new and report.kind in WITHDRAWING:
        _end(shown, user, cursor, report, now=now)
    return report.kind in WITHDRAWING


@retried
def settle(flag_id: int, lead: User, *, uphold: bool) -> Flag:
    """A lead decides; NotFound, or the flag as it stands now. A dismissed clip comes back."""
    to = FlagState.UPHELD if uphold else FlagState.DISMISSED
    known = Flag.objects.filter(pk=flag_id).values_list("kind", "video_id").first()
    if known is None:
        raise NotFound("There is no such flag.")
    kind, clip = known
    if kind in WITHDRAWING and clip is not None:
        _hold_with_others(clip)
    flag = Flag.objects.select_for_update(no_key=True).get(pk=flag_id)
    moved = Flag.objects.filter(pk=flag.pk).exclude(state=to)
    changed = moved.update(state=to, settled_by=lead, settled_at=Now())
    if changed and flag.kind in WITHDRAWING and flag.video_id is not None:
        _follow(flag, flag.video_id, uphold=uphold)
    flag.refresh_from_db()
    return flag


@retried
def ask_for_ruling(triplets: Sequence[Triplet], lead: User) -> int:
    """Put complete pairs before an adjudicator, blind like all others; how many were not there."""
    known = waiting_for_ruling(each.pk for each in triplets)
    new = [each for each in triplets if each.pk not in known]
    made = Flag.objects.bulk_create(
        Flag(
            campaign_id=each.campaign_id,
            triplet=each,
            annotator=lead,
            kind=FlagKind.OTHER,
            note=_SENT,
        )
        for each in new
    )
    Outbox.objects.bulk_create(Outbox(kind="flag.raised", ref=str(flag.pk)) for flag in made)
    return len(made)


def ruling_given(triplet_id: int, user: User) -> None:
    """What a lead asked for is done; flags of annotators stay for a lead to settle."""
    asked = Flag.objects.filter(
        triplet=triplet_id, kind=FlagKind.OTHER, note=_SENT, state=FlagState.OPEN
    )
    asked.update(state=FlagState.UPHELD, settled_by=user, settled_at=Now())


def waiting_for_ruling(triplets: Iterable[int]) -> set[int]:
    """Those of the pairs that have an open flag by which they wait for an adjudicator."""
    wanted, found = sorted(triplets), set[int]()
    for start in range(0, len(wanted), _AT_ONCE):
        rows = Flag.objects.filter(
            triplet__in=wanted[start : start + _AT_ONCE], kind__in=RULED, state=FlagState.OPEN
        )
        found |= set(rows.values_list("triplet_id", flat=True))
    return found


def keep_out(clips: Iterable[uuid.UUID]) -> None:
    """Pairs that opened again go where their withdrawn clips are; these are held (`held_clips`).

    They come back with the clip, as those that were open when it was flagged.
    """
    for clip in sorted(clips):
        standing = Flag.objects.filter(video=clip, kind__in=WITHDRAWING).order_by("pk")
        flag = standing.exclude(state=FlagState.DISMISSED).first()
        if flag is not None:
            Flag.objects.filter(pk=flag.pk).update(**_withdraw(flag, clip))


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    Flag.objects.filter(annotator=user).exclude(note="").update(note="")


def of_campaign(campaign: Campaign) -> QuerySet[Flag]:
    """Open ones first, the newest first among them."""
    rows = with_people(Flag.objects.filter(campaign=campaign))
    return rows.annotate(settled=~Q(state=FlagState.OPEN)).order_by("settled", "-pk")


def with_people(flags: QuerySet[Flag]) -> QuerySet[Flag]:
    """With all that showing them needs."""
    return flags.select_related(
        *("annotator", "settled_by", "video__generator"),
        *("triplet__prompt", "probe__prompt"),
    )


def _shown(token: uuid.UUID, user: User) -> _Shown:
    lease = assigning.own_lease(token, user)
    if lease is not None:
        left = lease.left_id
        if left is None:
            raise NotFound("There is no such pair.")
        return _Shown(lease, lease.triplet.campaign_id, left, lease.right_id)
    probe_lease = ProbeLease.objects.select_related("probe").filter(pk=token).first()
    if probe_lease is None:
        raise NotFound("There is no such pair.")
    if probe_lease.annotator_id != user.pk:
        raise ForeignLease("This pair was given to somebody else.")
    first, second = probe_lease.probe.video_a_id, probe_lease.probe.video_b_id
    if probe_lease.swap and second is not None:
        first, second = second, first
    return _Shown(probe_lease, probe_lease.campaign_id, first, second)


def _own_flags(shown: _Shown, user: User) -> QuerySet[Flag]:
    of_question = (
        {"triplet": shown.lease.triplet_id}
        if isinstance(shown.lease, Lease)
        else {"probe": shown.lease.probe_id}
    )
    return Flag.objects.filter(annotator=user, **of_question)


def _keep(shown: _Shown, user: User, report: Report, clip: uuid.UUID | None, now: datetime) -> None:
    lease = shown.lease
    flag = Flag.objects.create(
        campaign_id=shown.campaign_id,
        triplet_id=lease.triplet_id if isinstance(lease, Lease) else None,
        probe_id=lease.probe_id if isinstance(lease, ProbeLease) else None,
        video_id=clip,
        annotator=user,
        kind=report.kind,
        note=report.note[:500],
        created_at=now,
    )
    Outbox.objects.create(kind="flag.raised", ref=str(flag.pk))
    if clip is not None and report.kind in WITHDRAWING:
        Flag.objects.filter(pk=flag.pk).update(**_withdraw(flag, clip))


def _end(shown: _Shown, user: User, cursor: Cursor, report: Report, *, now: datetime) -> None:
    """The question is over for this person, and paid like an answer where it was not answered."""
    if isinstance(shown.lease, ProbeLease):
        if shown.lease.answers.exists():
            return
        probes.end(shown.lease, cursor)
    else:
        with suppress(VoteConflict):
            assigning.skip(shown.lease.token, user, f"flag: {report.kind}")
        if shown.lease.votes.exists():
            return
    count_answer(cursor, now, None)


def _withdraw(flag: Flag, clip: uuid.UUID) -> dict[str, list[int]]:
    """Out of every queue, in every campaign; what went with it by this flag so far."""
    Video.objects.filter(pk=clip).update(withdrawn=True)
    retired = gold.retire_of_clip(clip)
    open_ones = Triplet.objects.filter(_shows(clip), state=TripletState.OPEN)
    rows = list(open_ones.select_for_update(no_key=True).order_by("pk"))
    gone = [row.pk for row in rows]
    Triplet.objects.filter(pk__in=gone).update(state=TripletState.WITHDRAWN)
    leased = Slot.objects.filter(triplet__in=gone, state=SlotState.LEASED)
    leased.update(**OPEN_AGAIN)
    _count(rows, -1)
    return {
        "withdrew": sorted({*flag.withdrew, *gone}),
        "retired": sorted({*flag.retired, *retired}),
    }


def _hold_with_others(clip: uuid.UUID) -> None:
    """The clip, and those beside which it is out: whether a pair comes back hangs on both."""
    pairs = Triplet.objects.filter(_shows(clip), state=TripletState.WITHDRAWN)
    asked = Probe.objects.filter(_shows(clip), active=False)
    rows = [*pairs.values_list("video_a", "video_b"), *asked.values_list("video_a", "video_b")]
    hold_clips({clip, *(each for row in rows for each in row)})


def _bring_back(clip: uuid.UUID) -> None:
    """The clip, and what left with it unless its other clip is out as well."""
    Video.objects.filter(pk=clip).update(withdrawn=False)
    theirs = Triplet.objects.filter(_shows(clip), state=TripletState.WITHDRAWN)
    theirs = theirs.exclude(video_a__withdrawn=True).exclude(video_b__withdrawn=True)
    rows = list(theirs.select_for_update(of=("self",), no_key=True).order_by("pk"))
    clips = {each for row in rows for each in (row.video_a_id, row.video_b_id) if each}
    flags = list(Flag.objects.filter(video_id__in={clip, *clips}))
    taken = {triplet for flag in flags for triplet in flag.withdrew}
    back = [row for row in rows if row.pk in taken]
    Triplet.objects.filter(pk__in=[row.pk for row in back]).update(state=TripletState.OPEN)
    _count(back, +1)
    gold.restore_all([probe for flag in flags for probe in flag.retired])


def _follow(flag: Flag, clip: uuid.UUID, *, uphold: bool) -> None:
    if uphold:
        Flag.objects.filter(pk=flag.pk).update(**_withdraw(flag, clip))
        return
    standing = Flag.objects.filter(video=clip, kind__in=WITHDRAWING)
    if not standing.exclude(state=FlagState.DISMISSED).exists():
        _bring_back(clip)


def _shows(clip: uuid.UUID) -> Q:
    return Q(video_a=clip) | Q(video_b=clip)


def _count(triplets: Sequence[Triplet], sign: int) -> None:
    """`triplets_total` counts what is wanted: withdrawn ones are not."""
    by_campaign: dict[int, int] = {}
    for each in triplets:
        by_campaign[each.campaign_id] = by_campaign.get(each.campaign_id, 0) + sign
    for campaign, change in sorted(by_campaign.items()):
        Campaign.objects.filter(pk=campaign).update(triplets_total=F("triplets_total") + change)
