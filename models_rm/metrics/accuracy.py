"""How often the sign of a reward difference is what people said, with and without ties.

`human` holds +1 (A is better), 0 (tie), -1 (B is better); `predicted` is score A - score B. Both
may be lists, arrays or tensors of the same length.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Differences are compared after rounding: 0.5 - 0.4 and 0.4 - 0.3 are not equal bit for bit.
DECIMALS = 9


class NotFiniteError(ValueError):
    """A reward is NaN or infinite: no figure can be made of it, and none is made up."""


@dataclass(frozen=True, slots=True)
class TieCalibration:
    """Accuracy with ties at the best threshold, and the whole curve (threshold, accuracy)."""

    accuracy: float
    threshold: float
    curve: tuple[tuple[float, float], ...] = ()


def accuracy_with_ties(human: Any, predicted: Any) -> TieCalibration | None:
    """Tie calibration (Deutsch, Foster and Freitag 2023, arXiv 2305.14324); None without pairs.

    For each threshold among 0 and the |differences| a pair is predicted a tie where its
    |difference| does not exceed it. The best accuracy is given, at the smallest threshold that
    reaches it. Pairs without a label (None or NaN) are left out.
    """
    said, gap = checked(human, predicted)
    if not len(said):
        return None
    order = np.argsort(np.abs(gap), kind="stable")
    said, gap = said[order], gap[order]
    size = np.abs(gap)
    start = int(((said == 0) & (size == 0)).sum() + ((said * gap) > 0).sum())
    # From 0 upwards each pair becomes a predicted tie: right for a tie, wrong for what was right.
    change = np.where(said == 0, 1, np.where(said * gap > 0, -1, 0))
    moving = size > 0
    levels, last = last_of_groups(size[moving])
    correct = start + np.concatenate([[0], np.cumsum(change[moving])[last]]).astype(int)
    thresholds = np.concatenate([[0.0], levels])
    best = int(correct.argmax())  # the first, so the smallest threshold
    curve = tuple(zip(thresholds.tolist(), (correct / len(said)).tolist(), strict=True))
    return TieCalibration(float(correct[best] / len(said)), float(thresholds[best]), curve)


def accuracy_at(human: Any, predicted: Any, threshold: float) -> float | None:
    """Accuracy with ties at a threshold that was found elsewhere."""
    said, gap = checked(human, predicted)
    if not len(said):
        return None
    meant = np.where(np.abs(gap) <= threshold, 0, np.sign(gap))
    return float((meant == said).mean())


def accuracy_without_ties(human: Any, predicted: Any, *, ties: str = "strict") -> float | None:
    """Share of the decisive pairs whose difference has the right sign; None where there are none.

    A difference of exactly 0 is wrong if `ties` is `strict` (VideoAlign) and half right if `half`.
    """
    said, gap = checked(human, predicted)
    decisive = said != 0
    if not decisive.any():
        return None
    agreement = said[decisive] * gap[decisive]
    right = (agreement > 0).astype(float)
    if ties == "half":
        right += 0.5 * (agreement == 0)
    elif ties != "strict":
        raise ValueError(f"ties must be strict or half, got {ties!r}")
    return float(right.mean())


def btt_threshold(theta: float) -> float:
    """Below this |difference| of raw rewards a tie is the most likely class; needs no labels.

    log((theta^2 - 2) / theta): 1.5261 at theta 5. At theta up to 2 a tie is never the most likely.
    """
    return max(0.0, math.log((theta**2 - 2) / theta)) if theta > 2 else 0.0


def baselines(human: Any) -> dict[str, float]:
    """What a judge without information reaches with ties: always a tie, or the better of chance."""
    said, _ = checked(human, np.zeros(len(human)))
    tie_share = float((said == 0).mean()) if len(said) else 0.0
    return {"always_tie": tie_share, "random": max(1 / 3, tie_share)}


def share_above_chance(accuracy: float, ceiling: float) -> float:
    """(accuracy - 0.5) / (ceiling - 0.5): how much of what can be known was learned."""
    return (accuracy - 0.5) / (ceiling - 0.5)


def as_array(values: Any) -> Array:
    if hasattr(values, "detach"):  # a tensor, without importing torch
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def checked(human: Any, predicted: Any) -> tuple[Array, Array]:
    """Labels and rounded differences of the pairs that have a label; the rest is refused."""
    said, gap = as_array(human), np.round(as_array(predicted), DECIMALS)
    if said.ndim != 1 or said.shape != gap.shape:
        raise ValueError(
            f"human and predicted must be two lists of one length, got {said.shape} and {gap.shape}"
        )
    judged = ~np.isnan(said)
    said, gap = said[judged], gap[judged]
    if not np.isin(said, (-1, 0, 1)).all():
        raise ValueError("human labels must be +1, 0 or -1; leave invalid ones out")
    bad = np.flatnonzero(~np.isfinite(gap))
    if len(bad):
        raise NotFiniteError(
            f"the predicted difference of pair {bad[0]} is not a finite number ({gap[bad[0]]})"
        )
    return said, gap


def last_of_groups(ordered: Array) -> tuple[Array, NDArray[np.intp]]:
    """The distinct values of an ordered array, and the index of the last of each."""
    if not len(ordered):
        return ordered, np.empty(0, dtype=np.intp)
    ends = np.flatnonzero(np.concatenate([np.diff(ordered) > 0, [True]]))
    return ordered[ends], ends
