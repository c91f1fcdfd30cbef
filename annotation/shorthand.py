"""What a vote says, as one letter per dimension: `Vote.said`.

Statistics read half a million votes at once; a row per judgement would be the cost of every figure.
The letters stand in the order of the dimensions' primary keys, which never changes. The judgements
stay the truth: `said` is written beside them, in the same transaction, and never read back into a
label that anybody exports.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from formats.labels import InvalidReason, Label

NOTHING: Final = " "  # the dimension was not asked when this vote was given

# B < tie < A is the ordinal scale of a pair, 1 to 5 that of a single clip.
_LABELS: Final = {Label.B: "B", Label.TIE: "T", Label.A: "A"}
_REASONS: Final = {
    InvalidReason.BROKEN: "x",
    InvalidReason.UNSAFE: "u",
    InvalidReason.PROMPT_UNCLEAR: "p",
    InvalidReason.IDENTICAL: "i",
    InvalidReason.OTHER: "o",
}
PAIR_LETTERS: Final = tuple(_LABELS.values())
SCORE_LETTERS: Final = ("1", "2", "3", "4", "5")
REASON_OF_LETTER: Final = {letter: reason.value for reason, letter in _REASONS.items()}


class Judged(Protocol):
    """A judgement, stored or not yet."""

    dimension_id: int
    label: str | None
    reason: str
    score_a: int | None


def said(judgements: Iterable[Judged]) -> str:
    """One letter per dimension, in the order of the dimensions' primary keys."""
    return "".join(
        letter(each.label, each.reason, each.score_a)
        for each in sorted(judgements, key=lambda each: each.dimension_id)
    )


def letter(label: str | None, reason: str, score: int | None) -> str:
    if label == Label.INVALID:
        return _REASONS[InvalidReason(reason)]
    return str(score) if label is None else _LABELS[Label(label)]
