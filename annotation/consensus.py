"""From judgements to one label. Pure: no database, no Django (DESIGN 3)."""

from collections import Counter
from collections.abc import Iterable, Sequence

from formats.labels import CLASSES, Label


def consensus_of(labels: Sequence[Label | None]) -> Label | None:
    """`invalid` if at least half say so; else the strict majority of A, B and tie; else None.

    A split A against B is not a tie: disagreement is the lack of an opinion. A score without a
    label, as single clips have it, weighs against `invalid` and settles no label.
    """
    counts = Counter(labels)
    invalid = counts.pop(Label.INVALID, 0)
    if labels and 2 * invalid >= len(labels):
        return Label.INVALID
    valid = counts.total()
    return next((label for label, count in counts.items() if 2 * count > valid), None)


def vote_shares(labels: Iterable[Label | None]) -> list[float] | None:
    """[share of A, of tie, of B] among the valid judgements; None without one.

    The first posterior of a triplet, until Dawid and Skene know the annotators (`posteriors`).
    """
    counts = Counter(label for label in labels if label in CLASSES)
    if not counts:
        return None
    return [counts[label] / counts.total() for label in CLASSES]


def mean_score(scores: Iterable[int | None]) -> float | None:
    """Mean of the 1-5 scores that were given."""
    given = [score for score in scores if score is not None]
    return sum(given) / len(given) if given else None
