"""What turns a raw reward into a score that means something: mean, deviation, tie thresholds.

A network that says how sure it is says it with a scale of its own. One factor per dimension makes
its standard deviations fit what people said on pairs that it was not trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from models_rm.data import Pairs
from models_rm.metrics import accuracy_with_ties, btt_log_probabilities, negative_log_likelihood

Floats = NDArray[np.float64]
_FURTHEST: Final = 10.0  # a factor beyond this is not of a scale but of a model that is wrong


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per dimension, from one split: (r - mean) / std is the score, and up to `threshold` of raw
    difference two clips count as equal. `source` names the split, `clips` how many it had.
    `uncertainty` is the factor of the network's standard deviations; empty where it gives none.
    """

    source: str
    clips: int
    mean: dict[str, float]
    std: dict[str, float]
    threshold: dict[str, float | None]
    uncertainty: dict[str, float] = field(default_factory=dict)

    def scores(self, key: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return (raw - self.mean[key]) / self.std[key]

    def deviations(self, keys: Sequence[str], std: Floats) -> Floats:  # [..., D]
        """What the network says of its rewards, in calibrated standard deviations of raw rewards.
        A dimension without a factor keeps what the network says."""
        return std * np.array([self.uncertainty.get(key, 1.0) for key in keys])

    def log_variance(self, keys: Sequence[str], raw: Floats | None) -> Floats | None:
        """The same for log variances [..., D]; None stays None."""
        if raw is None:
            return None
        return raw + 2 * np.log([self.uncertainty.get(key, 1.0) for key in keys])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def calibrate(
    pairs: Pairs,
    rewards: Floats,
    source: str,
    *,
    uncertainty: Mapping[str, float] | None = None,
) -> Calibration:
    """`rewards`: raw [R, D] for the rows of `pairs`; `uncertainty`: of `fit_uncertainty`."""
    deviation = rewards.std(axis=0)
    # A set of equal rewards has no scale of its own.
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    gaps = rewards[pairs.a] - rewards[pairs.b]
    thresholds: dict[str, float | None] = {}
    for d, key in enumerate(pairs.keys):
        valid = pairs.valid[:, d]
        best = accuracy_with_ties(pairs.preference[valid, d], gaps[valid, d])
        thresholds[key] = None if best is None else best.threshold
    return Calibration(
        source=source,
        clips=len(pairs.rows),
        mean=dict(zip(pairs.keys, rewards.mean(axis=0).tolist(), strict=True)),
        std=dict(zip(pairs.keys, deviation.tolist(), strict=True)),
        threshold=thresholds,
        uncertainty=dict(uncertainty or {}),
    )


def fit_uncertainty(
    pairs: Pairs,
    rewards: Floats,  # raw, [R, D]
    log_variance: Floats | None,  # of the network, [R, D]
    theta: Sequence[float],
    losses: Sequence[str],  # kind per dimension
) -> dict[str, float]:
    """The factor of the standard deviations per dimension; empty without `log_variance`.

    It minimises the NLL of what people said: of the labels of the pairs, or, in a regression, of
    the scores of the clips. A standard normal prior on its logarithm counts as one observation, so
    a dimension of which nobody said anything has the factor 1.
    """
    if log_variance is None:
        return {}
    variance = np.exp(log_variance)
    return {
        key: _factor_of_scores(pairs, rewards, variance, d)
        if losses[d] == "regression"
        else _factor_of_pairs(pairs, rewards, variance, d, theta[d])
        for d, key in enumerate(pairs.keys)
    }


def _factor_of_pairs(
    pairs: Pairs, rewards: Floats, variance: Floats, d: int, theta: float
) -> float:
    valid = np.flatnonzero(pairs.valid[:, d])
    if not len(valid):
        return 1.0
    a, b, human = pairs.a[valid], pairs.b[valid], pairs.preference[valid, d]
    gap, spread = rewards[a, d] - rewards[b, d], variance[a, d] + variance[b, d]

    def cost(log_factor: float) -> float:
        logs = btt_log_probabilities(gap, theta, spread * np.exp(2 * log_factor))
        return len(valid) * negative_log_likelihood(human, logs) + log_factor**2 / 2

    return _least(cost)


def _factor_of_scores(pairs: Pairs, rewards: Floats, variance: Floats, d: int) -> float:
    rows = np.concatenate([pairs.a, pairs.b])
    scores = np.concatenate([pairs.score_a[:, d], pairs.score_b[:, d]]).astype(np.float64)
    known = np.isfinite(scores)
    if not known.any():
        return 1.0
    ratio = (rewards[rows[known], d] - (scores[known] - 3)) ** 2 / variance[rows[known], d]

    def cost(log_factor: float) -> float:
        fit = ratio.sum() * np.exp(-2 * log_factor) / 2 + known.sum() * log_factor
        return float(fit + log_factor**2 / 2)

    return _least(cost)


def _least(cost: Any) -> float:
    edge = np.log(_FURTHEST)
    found = minimize_scalar(cost, bounds=(-edge, edge), method="bounded")
    return float(np.exp(found.x))
