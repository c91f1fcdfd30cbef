"""What an annotator says about a pair, checked against what was shown and asked.

The screen knows left and right; everything kept is in canonical order, A and B. Votes and answers
on probes are read by the same rules, so that nobody can tell them apart by what is refused.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.errors import BadVote
from annotation.models import Campaign, CampaignKind, Dimension
from formats.labels import InvalidReason, Label

_SIDES: Final = ("left", "right", Label.TIE.value, Label.INVALID.value)
_REASONS: Final = tuple(reason.value for reason in InvalidReason)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the screen says on one dimension: left or right, as the annotator saw the clips."""

    label: str  # left | right | tie | invalid; empty where a single clip is scored
    reason: str = ""  # of `invalid`
    score_left: int | None = None
    score_right: int | None = None


@dataclass(frozen=True, slots=True)
class Ballot:
    """One submission: what was shown, what was answered, and how long it took."""

    left_video: str
    right_video: str  # empty in a campaign of single clips
    answers: Mapping[str, Answer]  # by the key of the dimension
    timing: Mapping[str, Any] = field(default_factory=dict)
    active_ms: int | None = None
    remark: str = ""
    guideline: int = 0  # the version under which it was given; 0 for none


@dataclass(frozen=True, slots=True)
class Said:
    """One dimension of a ballot, the swap of the screen undone."""

    dimension: Dimension
    label: Label | None  # None: a single clip was scored
    reason: str
    score_a: int | None
    score_b: int | None


def canonical(
    ballot: Ballot,
    campaign: Campaign,
    dimensions: Sequence[Dimension],
    *,
    shown: tuple[object, object],  # ids of the clips on the left and on the right, or None
    swap: bool,
) -> list[Said]:
    """What the ballot says; BadVote where it does not fit what was shown or asked."""
    if (ballot.left_video, ballot.right_video) != tuple(str(each or "") for each in shown):
        raise BadVote("The vote names other clips than the pair that was shown; reload the page.")
    wanted = [dimension.key for dimension in dimensions]
    missing = [key for key in wanted if key not in ballot.answers]
    if missing:
        raise BadVote(f"The vote says nothing on {', '.join(missing)}.", dimensions=missing)
    unknown = sorted(set(ballot.answers) - set(wanted))
    if unknown:
        raise BadVote(f"Nobody asked about {', '.join(unknown)}; expected {', '.join(wanted)}.")
    check = _check_single if campaign.kind == CampaignKind.SINGLE else _check_pair
    return [_said(each, ballot.answers[each.key], check, swap=swap) for each in dimensions]


def said_hash(said: Sequence[Said], remark: str = "") -> str:
    """Of what was said, in canonical order; not of the timing, which differs in a second click."""
    words: list[Any] = [
        [each.dimension.pk, each.label, each.reason, each.score_a, each.score_b] for each in said
    ]
    return hashlib.sha256(json.dumps([*words, remark] if remark else words).encode()).hexdigest()


def _said(dimension: Dimension, answer: Answer, check: Any, *, swap: bool) -> Said:
    check(dimension, answer)
    label = {"left": Label.B, "right": Label.A} if swap else {"left": Label.A, "right": Label.B}
    scores = (answer.score_left, answer.score_right)
    score_a, score_b = reversed(scores) if swap else scores
    known = label.get(answer.label) or (Label(answer.label) if answer.label else None)
    return Said(dimension, known, answer.reason, score_a, score_b)


def _check_pair(dimension: Dimension, answer: Answer) -> None:
    key = dimension.key
    if answer.label not in _SIDES:
        raise BadVote(f"Unknown label {answer.label!r} on {key}; expected {', '.join(_SIDES)}.")
    if answer.label == Label.TIE and not dimension.allow_tie:
        raise BadVote(f"On {key} one clip must be chosen: 'same' is not offered there.")
    _check_reason(key, answer)
    _check_score(key, answer.score_left)
    _check_score(key, answer.score_right)


def _check_single(dimension: Dimension, answer: Answer) -> None:
    key = dimension.key
    if answer.label not in {"", Label.INVALID.value}:
        raise BadVote(f"{key} asks for a score from 1 to 5, not for {answer.label!r}.")
    if answer.score_right is not None:
        raise BadVote(f"There is one clip, but {key} has a score for a second.")
    if (answer.score_left is None) != (answer.label == Label.INVALID):
        raise BadVote(f"{key} wants a score from 1 to 5, or 'invalid' with a reason.")
    _check_reason(key, answer)
    _check_score(key, answer.score_left)


def _check_reason(key: str, answer: Answer) -> None:
    if answer.label == Label.INVALID and answer.reason not in _REASONS:
        raise BadVote(f"Invalid on {key} needs a reason: {', '.join(_REASONS)}.")
    if answer.label != Label.INVALID and answer.reason:
        raise BadVote(f"Only an invalid pair has a reason, but {key} says {answer.label}.")


def _check_score(key: str, score: int | None) -> None:
    if score is not None and score not in range(1, 6):
        raise BadVote(f"A score on {key} must be from 1 to 5, got {score}.")
