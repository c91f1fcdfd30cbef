"""Who gets which pair: leases on slots, the walk through the queue, skips (RELIABILITY 3a).

Everything one annotator does in a campaign happens under the lock of their `Cursor` row. Locks are
always taken in the order cursor, triplet, slot. On PostgreSQL claims pass over slots that others
hold (`SKIP LOCKED`); on SQLite a transaction is the only writer (BEGIN IMMEDIATE), and the locking
clauses are left out. The clock is the database's alone.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Now

from annotation.cursors import enter, lock_cursor
from annotation.errors import ForeignLease, LeaseExpired, NotAllowed, VoteConflict
from annotation.gates import closed_gate
from annotation.models import Campaign, Lease, Skip, Slot, SlotState, Vote
from annotation.offers import Assignment, Empty
from annotation.permissions import votable_by
from annotation.quality import probes
from annotation.queue import (
    OPEN_AGAIN,
    Desk,
    Held,
    lease_slot,
    next_place,
    open_again,
    question_of,
    read_desk,
)
from annotation.transactions import retried

PASSED_OVER: Final = "judged before"  # the reason of skips that nobody made


@dataclass(frozen=True, slots=True)
class Wish:
    """What a browser asks for."""

    tab: uuid.UUID
    prefetch: bool = False  # a further pair, beside the one that is shown
    screen_width: int | None = None  # CSS pixels of one clip; None where it was not said


@dataclass(frozen=True, slots=True)
class Offer:
    """What an annotator is given, and the campaign as it stood then."""

    given: Assignment | Empty
    desk: Desk


def lease_time() -> timedelta:
    return timedelta(seconds=settings.TIEBREAK_LEASE_SECONDS)


def claim(
    campaign: Campaign, user: User, tab: uuid.UUID, *, prefetch: bool = False
) -> Assignment | Empty:
    """Give the annotator a pair."""
    return offer(campaign.pk, user, Wish(tab, prefetch)).given


@retried
def offer(campaign_id: int, user: User, wish: Wish) -> Offer:
    """Give the annotator a pair, or the reason why there is none.

    A live lease of this tab is given again, so a reload never burns a pair; `prefetch` asks for a
    further one. At most TIEBREAK_LEASES_PER_ANNOTATOR are live; a tab beyond that gets the oldest,
    and who comes from another campaign gives the oldest of there back.

    Raises NotAllowed to who may not vote here: that is read with all the rest, in one statement.
    """
    desk = read_desk(campaign_id, user.pk)
    if desk is None and votable_by(user).filter(pk=campaign_id).exists():
        enter(campaign_id, user)
        desk = read_desk(campaign_id, user.pk)
    if desk is None or not desk.may_vote:
        raise NotAllowed("Only annotators vote; ask a lead for that role.")
    shut = closed_gate(desk.campaign, desk.cursor, desk.now, desk.dimensions, wish.screen_width)
    return Offer(shut or _at_desk(desk, wish), desk)


def _at_desk(desk: Desk, wish: Wish) -> Assignment | Empty:
    live = [each for each in desk.held if each.expires_at > desk.now and each.answerable]
    here = [each for each in live if each.campaign_id == desk.campaign.pk]
    probe_in_hand = desk.cursor.probe is not None
    full = len(live) + probe_in_hand >= settings.TIEBREAK_LEASES_PER_ANNOTATOR
    if full and wish.prefetch:
        return Empty("You hold as many pairs as one person may; finish one of them first.")
    if not full or probe_in_hand:
        probe = probes.give_if_due(
            desk.campaign, desk.cursor, wish.tab, desk.now, live=here, prefetch=wish.prefetch
        )
        if probe is not None:
            return probe
    again = None if wish.prefetch else _to_show_again(here, wish.tab, full=full)
    return _shown_again(again, desk) if again else _from_queue(desk, wish, live)


def _to_show_again(here: list[Held], tab: uuid.UUID, *, full: bool) -> Held | None:
    of_tab = [each for each in here if each.tab == tab]
    return next(iter(of_tab or (here if full else [])), None)


def _shown_again(held: Held, desk: Desk) -> Assignment:
    left, right = (question := question_of(held.triplet_id)).sides(swap=held.swap)
    mine = desk.cursor.questions
    return Assignment(held.token, question.prompt, left, right, held.expires_at, mine)


def _from_queue(desk: Desk, wish: Wish, live: list[Held]) -> Assignment | Empty:
    gone = [each for each in desk.held if each not in live]
    if len(live) >= settings.TIEBREAK_LEASES_PER_ANNOTATOR:
        # All are of other campaigns: who comes here now does not work there.
        gone.append(live.pop(0))
    if gone:
        open_again(gone)
    place = next_place(desk)
    if place is None:
        return _why_empty(desk.campaign)
    seats = range(1, settings.TIEBREAK_LEASES_PER_ANNOTATOR + 1)
    lease = Lease(
        annotator_id=desk.cursor.annotator_id,
        slot_id=place.slot_id,
        triplet_id=place.question.triplet_id,
        # A single clip has no second one to change sides with.
        swap=swapped(place.n, place.shuffle) and place.question.video_b is not None,
        tab=wish.tab,
        issued_at=desk.now,
    )
    expires_at = desk.now + lease_time()
    seat = min(set(seats) - {each.seat for each in live})
    lease_slot(place, lease, seat=seat, expires_at=expires_at, cursor=desk.cursor)
    left, right = place.question.sides(swap=lease.swap)
    prompt, mine = place.question.prompt, desk.cursor.questions
    return Assignment(lease.token, prompt, left, right, expires_at, mine)


def _why_empty(campaign: Campaign) -> Empty:
    if Slot.objects.filter(campaign=campaign, state=SlotState.LEASED).exists():
        return Empty(
            "The last pairs are in the hands of others, or of another page of yours;"
            " some may come back."
        )
    return Empty("You have judged every pair of this campaign that still needs votes.", 60)


def swapped(n: int, shuffle: int) -> bool:
    """Whether clip B stands on the left: random across triplets, balanced among the slots of one.

    A side that people like better can so not decide a triplet by chance.
    """
    return (n + shuffle) % 2 == 1


def renew(token: uuid.UUID, user: User) -> datetime:
    """Give the full time again, as long as nobody else took the slot; the new end."""
    held = Slot.objects.filter(lease_token=token, holder=user, state=SlotState.LEASED)
    if not held.update(lease_expires=Now() + lease_time()):
        if own_lease(token, user) is None:
            return probes.renew(token, user)
        raise LeaseExpired("Your time for this pair ran out; your vote on it is still accepted.")
    expires_at = held.values_list("lease_expires", flat=True).first()
    if expires_at is None:  # released or voted in another tab just now
        raise LeaseExpired("This pair was finished in another tab.")
    return expires_at


def release(token: uuid.UUID, user: User) -> bool:
    """Put the pair back at once; False if it was not held any more."""
    lease = own_lease(token, user)
    return _release(lease) if lease else probes.release(token, user)


def _release(lease: Lease) -> bool:
    held = Slot.objects.filter(pk=lease.slot_id, lease_token=lease.token)
    return bool(held.update(**OPEN_AGAIN))


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    own = Skip.objects.filter(annotator=user).exclude(reason__in=("", PASSED_OVER))
    own.update(reason="")


def skips_of(campaign: Campaign) -> QuerySet[Skip]:
    """What people passed on, without what was never offered to them."""
    return Skip.objects.filter(triplet__campaign=campaign).exclude(reason=PASSED_OVER)


def skip(token: uuid.UUID, user: User, reason: str = "") -> None:
    """Pass on this pair for good; its slot goes to others."""
    lease = own_lease(token, user)
    if lease is None:
        return probes.skip(token, user, reason)
    return _skip(lease, user, reason)


@retried
def _skip(lease: Lease, user: User, reason: str) -> None:
    lock_cursor(lease.triplet.campaign_id, user)
    if Vote.objects.filter(triplet=lease.triplet_id, annotator=user).exists():
        raise VoteConflict("You have voted on this pair already; change the vote instead.")
    Skip.objects.get_or_create(
        triplet_id=lease.triplet_id, annotator=user, defaults={"reason": reason[:200]}
    )
    _release(lease)


def pass_over(judged: Iterable[tuple[int, int]]) -> int:
    """Never offer these triplets to these people, by (triplet, person): they judged the clips
    before. How many rows that took."""
    rows = [Skip(triplet_id=t, annotator_id=who, reason=PASSED_OVER) for t, who in judged]
    return len(Skip.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True))


def reopen_expired(campaign: Campaign) -> int:
    """Put all pairs back whose time ran out.

    Nothing needs it to be right, because a claim takes expired slots too; it only keeps old pairs
    from waiting until the open ones are through.
    """
    expired = Slot.objects.filter(campaign=campaign, state=SlotState.LEASED)
    expired = expired.filter(lease_expires__lte=Now())
    # A plain read first: with nothing to do, SQLite's write lock is left to those who vote.
    return expired.update(**OPEN_AGAIN) if expired.exists() else 0


def own_lease(token: uuid.UUID, user: User) -> Lease | None:
    """The record of what was shown; None where the token is of a probe, or of nothing."""
    lease = Lease.objects.select_related("triplet").filter(token=token).first()
    if lease is not None and lease.annotator_id != user.pk:
        raise ForeignLease("This pair was given to somebody else.")
    return lease
