"""Questions with a known answer, hidden among the others (ANNOTATION D8).

Everything here answers as its namesake in `assigning` and `voting` does, in the same words, so that
a probe cannot be told from a pair of the queue. When one is given stands in `hiding`.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import get_language

from annotation.ballots import Ballot, Said, canonical, said_hash
from annotation.cursors import count_answer, lock_cursor
from annotation.errors import ForeignLease, LeaseExpired, NotFound, VoteConflict
from annotation.models import (
    Campaign,
    Cursor,
    Dimension,
    Guideline,
    ProbeAnswer,
    ProbeKind,
    ProbeLease,
    ProbeLeaseState,
    Stage,
    VoteState,
)
from annotation.offers import OwnAnswer, Receipt
from annotation.quality import qualifying, reliability
from annotation.quality.hiding import HIDDEN, give_if_due, lease_time, live, sides, with_clips
from annotation.quality.marking import Known, errors_of, share_wrong
from annotation.transactions import retried
from formats.labels import Label

__all__ = [
    "answer",
    "end",
    "give_if_due",
    "latest_of",
    "live",
    "release",
    "renew",
    "revise",
    "skip",
]


@retried
def answer(token: uuid.UUID, user: User, ballot: Ballot) -> Receipt:
    """Record what was said on a probe; the token is the idempotency key, as with votes."""
    theirs = "This pair was given to somebody else; log in as they to send the vote."
    lease = _own_lease(token, user, theirs)
    said = _read(lease, ballot)
    req_hash = said_hash(said, ballot.remark)
    cursor, now = lock_cursor(lease.campaign_id, user)
    earlier = _replay(lease, user, req_hash)
    if earlier is not None:
        return _receipt(earlier, lease, replay=True)
    row = _write(lease, ballot, said, req_hash=req_hash, now=now)
    _close(lease, cursor, ProbeLeaseState.ANSWERED)
    count_answer(cursor, now, ballot.active_ms)
    return _receipt(row, lease, note=_consequence(lease, cursor, now))


@retried
def revise(vote_id: uuid.UUID, user: User, revision: int, ballot: Ballot) -> Receipt:
    """Put a new row in the place of an own answer; the old one stays as history."""
    known = _answers().filter(pk=vote_id, annotator=user).first()
    if known is None:
        raise NotFound("There is no such vote of yours.")
    lease = known.lease
    said = _read(lease, ballot)
    req_hash = said_hash(said, ballot.remark)
    cursor, now = lock_cursor(lease.campaign_id, user)
    if not _may_revise(lease, cursor):
        raise VoteConflict("The questions of the practice and the qualification stay as answered.")
    old = ProbeAnswer.objects.get(pk=vote_id)
    if old.superseded or old.revision != revision:
        return _receipt(_already_revised(old, revision, req_hash), lease, replay=True)
    ProbeAnswer.objects.filter(pk=old.pk).update(superseded=True)
    row = _write(lease, ballot, said, req_hash=req_hash, now=now, revision=revision + 1)
    reliability.look_at_gold(lease.campaign, cursor, lease.probe.kind, now)
    return _receipt(row, lease)


def renew(token: uuid.UUID, user: User) -> datetime:
    """Give the full time again; the new end."""
    held = ProbeLease.objects.filter(pk=token, annotator=user, state=ProbeLeaseState.OPEN)
    if not held.update(expires_at=Now() + lease_time()):
        _own_lease(token, user)
        raise LeaseExpired("Your time for this pair ran out; your vote on it is still accepted.")
    expires_at = held.values_list("expires_at", flat=True).first()
    if expires_at is None:
        raise LeaseExpired("This pair was finished in another tab.")
    return expires_at


@retried
def release(token: uuid.UUID, user: User) -> bool:
    """Put it back at once; False if it was not held any more."""
    lease = _own_lease(token, user)
    cursor, _now = lock_cursor(lease.campaign_id, user)
    released = _close(lease, cursor, ProbeLeaseState.RELEASED)
    _save_hand(cursor)
    return released


@retried
def skip(token: uuid.UUID, user: User, reason: str = "") -> None:
    """Pass on this pair for good. The qualification wants an answer to each question."""
    lease = _own_lease(token, user)
    cursor, now = lock_cursor(lease.campaign_id, user)
    if _given(lease, user).exists():
        raise VoteConflict("You have voted on this pair already; change the vote instead.")
    if lease.probe.kind == ProbeKind.QUALIFICATION:
        raise VoteConflict("The qualification wants an answer to each question.")
    ProbeLease.objects.filter(pk=lease.pk).update(skip_reason=reason[:200])
    _close(lease, cursor, ProbeLeaseState.SKIPPED)
    _save_hand(cursor)
    _consequence(lease, cursor, now)


def forget_texts(user: User) -> None:
    """What a person wrote in own words, of somebody who is forgotten (`erasing`)."""
    ProbeAnswer.objects.filter(annotator=user).exclude(remark="").update(remark="")
    ProbeLease.objects.filter(annotator=user).exclude(skip_reason="").update(skip_reason="")


def end(lease: ProbeLease, cursor: Cursor) -> None:
    """The question was flagged: it is over for this annotator, without an answer."""
    _close(lease, cursor, ProbeLeaseState.SKIPPED)
    _save_hand(cursor)


def latest_of(user: User, campaign: Campaign, limit: int) -> list[OwnAnswer]:
    """Own answers that can still be changed, newest first, to be mixed with the own votes."""
    attempt_goes_on = Cursor.objects.filter(
        campaign=campaign,
        annotator=user,
        stage=Stage.QUALIFICATION,
        attempt=OuterRef("lease__attempt"),
    )
    hidden = Q(kind__in=HIDDEN)
    shown = hidden | Q(Exists(attempt_goes_on), kind=ProbeKind.QUALIFICATION)
    rows = _answers().filter(shown, annotator=user, campaign=campaign, superseded=False)
    newest = list(rows.order_by("-submitted_at")[:limit])
    dimensions = _dimensions(campaign) if newest else []
    return [_own_answer(row, dimensions) for row in newest]


# What follows from an answer.


def _consequence(lease: ProbeLease, cursor: Cursor, now: datetime) -> str:
    if lease.probe.kind in HIDDEN:
        reliability.look_at_gold(lease.campaign, cursor, lease.probe.kind, now)
        return ""
    return qualifying.after_answer(lease.campaign, cursor, lease, now)


def _may_revise(lease: ProbeLease, cursor: Cursor) -> bool:
    if lease.probe.kind in HIDDEN:
        return True
    goes_on = cursor.stage == Stage.QUALIFICATION and cursor.attempt == lease.attempt
    return lease.probe.kind == ProbeKind.QUALIFICATION and goes_on


# Answers.


def _read(lease: ProbeLease, ballot: Ballot) -> list[Said]:
    probe = lease.probe
    shown = sides(probe.video_a_id, probe.video_b_id, swap=lease.swap)
    dimensions = _dimensions(lease.campaign)
    return canonical(ballot, lease.campaign, dimensions, shown=shown, swap=lease.swap)


def _write(
    lease: ProbeLease,
    ballot: Ballot,
    said: Sequence[Said],
    *,
    req_hash: str,
    now: datetime,
    revision: int = 1,
) -> ProbeAnswer:
    errors = errors_of(lease.probe.expected, {each.dimension.key: _known(each) for each in said})
    return ProbeAnswer.objects.create(
        lease=lease,
        annotator_id=lease.annotator_id,
        campaign_id=lease.campaign_id,
        kind=lease.probe.kind,
        revision=revision,
        answers={each.dimension.key: _stored(each) for each in said},
        errors=share_wrong(errors),
        by_dimension=errors,
        req_hash=req_hash,
        guideline=_guideline(lease, ballot.guideline),
        remark=ballot.remark,
        active_ms=ballot.active_ms,
        timing=dict(ballot.timing),
        submitted_at=now,
    )


def _known(said: Said) -> Known:
    if said.label is not None:
        return said.label.value
    assert said.score_a is not None  # `canonical` lets nothing else through
    return said.score_a


def _stored(said: Said) -> dict[str, Any]:
    return {
        "label": said.label,
        "reason": said.reason,
        "score_a": said.score_a,
        "score_b": said.score_b,
    }


def _guideline(lease: ProbeLease, version: int) -> Guideline | None:
    if not version:
        return None
    return Guideline.objects.filter(campaign_id=lease.campaign_id, version=version).first()


def _given(lease: ProbeLease, user: User) -> QuerySet[ProbeAnswer]:
    """Own answers on the same question in the same attempt, under whichever lease."""
    return ProbeAnswer.objects.filter(
        annotator=user, lease__probe=lease.probe_id, lease__attempt=lease.attempt
    ).order_by("revision")


def _replay(lease: ProbeLease, user: User, req_hash: str) -> ProbeAnswer | None:
    given = list(_given(lease, user))
    if not given:
        return None
    newest = given[-1]
    same_key = next((each for each in given if each.lease_id == lease.pk), newest)
    if same_key.req_hash != req_hash:
        raise VoteConflict(
            "You have sent another vote on this pair already; change that one instead.",
            vote=str(newest.pk),
            revision=newest.revision,
        )
    return newest


def _already_revised(old: ProbeAnswer, revision: int, req_hash: str) -> ProbeAnswer:
    newer = ProbeAnswer.objects.filter(lease=old.lease_id, revision=old.revision + 1).first()
    if newer is not None and old.revision == revision and newer.req_hash == req_hash:
        return newer
    raise VoteConflict(
        "This vote was changed in another tab; load it again before you change it.",
        vote=str((newer or old).pk),
        revision=(newer or old).revision,
    )


def _receipt(
    row: ProbeAnswer, lease: ProbeLease, *, replay: bool = False, note: str = ""
) -> Receipt:
    practice = lease.probe.kind == ProbeKind.PRACTICE
    return Receipt(
        vote=row.pk,
        state=VoteState.COUNTED,
        revision=row.revision,
        replay=replay,
        feedback=_feedback(row, lease) if practice else None,
        explanation=explained(lease.probe.explanation) if practice else "",
        note=note,
    )


def _feedback(row: ProbeAnswer, lease: ProbeLease) -> dict[str, Any]:
    """Each dimension in the words of the screen."""
    return {
        key: {
            "said": _on_screen(row.answers[key], lease),
            "expected": _on_screen(_as_stored(expected), lease),
            "right": row.by_dimension[key] == 0,
        }
        for key, expected in lease.probe.expected.items()
    }


def explained(explanation: Mapping[str, str]) -> str:
    """In the language of the page, else in English, else in whichever there is."""
    wanted = get_language() or "en"
    found = explanation.get(wanted) or explanation.get("en")
    return found or next(iter(explanation.values()), "")


def _as_stored(expected: Known) -> dict[str, Any]:
    if isinstance(expected, int):
        return {"label": None, "score_a": expected}
    return {"label": expected, "score_a": None}


def _on_screen(stored: Mapping[str, Any], lease: ProbeLease) -> Known:
    label = stored["label"]
    if label is None:
        return int(stored["score_a"])
    first, second = sides("left", "right", swap=lease.swap)
    if label == Label.A:
        return str(first)
    return str(second) if label == Label.B else str(label)


def _own_answer(row: ProbeAnswer, dimensions: Sequence[Dimension]) -> OwnAnswer:
    probe = row.lease.probe
    return OwnAnswer(
        vote=row.pk,
        lease=row.lease_id,
        revision=row.revision,
        state=VoteState.COUNTED,
        submitted_at=row.submitted_at,
        prompt=probe.prompt,
        video_a=probe.video_a,
        video_b=probe.video_b,
        swap=row.lease.swap,
        said=tuple(_said(each, row.answers[each.key]) for each in dimensions),
        remark=row.remark,
        timing=row.timing,
    )


def _said(dimension: Dimension, stored: Mapping[str, Any]) -> Said:
    label = stored["label"]
    return Said(
        dimension=dimension,
        label=None if label is None else Label(label),
        reason=stored["reason"],
        score_a=stored["score_a"],
        score_b=stored["score_b"],
    )


# Leases.


def _close(lease: ProbeLease, cursor: Cursor, to: ProbeLeaseState) -> bool:
    """End the lease; False if it was not held any more. The caller saves the cursor's hand.

    An answer or a skip counts also after the lease was given back or its time had run out; the same
    question may then be in hand again under another lease.
    """
    from_states = [ProbeLeaseState.OPEN]
    if to != ProbeLeaseState.RELEASED:
        from_states.append(ProbeLeaseState.RELEASED)
        if cursor.probe is not None and cursor.probe != lease.pk:
            _take_over(lease, cursor, cursor.probe)
    moved = ProbeLease.objects.filter(pk=lease.pk, state__in=from_states).update(state=to)
    if cursor.probe == lease.pk:
        cursor.probe = None
    return bool(moved)


def _take_over(lease: ProbeLease, cursor: Cursor, in_hand: uuid.UUID) -> None:
    again = ProbeLease.objects.filter(
        pk=in_hand, probe=lease.probe_id, attempt=lease.attempt, state=ProbeLeaseState.OPEN
    )
    if again.update(state=ProbeLeaseState.RELEASED):
        cursor.probe = None


def _save_hand(cursor: Cursor) -> None:
    Cursor.objects.filter(pk=cursor.pk).update(probe=cursor.probe)


def _own_lease(
    token: uuid.UUID, user: User, theirs: str = "This pair was given to somebody else."
) -> ProbeLease:
    lease = with_clips().filter(pk=token).first()
    if lease is None:
        raise NotFound("There is no such pair.")
    if lease.annotator_id != user.pk:
        raise ForeignLease(theirs)
    return lease


def _answers() -> QuerySet[ProbeAnswer]:
    return ProbeAnswer.objects.select_related(
        "lease__campaign",
        "lease__probe__prompt__image",
        "lease__probe__video_a",
        "lease__probe__video_b",
    )


def _dimensions(campaign: Campaign) -> list[Dimension]:
    return list(Dimension.objects.filter(dimension_set=campaign.dimension_set_id))
