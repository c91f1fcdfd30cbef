"""Who gets which pair: leases on slots, the walk through the queue, skips (RELIABILITY 3a).

Everything one annotator does in a campaign happens under the lock of their `Cursor` row. Locks are
always taken in the order cursor, triplet, slot. On PostgreSQL claims pass over slots that others
hold (`SKIP LOCKED`); on SQLite a transaction is the only writer (BEGIN IMMEDIATE), and Django
leaves the locking clauses out. The clock is the database's alone.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from annotation.errors import ForeignLease, LeaseExpired, NotFound, VoteConflict
from annotation.models import (
    Campaign,
    CampaignState,
    Cursor,
    Lease,
    Skip,
    Slot,
    SlotState,
    TripletState,
    Vote,
)
from annotation.transactions import retried

_OPEN_AGAIN: dict[str, Any] = {
    "state": SlotState.OPEN,
    "holder": None,
    "seat": None,
    "lease_token": None,
    "lease_expires": None,
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A pair that an annotator may judge until `expires_at`."""

    lease: Lease
    expires_at: datetime
    mine: int  # triplets of this campaign that the annotator has voted on


@dataclass(frozen=True, slots=True)
class Empty:
    """No pair now, and why, in a sentence."""

    reason: str
    retry_after: int = 10  # seconds


def lease_time() -> timedelta:
    return timedelta(seconds=settings.TIEBREAK_LEASE_SECONDS)


def lock_cursor(campaign_id: int, user: User) -> tuple[Cursor, datetime]:
    """The annotator's place in the campaign, locked, and the database's time."""
    rows = Cursor.objects.select_for_update(no_key=True).annotate(now=Now())
    cursor = rows.filter(campaign_id=campaign_id, annotator=user).first()
    if cursor is None:
        Cursor.objects.get_or_create(campaign_id=campaign_id, annotator=user)
        cursor = rows.get(campaign_id=campaign_id, annotator=user)
    return cursor, cursor.now


@retried
def claim(
    campaign: Campaign, user: User, tab: uuid.UUID, *, prefetch: bool = False
) -> Assignment | Empty:
    """Give the annotator a pair.

    A live lease of this tab is given again, so a reload never burns a pair; `prefetch` asks for a
    further one. At most TIEBREAK_LEASES_PER_ANNOTATOR are live; a tab beyond that gets the oldest,
    and who comes from another campaign gives the oldest of there back.
    """
    if campaign.state != CampaignState.OPEN:
        return Empty(f"This campaign is {campaign.state}; no pairs are given out.", 60)
    cursor, now = lock_cursor(campaign.pk, user)
    live, expired = _own_leases(user, now)
    full = len(live) >= settings.TIEBREAK_LEASES_PER_ANNOTATOR
    if not prefetch and (again := _to_show_again(live, campaign, tab, full=full)):
        return Assignment(again, again.slot.lease_expires or now, cursor.votes)
    if full and prefetch:
        return Empty("You hold as many pairs as one person may; finish one of them first.")
    if full:
        # All are of other campaigns: who comes here now does not work there.
        oldest = live.pop(0)
        Slot.objects.filter(pk=oldest.slot_id, lease_token=oldest.token).update(**_OPEN_AGAIN)
    if expired:
        Slot.objects.filter(pk__in=expired, holder=user).update(**_OPEN_AGAIN)
    slot = _next_slot(campaign, user, cursor, now)
    if slot is None:
        return _why_empty(campaign)
    seats = range(1, settings.TIEBREAK_LEASES_PER_ANNOTATOR + 1)
    seat = min(set(seats) - {lease.slot.seat for lease in live})
    return _lease(slot, cursor, tab, seat, now + lease_time())


def _own_leases(user: User, now: datetime) -> tuple[list[Lease], list[int]]:
    """The annotator's live leases, oldest first, and the slots of those whose time ran out."""
    held = list(
        Lease.objects.filter(annotator=user, slot__state=SlotState.LEASED, slot__holder=user)
        .filter(slot__lease_token=F("token"))
        .select_related("slot", "triplet__prompt", "triplet__video_a", "triplet__video_b")
        .order_by("issued_at", "token")
    )
    live = [each for each in held if each.slot.lease_expires and each.slot.lease_expires > now]
    return live, [each.slot_id for each in held if each not in live]


def _to_show_again(
    live: list[Lease], campaign: Campaign, tab: uuid.UUID, *, full: bool
) -> Lease | None:
    here = [lease for lease in live if lease.triplet.campaign_id == campaign.pk]
    of_tab = [lease for lease in here if lease.tab == tab]
    return next(iter(of_tab or (here if full else [])), None)


def _next_slot(campaign: Campaign, user: User, cursor: Cursor, now: datetime) -> Slot | None:
    """From the cursor to the end; then once from the start; open slots before expired ones.

    Open and expired are separate queries because one OR could not use both partial indexes.
    """
    mine = _not_judged_by(user, campaign)
    free = mine.filter(state=SlotState.OPEN)
    return (
        free.filter(position__gte=cursor.position).first()
        or free.filter(position__lt=cursor.position).first()
        or mine.filter(state=SlotState.LEASED, lease_expires__lte=now).first()
    )


def _not_judged_by(user: User, campaign: Campaign) -> QuerySet[Slot]:
    of_mine = {"triplet": OuterRef("triplet")}
    return (
        Slot.objects.filter(campaign=campaign, triplet__state=TripletState.OPEN)
        .filter(
            ~Exists(Vote.objects.filter(**of_mine, annotator=user)),
            ~Exists(Slot.objects.filter(**of_mine, holder=user)),
            ~Exists(Skip.objects.filter(**of_mine, annotator=user)),
        )
        .select_related("triplet__prompt", "triplet__video_a", "triplet__video_b")
        .select_for_update(skip_locked=True, of=("self",), no_key=True)
        .order_by("position", "id")
    )


def _why_empty(campaign: Campaign) -> Empty:
    if Slot.objects.filter(campaign=campaign, state=SlotState.LEASED).exists():
        return Empty("Others hold the last pairs right now; some may come back.")
    return Empty("You have judged every pair of this campaign that still needs votes.", 60)


def _lease(
    slot: Slot, cursor: Cursor, tab: uuid.UUID, seat: int, expires_at: datetime
) -> Assignment:
    token = uuid.uuid4()
    Slot.objects.filter(pk=slot.pk).update(
        state=SlotState.LEASED,
        holder=cursor.annotator_id,
        seat=seat,
        lease_token=token,
        lease_expires=expires_at,
        epoch=F("epoch") + 1,
    )
    triplet = slot.triplet
    lease = Lease.objects.create(
        token=token,
        annotator_id=cursor.annotator_id,
        slot=slot,
        triplet=triplet,
        swap=swapped(slot.n, triplet.shuffle),
        tab=tab,
    )
    Cursor.objects.filter(pk=cursor.pk).update(position=slot.position)
    return Assignment(lease, expires_at, cursor.votes)


def swapped(n: int, shuffle: int) -> bool:
    """Whether clip B stands on the left: random across triplets, balanced among the slots of one.

    A side that people like better can so not decide a triplet by chance.
    """
    return (n + shuffle) % 2 == 1


def renew(token: uuid.UUID, user: User) -> datetime:
    """Give the full time again, as long as nobody else took the slot; the new end."""
    held = Slot.objects.filter(lease_token=token, holder=user, state=SlotState.LEASED)
    if not held.update(lease_expires=Now() + lease_time()):
        _own_lease(token, user)
        raise LeaseExpired("Your time for this pair ran out; your vote on it is still accepted.")
    expires_at = held.values_list("lease_expires", flat=True).first()
    if expires_at is None:  # released or voted in another tab just now
        raise LeaseExpired("This pair was finished in another tab.")
    return expires_at


def release(token: uuid.UUID, user: User) -> bool:
    """Put the pair back at once; False if it was not held any more."""
    lease = _own_lease(token, user)
    held = Slot.objects.filter(pk=lease.slot_id, lease_token=token, holder=user)
    return bool(held.update(**_OPEN_AGAIN))


@retried
def skip(token: uuid.UUID, user: User, reason: str = "") -> None:
    """Pass on this pair for good; its slot goes to others."""
    lease = _own_lease(token, user)
    lock_cursor(lease.triplet.campaign_id, user)
    if Vote.objects.filter(triplet=lease.triplet_id, annotator=user).exists():
        raise VoteConflict("You have voted on this pair already; change the vote instead.")
    Skip.objects.get_or_create(
        triplet_id=lease.triplet_id, annotator=user, defaults={"reason": reason[:200]}
    )
    release(token, user)


def reopen_expired(campaign: Campaign) -> int:
    """Put all pairs back whose time ran out.

    Nothing needs it to be right, because a claim takes expired slots too; it only keeps old pairs
    from waiting until the open ones are through.
    """
    expired = Slot.objects.filter(campaign=campaign, state=SlotState.LEASED)
    expired = expired.filter(lease_expires__lte=Now())
    # A plain read first: with nothing to do, SQLite's write lock is left to those who vote.
    return expired.update(**_OPEN_AGAIN) if expired.exists() else 0


def _own_lease(token: uuid.UUID, user: User) -> Lease:
    lease = Lease.objects.select_related("triplet").filter(token=token).first()
    if lease is None:
        raise NotFound("There is no such pair.")
    if lease.annotator_id != user.pk:
        raise ForeignLease("This pair was given to somebody else.")
    return lease
