"""Questions with a known answer: made, taken from settled triplets, retired.

The only writer of Probe. Gold is used up: nobody is asked the same one twice, nor a pair on which
they voted, so the page of a lead says how much is left.
"""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery

from annotation.errors import CampaignError, NotFound
from annotation.held_clips import hold_clips
from annotation.models import (
    Campaign,
    CampaignKind,
    Dimension,
    Judgement,
    Probe,
    ProbeKind,
    Prompt,
    Triplet,
    TripletState,
    Video,
    Vote,
    VoteState,
)
from annotation.quality.marking import Known
from annotation.shorthand import letter
from formats.labels import Label

KINDS = (ProbeKind.PRACTICE, ProbeKind.QUALIFICATION, ProbeKind.GOLD)
_LABELS = [label.value for label in Label]


@dataclass(frozen=True, slots=True)
class Question:
    """A pair (or a single clip) and what is known to be right on it."""

    prompt: Prompt
    video_a: Video
    video_b: Video | None
    expected: Mapping[str, Known]
    explanation: Mapping[str, str] = field(default_factory=dict)  # by language
    triplet: Triplet | None = None


@transaction.atomic
def make(campaign: Campaign, kind: str, question: Question, user: User | None) -> Probe:
    """One question for practice, the qualification or as gold; CampaignError if it cannot be."""
    if kind not in KINDS:
        raise CampaignError(f"A question is for {', '.join(KINDS)}, not for {kind!r}.")
    _check_clips(campaign, question)
    _check_expected(campaign, question.expected)
    _check_not_asked(campaign, question)
    return Probe.objects.create(
        campaign=campaign,
        kind=kind,
        prompt=question.prompt,
        video_a=question.video_a,
        video_b=question.video_b,
        expected=dict(question.expected),
        explanation=dict(question.explanation),
        triplet=question.triplet,
        shuffle=secrets.randbits(62),
        created_by=user,
    )


def make_repeat(vote: Vote, said: Mapping[str, Known]) -> Probe:
    """An own earlier pair of an annotator, expecting what they said themselves."""
    triplet = vote.triplet
    return Probe.objects.create(
        campaign_id=vote.campaign_id,
        kind=ProbeKind.REPEAT,
        prompt=triplet.prompt,
        video_a=triplet.video_a,
        video_b=triplet.video_b,
        expected=dict(said),
        triplet=triplet,
        annotator_id=vote.annotator_id,
        origin=vote,
        shuffle=secrets.randbits(62),
    )


@transaction.atomic
def from_triplet(
    triplet: Triplet,
    kind: str,
    user: User,
    *,
    expected: Mapping[str, Known] | None = None,
    explanation: Mapping[str, str] | None = None,
) -> Probe:
    """A question from a triplet that is complete; its answer is the consensus if none is given."""
    triplet = _locked(triplet)
    _check_known(triplet, kind)
    question = Question(
        prompt=triplet.prompt,
        video_a=triplet.video_a,
        video_b=triplet.video_b,
        expected=settled_answer(triplet) if expected is None else expected,
        explanation=explanation or {},
        triplet=triplet,
    )
    return make(triplet.campaign, kind, question, user)


@transaction.atomic
def promote(triplet: Triplet, user: User) -> Probe:
    """Make gold of a triplet on which everybody said the same; CampaignError where they did not."""
    triplet = _locked(triplet)
    split = _split_dimensions(triplet)
    if split is None:
        raise CampaignError(f"Triplet {triplet.pk} has fewer than two votes: nobody agreed on it.")
    if split:
        raise CampaignError(f"People did not all say the same on {', '.join(split)}.")
    return from_triplet(triplet, ProbeKind.GOLD, user)


@transaction.atomic
def promote_all(triplets: Sequence[Triplet], user: User) -> list[Probe]:
    """All of them, or none and the reason."""
    hold_clips(clip for each in triplets for clip in (each.video_a_id, each.video_b_id))
    for triplet in sorted(triplets, key=lambda each: each.pk):  # as all who lock many of them
        _locked(triplet)
    return [promote(triplet, user) for triplet in triplets]


def _locked(triplet: Triplet) -> Triplet:
    """As it is now, until the transaction ends: votes are taken back, and others make gold too.

    Its clips first, as who takes a clip out of its triplets does.
    """
    hold_clips((triplet.video_a_id, triplet.video_b_id))
    rows = Triplet.objects.select_related("campaign", "prompt", "video_a", "video_b")
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=triplet.pk)


def promotable(campaign: Campaign) -> QuerySet[Triplet]:
    """Complete triplets of unanimous votes, with a winner somewhere, that are no question yet.

    A pair that is a tie everywhere is left out: who always says 'same' would be right on it.
    Whether all said the same is read from the shorthand of the votes, triplet by triplet, so that
    the first page is there before all are looked at.
    """
    if campaign.kind == CampaignKind.SINGLE:
        return Triplet.objects.none()  # scores are never unanimous enough to be right or wrong
    votes = Vote.objects.counted().filter(triplet=OuterRef("pk")).order_by().values("triplet")
    winner = Q(lowest__contains=letter(Label.A, "", None))
    winner |= Q(lowest__contains=letter(Label.B, "", None))
    return (
        Triplet.objects.filter(campaign=campaign, state=TripletState.COMPLETE)
        .filter(video_a__withdrawn=False, video_b__withdrawn=False)
        .filter(~Exists(Probe.objects.filter(triplet=OuterRef("pk"))))
        .annotate(
            lowest=Subquery(votes.annotate(word=Min("said")).values("word")),
            highest=Subquery(votes.annotate(word=Max("said")).values("word")),
            agreeing=Subquery(votes.annotate(count=Count("pk")).values("count")),
        )
        .filter(winner, lowest=F("highest"), agreeing__gte=2)
        .order_by("pk")
    )


def settled_answer(triplet: Triplet) -> dict[str, Known]:
    """The consensus as an expected answer; CampaignError where a dimension has none."""
    rows = list(triplet.consensus.select_related("dimension").order_by("dimension__position"))
    if not rows or any(row.label is None for row in rows):
        raise CampaignError(f"Triplet {triplet.pk} is not settled on each dimension; say what is.")
    return {row.dimension.key: str(row.label) for row in rows}


def retire(probe: Probe) -> bool:
    """Ask it no more; what was answered stays. False if it was retired before."""
    return bool(Probe.objects.filter(pk=probe.pk, active=True).update(active=False))


@transaction.atomic
def restore(probe: Probe) -> bool:
    """Ask it again. False: it is asked already; CampaignError where it must not be."""
    if probe.triplet is not None:
        triplet = _locked(probe.triplet)
        if not Probe.objects.filter(pk=probe.pk, active=True).exists():
            _check_known(triplet, probe.kind)
    if withdrawn := hold_clips((probe.video_a_id, probe.video_b_id)):
        raise CampaignError(f"The clip {min(withdrawn)} was withdrawn.")
    return bool(Probe.objects.filter(pk=probe.pk, active=False).update(active=True))


def _check_known(triplet: Triplet, kind: str) -> None:
    """Of a triplet that is held: its answer is known, and nobody is asked it twice."""
    if triplet.state != TripletState.COMPLETE:
        raise CampaignError(
            f"Triplet {triplet.pk} is {triplet.state}: people could meet the pair in the queue too."
        )
    if triplet.probes.filter(kind=kind, active=True).exists():
        raise CampaignError(f"Triplet {triplet.pk} is asked as {kind} already.")


def retire_of_clip(video: uuid.UUID) -> list[int]:
    """Questions that showed this clip; none is asked any more."""
    showing = Probe.objects.filter(Q(video_a=video) | Q(video_b=video), active=True)
    gone = list(showing.values_list("pk", flat=True))
    Probe.objects.filter(pk__in=gone).update(active=False)
    return gone


def restore_all(probes: Sequence[int]) -> None:
    """Ask them again, except where a clip is withdrawn."""
    rows = Probe.objects.filter(pk__in=probes).exclude(video_a__withdrawn=True)
    kept = rows.exclude(video_b__withdrawn=True).values_list("pk", flat=True)
    Probe.objects.filter(pk__in=list(kept)).update(active=True)


def retire_of_triplets(triplets: Sequence[int]) -> int:
    """Their votes are collected again, so nothing is known of them for sure."""
    return Probe.objects.filter(triplet_id__in=triplets, active=True).update(active=False)


def explain(probe: Probe, expected: Mapping[str, Any], explanation: Mapping[str, str]) -> Probe:
    """Change what is right, and why; refused once somebody has answered by the old one."""
    _check_expected(probe.campaign, expected)
    if dict(expected) != probe.expected and probe.leases.filter(state="answered").exists():
        raise CampaignError("People have answered this question; retire it and make another.")
    Probe.objects.filter(pk=probe.pk).update(expected=dict(expected), explanation=dict(explanation))
    probe.refresh_from_db()
    return probe


def questions(campaign: Campaign) -> QuerySet[Probe]:
    """Those that a lead made; own repeats of annotators are nobody's list."""
    return (
        Probe.objects.filter(campaign=campaign)
        .exclude(kind=ProbeKind.REPEAT)
        .select_related("campaign", "prompt", "video_a__generator", "video_b__generator")
    )


@dataclass(frozen=True, slots=True)
class Supply:
    """How many questions may be asked, by what for."""

    practice: int
    qualification: int
    gold: int


def supply(campaign: Campaign) -> Supply:
    active = Probe.objects.filter(campaign=campaign, active=True).values_list("kind")
    count = dict(active.annotate(count=Count("pk")).order_by())
    return Supply(
        practice=count.get(ProbeKind.PRACTICE, 0),
        qualification=count.get(ProbeKind.QUALIFICATION, 0),
        gold=count.get(ProbeKind.GOLD, 0),
    )


def of_campaign(campaign: Campaign, probe_id: int) -> Probe:
    probe = questions(campaign).filter(pk=probe_id).first()
    if probe is None:
        raise NotFound("There is no such question in this campaign.")
    return probe


def _check_clips(campaign: Campaign, question: Question) -> None:
    single = campaign.kind == CampaignKind.SINGLE
    if single != (question.video_b is None):
        wanted = "one clip" if single else "two clips"
        raise CampaignError(f"A question of this campaign shows {wanted}.")
    clips = list(filter(None, (question.video_a, question.video_b)))
    withdrawn = hold_clips(clip.pk for clip in clips)  # it may have been flagged since it was read
    for clip in clips:
        if clip.pk in withdrawn:
            raise CampaignError(f"The clip {clip.pk} was withdrawn.")
        if clip.prompt_id != question.prompt.pk:
            raise CampaignError(f"The clip {clip.pk} answers another prompt.")
    if question.video_a == question.video_b:
        raise CampaignError("A question compares two different clips.")


def _check_expected(campaign: Campaign, expected: Mapping[str, Any]) -> None:
    keys = list(
        Dimension.objects.filter(dimension_set=campaign.dimension_set_id).values_list(
            "key", flat=True
        )
    )
    if not expected or not set(expected) <= set(keys):
        raise CampaignError(f"The right answer must be on some of {', '.join(keys)}.")
    for key, answer in expected.items():
        if campaign.kind == CampaignKind.SINGLE:
            if answer not in [1, 2, 3, 4, 5, Label.INVALID.value] or isinstance(answer, bool):
                raise CampaignError(f"The right answer on {key} is a score from 1 to 5.")
        elif answer not in _LABELS:
            raise CampaignError(f"The right answer on {key} is one of {', '.join(_LABELS)}.")


def _check_not_asked(campaign: Campaign, question: Question) -> None:
    """A pair that people meet in the queue as well would give itself away as a probe."""
    first, second = question.video_a, question.video_b
    pair = Q(video_a=first, video_b=second) | Q(video_a=second, video_b=first)
    if campaign.triplets.filter(pair, state=TripletState.OPEN).exists():
        raise CampaignError("This pair is still in the queue of the campaign; it cannot be known.")


def _split_dimensions(triplet: Triplet) -> list[str] | None:
    """Keys on which the counted votes differ; None with fewer than two votes."""
    said: dict[str, set[str | None]] = {}
    votes = set()
    counted = Judgement.objects.filter(vote__triplet=triplet, vote__state=VoteState.COUNTED)
    for key, label, vote in counted.values_list("dimension__key", "label", "vote_id"):
        said.setdefault(key, set()).add(label)
        votes.add(vote)
    if len(votes) < 2:
        return None
    return sorted(key for key, labels in said.items() if len(labels) > 1 or None in labels)
