"""Votes in, consensus out. The only writer of Vote, Judgement, Consensus and of voted slots.

The lease token is the idempotency key: the same vote sent again is answered again, another one
under the same key is a conflict. A vote that comes late is kept: it takes its own slot, or another
free one, or stays as surplus (RELIABILITY 3a).
"""

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from django.contrib.auth.models import User
from django.db.models import F, QuerySet

from annotation.ballots import Answer, Ballot, Said, canonical, said_hash
from annotation.consensus import consensus_of, mean_score, vote_shares
from annotation.cursors import after_answer, lock_cursor
from annotation.errors import BadVote, ForeignLease, NotFound, VoteConflict
from annotation.held_clips import hold_clips_of
from annotation.models import (
    Campaign,
    CampaignKind,
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
from annotation.offers import OwnAnswer, Receipt
from annotation.quality import flags, probes
from annotation.queue import OPEN_AGAIN
from annotation.shorthand import said as shorthand
from annotation.statements import Sql, Statement, change, insertion, run
from annotation.tally import Tally, read_tally
from annotation.transactions import retried
from formats.labels import Label

logger = logging.getLogger(__name__)

__all__ = [
    "Answer",
    "Ballot",
    "cast_vote",
    "latest_of",
    "reopen",
    "revise_vote",
    "settle_by_adjudication",
    "withdraw_votes",
]

_SETTLED: Final = ("label", "source", "posterior", "score_a", "score_b", "votes")
# What a person has settled is not overruled by the votes that they looked at.
_UPSERT: Final = (
    "ON CONFLICT (triplet_id, dimension_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _SETTLED)
    + f" WHERE {Consensus._meta.db_table}.source <> '{ConsensusSource.ADJUDICATION}'"
)


def cast_vote(token: uuid.UUID, user: User, ballot: Ballot) -> Receipt:
    """Record one annotator's judgements; settle the triplet if they were the last wanted.

    Raises NotFound, ForeignLease, BadVote (does not fit what was shown or asked) and VoteConflict
    (another vote stands under this key). What is raised has changed nothing.
    """
    receipt = _cast(token, user, ballot)
    if receipt is not None:
        return receipt
    if Lease.objects.filter(token=token).exclude(annotator=user).exists():
        raise ForeignLease("This pair was given to somebody else; log in as they to send the vote.")
    return probes.answer(token, user, ballot)


@retried
def _cast(token: uuid.UUID, user: User, ballot: Ballot) -> Receipt | None:
    """None where the token is of no lease of this person."""
    tally = read_tally(token, user.pk, ballot.guideline)
    if tally is None:
        return None
    said = _read(ballot, tally)
    req_hash = said_hash(said, ballot.remark)
    if tally.said_before:
        earlier = _replay(tally.lease, user, req_hash)
        if earlier is not None:
            return Receipt(earlier.pk, earlier.state, earlier.revision, replay=True)
    slot = tally.slot_for_vote()
    judgements = [_judgement(each) for each in said]
    vote = Vote(
        **_given(ballot, judgements, req_hash),
        annotator_id=user.pk,
        triplet_id=tally.triplet.pk,
        campaign_id=tally.campaign.pk,
        slot_id=slot.pk if slot else None,
        lease_id=tally.lease.pk,
        guideline_id=tally.guideline_id,
        swap=tally.lease.swap,
        submitted_at=tally.now,
        state=VoteState.SURPLUS if slot is None else VoteState.COUNTED,
    )
    _store(vote, judgements, tally, slot)
    return Receipt(vote.pk, vote.state, vote.revision)


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    Vote.objects.filter(annotator=user).exclude(remark="").update(remark="")


def _read(ballot: Ballot, tally: Tally) -> list[Said]:
    return canonical(
        ballot,
        tally.campaign,
        tally.dimensions,
        shown=tally.shown(),
        swap=tally.lease.swap,
    )


def _given(ballot: Ballot, judgements: Sequence[Judgement], req_hash: str) -> dict[str, object]:
    """The columns of a vote that come from the ballot."""
    return {
        "remark": ballot.remark,
        "active_ms": ballot.active_ms,
        "timing": dict(ballot.timing),
        "req_hash": req_hash,
        "said": shorthand(judgements),
    }


def _judgement(said: Said) -> Judgement:
    return Judgement(
        dimension_id=said.dimension.pk,
        label=said.label,
        reason=said.reason,
        score_a=said.score_a,
        score_b=said.score_b,
    )


def _store(vote: Vote, judgements: list[Judgement], tally: Tally, slot: Slot | None) -> None:
    """All that a vote changes, in one round trip."""
    for each in judgements:
        each.vote_id = vote.pk
    votes = after_answer(tally.cursor, tally.now, vote.active_ms, votes=1)
    statements = [
        insertion([vote]),
        insertion(judgements),
        change(Cursor, votes, {"id": tally.cursor.pk}),
    ]
    if slot is not None:
        voted = {**OPEN_AGAIN, "state": SlotState.VOTED, "holder": vote.annotator_id}
        statements.append(change(Slot, voted, {"id": slot.pk}))
        if tally.is_last(slot):
            statements += _last_vote(tally, judgements)
    run(*statements)


# Settling.


def _last_vote(tally: Tally, judgements: list[Judgement]) -> list[Statement]:
    """Settle, count, tell; or ask one more person where people split."""
    every = [*judgements, *(one for some in tally.counted.values() for one in some)]
    settled = _consensus_of(tally.triplet.pk, every)
    campaign, triplet = tally.campaign, tally.triplet
    wanted_at_most = campaign.votes_wanted + campaign.extra_votes
    split = campaign.kind != CampaignKind.SINGLE and any(not each.label for each in settled)
    if split and triplet.need < wanted_at_most:
        return _one_more_slot(tally)
    return [
        insertion(settled, _UPSERT),
        change(
            Triplet,
            {"state": TripletState.COMPLETE},
            {"id": triplet.pk, "state": TripletState.OPEN},
        ),
        insertion([Outbox(kind="triplet.complete", ref=str(triplet.pk))]),
        # Last, because this row is shared by all: its lock is held for the shortest time.
        change(Campaign, {"triplets_done": Sql("triplets_done + 1")}, {"id": campaign.pk}),
    ]


def _one_more_slot(tally: Tally) -> list[Statement]:
    last = tally.slots[-1]
    further = Slot(
        triplet_id=last.triplet_id,
        campaign_id=last.campaign_id,
        position=last.position,
        n=last.n + 1,
    )
    return [
        insertion([further]),
        change(Triplet, {"need": tally.triplet.need + 1}, {"id": tally.triplet.pk}),
    ]


def _consensus_of(triplet_id: int, judgements: Iterable[Judgement]) -> list[Consensus]:
    by_dimension: dict[int, list[Judgement]] = {}
    for each in judgements:
        by_dimension.setdefault(each.dimension_id, []).append(each)
    return [_consensus(triplet_id, *item) for item in by_dimension.items()]


def _consensus(triplet_id: int, dimension_id: int, judgements: list[Judgement]) -> Consensus:
    """Of a pair: the label that most gave. Of a single clip: the mean of its scores."""
    # A score without a label counts against `invalid`, as any label does.
    labels = [Label(each.label) if each.label else None for each in judgements]
    label = consensus_of(labels)
    scored = judgements if label is not Label.INVALID else []
    return Consensus(
        triplet_id=triplet_id,
        dimension_id=dimension_id,
        label=label,
        source=ConsensusSource.VOTES,
        posterior=None if label is Label.INVALID else vote_shares(labels),
        score_a=mean_score(each.score_a for each in scored),
        score_b=mean_score(each.score_b for each in scored),
        votes=len(judgements),
    )


def _settle_again(triplet: Triplet) -> None:
    counted = Judgement.objects.filter(vote__triplet=triplet, vote__state=VoteState.COUNTED)
    settled = _consensus_of(triplet.pk, counted)
    if settled:
        run(insertion(settled, _UPSERT))


# The same vote again.


def _replay(lease: Lease, user: User, req_hash: str) -> Vote | None:
    """The vote that stands, if this is the same one again; VoteConflict if it is another.

    Also a vote under another lease counts: after a lease ran out, its owner may have been given
    the same pair again.
    """
    votes = list(Vote.objects.filter(annotator=user, triplet=lease.triplet_id).order_by("revision"))
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


# Changing a vote.


def revise_vote(vote_id: uuid.UUID, user: User, revision: int, ballot: Ballot) -> Receipt:
    """Put a new row in the place of an own vote; the old one stays as history.

    `revision` is the one the annotator saw: if the vote has moved on since, VoteConflict.
    """
    known = Vote.objects.filter(pk=vote_id, annotator=user).select_related("lease").first()
    if known is None:
        return probes.revise(vote_id, user, revision, ballot)
    return _revise(known, user, revision, ballot)


@retried
def _revise(known: Vote, user: User, revision: int, ballot: Ballot) -> Receipt:
    tally = read_tally(known.lease_id, user.pk, ballot.guideline)
    if tally is None:
        raise NotFound("There is no such vote of yours.")
    said = _read(ballot, tally)
    req_hash = said_hash(said, ballot.remark)
    old = Vote.objects.select_related("superseded_by").get(pk=known.pk)
    if old.revision != revision or old.state not in {VoteState.COUNTED, VoteState.SURPLUS}:
        newer = _already_revised(old, revision, req_hash)
        return Receipt(newer.pk, newer.state, newer.revision, replay=True)
    judgements = [_judgement(each) for each in said]
    vote = Vote(
        **_given(ballot, judgements, req_hash),
        annotator_id=user.pk,
        triplet_id=old.triplet_id,
        campaign_id=old.campaign_id,
        slot_id=old.slot_id,
        lease_id=old.lease_id,
        guideline_id=tally.guideline_id,
        swap=old.swap,
        submitted_at=tally.now,
        revision=revision + 1,
        supersedes_id=old.pk,
        state=old.state,
    )
    _replace(old, vote, judgements, tally)
    return Receipt(vote.pk, vote.state, vote.revision)


def _replace(old: Vote, vote: Vote, judgements: list[Judgement], tally: Tally) -> None:
    for each in judgements:
        each.vote_id = vote.pk
    spent = after_answer(tally.cursor, tally.now, vote.active_ms, questions=0)
    run(
        change(Vote, {"state": VoteState.SUPERSEDED, "slot": None}, {"id": old.pk}),
        insertion([vote]),
        insertion(judgements),
        change(Cursor, spent, {"id": tally.cursor.pk}),
    )
    if tally.triplet.state == TripletState.COMPLETE and vote.state == VoteState.COUNTED:
        _settle_again(tally.triplet)
        Outbox.objects.create(kind="vote.revised", ref=str(vote.pk))


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


# What a person settles, and what is taken back.


@retried
def settle_by_adjudication(triplet: Triplet, labels: Mapping[str, str]) -> None:
    """Put a person's labels, by the key of the dimension, in the place of what the votes say."""
    locked = Triplet.objects.select_for_update(no_key=True).get(pk=triplet.pk)
    if locked.state != TripletState.COMPLETE:
        raise VoteConflict(f"This pair is {locked.state}; only a complete one is adjudicated.")
    asked = Dimension.objects.filter(dimension_set__campaign=locked.campaign_id)
    dimensions = {each.key: each for each in asked}
    unknown = sorted(set(labels) - set(dimensions))
    if unknown:
        raise BadVote(f"Nobody asked about {', '.join(unknown)}.")
    counted = Vote.objects.counted().filter(triplet=locked).count()
    Consensus.objects.bulk_create(
        [
            Consensus(
                triplet=locked,
                dimension=dimensions[key],
                label=Label(label),
                source=ConsensusSource.ADJUDICATION,
                votes=counted,
            )
            for key, label in labels.items()
        ],
        update_conflicts=True,
        unique_fields=["triplet", "dimension"],
        update_fields=["label", "source", "settled_at"],
    )
    # Whoever reads on reads the newest word: an earlier message about this triplet is replaced.
    Outbox.objects.filter(kind="triplet.adjudicated", ref=str(locked.pk)).delete()
    Outbox.objects.create(kind="triplet.adjudicated", ref=str(locked.pk))


def withdraw_votes(votes: QuerySet[Vote] | Sequence[Vote], reason: str) -> int:
    """Take live votes back, so that others are asked; how many there were.

    Their slots and triplets are open again and the consensus that rested on them is gone. The
    votes stay as history; `reason` goes to the log.
    """
    wanted = [each.pk for each in votes]
    found = Vote.objects.live().filter(pk__in=wanted).order_by("campaign_id", "annotator_id")
    people = list(found.values_list("campaign_id", "annotator_id").distinct())
    return sum(_withdraw(campaign, person, wanted, reason) for campaign, person in people)


@retried
def _withdraw(campaign_id: int, user_id: int, wanted: Sequence[uuid.UUID], reason: str) -> int:
    """Those of one annotator in one campaign, under the same locks as a vote takes."""
    lock_cursor(campaign_id, User(pk=user_id))
    of_person = Vote.objects.filter(campaign=campaign_id, annotator=user_id, pk__in=wanted)
    triplets = Triplet.objects.filter(pk__in=of_person.live().values("triplet")).order_by("pk")
    withdrawn = hold_clips_of(triplets)
    locked = {each.pk: each for each in triplets.select_for_update(no_key=True)}
    live = list(of_person.live())
    slots = [each.slot_id for each in live if each.slot_id is not None]
    of_person.live().update(state=VoteState.WITHDRAWN, slot=None)
    Slot.objects.filter(pk__in=slots).update(**OPEN_AGAIN)
    lost = {each.triplet_id for each in live if each.slot_id is not None}
    reopen(campaign_id, [pk for pk in lost if locked[pk].state == TripletState.COMPLETE])
    flags.keep_out(withdrawn)
    Cursor.objects.filter(campaign=campaign_id, annotator=user_id).update(
        votes=F("votes") - len(live)
    )
    Outbox.objects.bulk_create(Outbox(kind="vote.withdrawn", ref=str(each.pk)) for each in live)
    logger.info(
        "campaign %s: %d votes of annotator %s withdrawn: %s",
        *(campaign_id, len(live), user_id, reason),
    )
    return len(live)


def reopen(campaign_id: int, triplets: Sequence[int]) -> None:
    """Complete triplets that lack a vote again. What a person settled stays settled."""
    by_votes = Consensus.objects.filter(source=ConsensusSource.VOTES, triplet__in=triplets)
    by_votes.delete()
    Triplet.objects.filter(pk__in=triplets).update(state=TripletState.OPEN)
    # Completion is told once it is true again, and then as something new.
    refs = [str(pk) for pk in triplets]
    Outbox.objects.filter(kind="triplet.complete", ref__in=refs).delete()
    Campaign.objects.filter(pk=campaign_id).update(triplets_done=F("triplets_done") - len(triplets))


# Reading own votes.


def latest_of(user: User, campaign: Campaign, limit: int) -> list[OwnAnswer]:
    """Own votes, newest first, mixed with own answers on probes as if they were votes."""
    votes = [_own_answer(each) for each in Vote.objects.latest_of(user, campaign)[:limit]]
    both = [*votes, *probes.latest_of(user, campaign, limit)]
    return sorted(both, key=lambda each: each.submitted_at, reverse=True)[:limit]


def _own_answer(vote: Vote) -> OwnAnswer:
    return OwnAnswer(
        vote=vote.pk,
        lease=vote.lease_id,
        revision=vote.revision,
        state=vote.state,
        submitted_at=vote.submitted_at,
        prompt=vote.triplet.prompt,
        video_a=vote.triplet.video_a,
        video_b=vote.triplet.video_b,
        swap=vote.swap,
        said=tuple(_said(each) for each in vote.judgements.all()),
        remark=vote.remark,
        timing=vote.timing,
    )


def _said(judgement: Judgement) -> Said:
    return Said(
        dimension=judgement.dimension,
        label=Label(judgement.label) if judgement.label else None,
        reason=judgement.reason,
        score_a=judgement.score_a,
        score_b=judgement.score_b,
    )
