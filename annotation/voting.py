"""Votes in, consensus out. The only writer of Vote, Judgement, Consensus and of voted slots.

The lease token is the idempotency key: the same vote sent again is answered again, another one
under the same key is a conflict. A vote that comes late is kept: it takes its own slot, or another
free one, or stays as surplus (RELIABILITY 3a).
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F

from annotation.assigning import lock_cursor
from annotation.consensus import consensus_of, mean_score, vote_shares
from annotation.errors import BadVote, ForeignLease, NotFound, VoteConflict
from annotation.models import (
    Campaign,
    Consensus,
    ConsensusSource,
    Cursor,
    Dimension,
    Judgement,
    Lease,
    Outbox,
    Slot,
    SlotState,
    Triplet,
    TripletState,
    Vote,
    VoteState,
)
from annotation.shorthand import said
from annotation.transactions import retried
from formats.labels import InvalidReason, Label

_SIDES = ("left", "right", Label.TIE.value, Label.INVALID.value)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the screen says on one dimension: left or right, as the annotator saw the clips."""

    label: str  # left | right | tie | invalid
    reason: str = ""  # of `invalid`
    score_left: int | None = None
    score_right: int | None = None


@dataclass(frozen=True, slots=True)
class Ballot:
    """One submission: what was shown, what was answered, and how long it took."""

    left_video: str
    right_video: str
    answers: Mapping[str, Answer]  # by the key of the dimension
    timing: Mapping[str, Any] = field(default_factory=dict)
    active_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    vote: Vote
    replay: bool = False


@retried
def cast_vote(token: uuid.UUID, user: User, ballot: Ballot) -> Receipt:
    """Record one annotator's judgements; settle the triplet if they were the last wanted.

    Raises NotFound, ForeignLease, BadVote (does not fit what was shown or asked) and VoteConflict
    (another vote stands under this key). What is raised has changed nothing.
    """
    lease = Lease.objects.select_related("triplet__campaign").filter(token=token).first()
    if lease is None:
        raise NotFound("There is no such pair.")
    if lease.annotator_id != user.pk:
        raise ForeignLease("This pair was given to somebody else; log in as they to send the vote.")
    judgements = _canonical(ballot, lease)
    req_hash = _hash(judgements)
    cursor, now = lock_cursor(lease.triplet.campaign_id, user)
    earlier = _replay(lease, user, req_hash)
    if earlier is not None:
        return Receipt(earlier, replay=True)
    triplet = Triplet.objects.select_for_update(no_key=True).get(pk=lease.triplet_id)
    slots = list(triplet.slots.select_for_update(no_key=True).order_by("n"))
    slot = _slot_for(triplet, slots, lease, now)
    vote = Vote.objects.create(
        annotator=user,
        triplet=triplet,
        campaign_id=triplet.campaign_id,
        slot=slot,
        lease=lease,
        swap=lease.swap,
        submitted_at=now,
        active_ms=ballot.active_ms,
        timing=dict(ballot.timing),
        req_hash=req_hash,
        said=said(judgements),
        state=VoteState.SURPLUS if slot is None else VoteState.COUNTED,
    )
    _write_judgements(vote, judgements)
    Cursor.objects.filter(pk=cursor.pk).update(votes=F("votes") + 1, questions=F("questions") + 1)
    if slot is not None:
        _fill(slot, user)
        if all(each.state == SlotState.VOTED for each in slots):
            _complete(triplet)
    return Receipt(vote)


@retried
def revise_vote(vote_id: uuid.UUID, user: User, revision: int, ballot: Ballot) -> Receipt:
    """Put a new row in the place of an own vote; the old one stays as history.

    `revision` is the one the annotator saw: if the vote has moved on since, VoteConflict.
    """
    known = (
        Vote.objects.filter(pk=vote_id, annotator=user)
        .select_related("lease__triplet__campaign")
        .first()
    )
    if known is None:
        raise NotFound("There is no such vote of yours.")
    judgements = _canonical(ballot, known.lease)
    req_hash = _hash(judgements)
    _, now = lock_cursor(known.lease.triplet.campaign_id, user)
    triplet = Triplet.objects.select_for_update(no_key=True).get(pk=known.triplet_id)
    old = Vote.objects.select_related("superseded_by").get(pk=vote_id)
    if old.revision != revision or old.state not in {VoteState.COUNTED, VoteState.SURPLUS}:
        return Receipt(_already_revised(old, revision, req_hash), replay=True)
    slot_id, state = old.slot_id, old.state
    Vote.objects.filter(pk=old.pk).update(state=VoteState.SUPERSEDED, slot=None)
    vote = Vote.objects.create(
        annotator=user,
        triplet=triplet,
        campaign_id=triplet.campaign_id,
        slot_id=slot_id,
        lease=known.lease,
        swap=old.swap,
        submitted_at=now,
        active_ms=ballot.active_ms,
        timing=dict(ballot.timing),
        req_hash=req_hash,
        said=said(judgements),
        revision=revision + 1,
        supersedes=old,
        state=state,
    )
    _write_judgements(vote, judgements)
    if triplet.state == TripletState.COMPLETE and state == VoteState.COUNTED:
        _store_consensus(triplet)
        Outbox.objects.create(kind="vote.revised", ref=str(vote.pk))
    return Receipt(vote)


def _already_revised(old: Vote, revision: int, req_hash: str) -> Vote:
    """The vote that this very revision made before, when its answer was lost on the way."""
    newer: Vote | None = getattr(old, "superseded_by", None)
    if newer is not None and old.revision == revision and newer.req_hash == req_hash:
        return newer
    raise VoteConflict(
        "This vote was changed in another tab; load it again before you change it.",
        vote=str((newer or old).pk),
        revision=(newer or old).revision,
    )


def _replay(lease: Lease, user: User, req_hash: str) -> Vote | None:
    """The vote that stands, if this is the same one again; VoteConflict if it is another.

    Also a vote under another lease counts: after a lease ran out, its owner may have been given
    the same pair again.
    """
    votes = list(Vote.objects.filter(annotator=user, triplet=lease.triplet).order_by("revision"))
    if not votes:
        return None
    newest = votes[-1]
    same_key = next((vote for vote in votes if vote.lease_id == lease.pk), newest)
    if same_key.req_hash != req_hash:
        raise VoteConflict(
            "You have sent another vote on this pair already; change that one instead.",
            vote=str(newest.pk),
            revision=newest.revision,
        )
    return newest


def _slot_for(triplet: Triplet, slots: Sequence[Slot], lease: Lease, now: datetime) -> Slot | None:
    """The slot that this vote takes: its own, expired or not; else a free one; else none."""
    if triplet.state != TripletState.OPEN:
        return None
    own = [slot for slot in slots if slot.lease_token == lease.pk]
    again = [slot for slot in slots if slot.holder_id == lease.annotator_id]
    free = [slot for slot in slots if slot.state == SlotState.OPEN]
    left = [slot for slot in slots if slot.lease_expires is not None and slot.lease_expires <= now]
    return next(iter([*own, *again, *free, *left]), None)


def _fill(slot: Slot, user: User) -> None:
    slot.state = SlotState.VOTED
    slot.holder = user
    slot.seat = slot.lease_token = slot.lease_expires = None
    slot.save(update_fields=["state", "holder", "seat", "lease_token", "lease_expires"])


def _complete(triplet: Triplet) -> None:
    """The last wanted vote is in: settle, count, tell."""
    _store_consensus(triplet)
    moved = Triplet.objects.filter(pk=triplet.pk, state=TripletState.OPEN)
    if moved.update(state=TripletState.COMPLETE) != 1:
        raise RuntimeError(f"triplet {triplet.pk} was settled twice, in spite of its lock")
    Outbox.objects.create(kind="triplet.complete", ref=str(triplet.pk))
    # Last, because this row is shared by all: its lock is held for the shortest time.
    Campaign.objects.filter(pk=triplet.campaign_id).update(triplets_done=F("triplets_done") + 1)


def _store_consensus(triplet: Triplet) -> None:
    by_dimension: dict[int, list[Judgement]] = {}
    counted = Judgement.objects.filter(vote__triplet=triplet, vote__state=VoteState.COUNTED)
    for judgement in counted:
        by_dimension.setdefault(judgement.dimension_id, []).append(judgement)
    Consensus.objects.bulk_create(
        [_consensus(triplet, *item) for item in by_dimension.items()],
        update_conflicts=True,
        unique_fields=["triplet", "dimension"],
        update_fields=["label", "source", "posterior", "score_a", "score_b", "votes"],
    )


def _consensus(triplet: Triplet, dimension_id: int, judgements: list[Judgement]) -> Consensus:
    labels = [Label(judgement.label) for judgement in judgements]
    label = consensus_of(labels)
    return Consensus(
        triplet=triplet,
        dimension_id=dimension_id,
        label=label,
        source=ConsensusSource.VOTES,
        posterior=None if label is Label.INVALID else vote_shares(labels),
        score_a=mean_score(judgement.score_a for judgement in judgements),
        score_b=mean_score(judgement.score_b for judgement in judgements),
        votes=len(judgements),
    )


def _write_judgements(vote: Vote, judgements: Sequence[Judgement]) -> None:
    for judgement in judgements:
        judgement.vote = vote
    Judgement.objects.bulk_create(judgements)


def _canonical(ballot: Ballot, lease: Lease) -> list[Judgement]:
    """Check the ballot against what was shown and asked, and undo the swap of the screen."""
    if (ballot.left_video, ballot.right_video) != (str(lease.left_id), str(lease.right_id)):
        raise BadVote("The vote names other clips than the pair that was shown; reload the page.")
    dimensions = list(
        Dimension.objects.filter(dimension_set=lease.triplet.campaign.dimension_set_id)
    )
    wanted = [dimension.key for dimension in dimensions]
    missing = [key for key in wanted if key not in ballot.answers]
    if missing:
        raise BadVote(f"The vote says nothing on {', '.join(missing)}.", dimensions=missing)
    unknown = sorted(set(ballot.answers) - set(wanted))
    if unknown:
        raise BadVote(f"Nobody asked about {', '.join(unknown)}; expected {', '.join(wanted)}.")
    return [_judgement(each, ballot.answers[each.key], lease.swap) for each in dimensions]


def _judgement(dimension: Dimension, answer: Answer, swap: bool) -> Judgement:  # noqa: FBT001
    _check(dimension.key, answer)
    label = {"left": Label.B, "right": Label.A} if swap else {"left": Label.A, "right": Label.B}
    scores = (answer.score_left, answer.score_right)
    score_a, score_b = reversed(scores) if swap else scores
    return Judgement(
        dimension=dimension,
        label=label.get(answer.label) or Label(answer.label),
        reason=answer.reason,
        score_a=score_a,
        score_b=score_b,
    )


def _check(key: str, answer: Answer) -> None:
    if answer.label not in _SIDES:
        raise BadVote(f"Unknown label {answer.label!r} on {key}; expected {', '.join(_SIDES)}.")
    reasons = [reason.value for reason in InvalidReason]
    if answer.label == Label.INVALID and answer.reason not in reasons:
        raise BadVote(f"Invalid on {key} needs a reason: {', '.join(reasons)}.")
    if answer.label != Label.INVALID and answer.reason:
        raise BadVote(f"Only an invalid pair has a reason, but {key} says {answer.label}.")
    for score in (answer.score_left, answer.score_right):
        if score is not None and score not in range(1, 6):
            raise BadVote(f"A score on {key} must be from 1 to 5, got {score}.")


def _hash(judgements: Sequence[Judgement]) -> str:
    """Of what was said, in canonical order; not of the timing, which differs in a second click."""
    said = [[j.dimension_id, j.label, j.reason, j.score_a, j.score_b] for j in judgements]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
