"""What turns a raw reward into a score that means something: mean, deviation, tie thresholds.

A network that says how sure it is says it with a scale of its own. A factor and a temperature per
dimension make it fit what people said on pairs that it was not trained on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models_rm.metrics import accuracy_with_ties, btt_log_probabilities, negative_log_likelihood
from models_rm.preferences.data import Pairs

Floats = NDArray[np.float64]
_FURTHEST: Final = 50.0  # a factor beyond this is not of a scale but of a model that is wrong


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per dimension, from one split: (r - mean) / std is the score, and up to `threshold` of raw
    difference two clips count as equal. `source` names the split, `clips` how many it had.
    Of a network that says how sure it is, `uncertainty` is the factor of its standard deviations
    and `temperature` what differences and deviations are divided by before they meet theta.
    """

    source: str
    clips: int
    mean: dict[str, float]
    std: dict[str, float]
    threshold: dict[str, float | None]
    uncertainty: dict[str, float] = field(default_factory=dict)
    temperature: dict[str, float] = field(default_factory=dict)

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

    def temperatures(self, keys: Sequence[str]) -> list[float]:
        return [self.temperature.get(key, 1.0) for key in keys]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def calibrate(
    pairs: Pairs,
    rewards: Floats,
    source: str,
    *,
    uncertainty: Mapping[str, "Fit"] | None = None,
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
        uncertainty={key: fit.deviation for key, fit in (uncertainty or {}).items()},
        temperature={key: fit.temperature for key, fit in (uncertainty or {}).items()},
    )


class Fit(NamedTuple):
    """What makes a network's idea of a dimension fit what people said on pairs."""

    deviation: float = 1.0  # factor of the standard deviations
    temperature: float = 1.0  # divisor of the differences before they meet theta


def fit_uncertainty(
    pairs: Pairs,
    rewards: Floats,  # raw, [R, D]
    log_variance: Floats | None,  # of the network, [R, D]
    theta: Sequence[float],
    losses: Sequence[str],  # kind per dimension
) -> dict[str, Fit]:
    """The factor of the standard deviations per dimension; empty without `log_variance`.

    It minimises the NLL of what people said: of the labels of the pairs, together with a
    temperature, or else rewards on a wrong scale would pass for unsure ones; in a regression, of
    the scores of the clips. Standard normal priors on the logarithms count as one observation
    each, so a dimension of which nobody said anything keeps what the network says.
    """
    if log_variance is None:
        return {}
    variance = np.exp(log_variance)
    return {
        key: _of_scores(pairs, rewards, variance, d)
        if losses[d] == "regression"
        else _of_pairs(pairs, rewards, variance, d, theta[d])
        for d, key in enumerate(pairs.keys)
    }


def _of_pairs(pairs: Pairs, rewards: Floats, variance: Floats, d: int, theta: float) -> Fit:
    valid = np.flatnonzero(pairs.valid[:, d])
    a, b, human = pairs.a[valid], pairs.b[valid], pairs.preference[valid, d]
    gap, spread = rewards[a, d] - rewards[b, d], variance[a, d] + variance[b, d]

    def cost(logs: Floats) -> float:
        factor, heat = np.exp(logs)
        found = btt_log_probabilities(gap / heat, theta, spread * (factor / heat) ** 2)
        return len(valid) * negative_log_likelihood(human, found) + float((logs**2).sum()) / 2

    return Fit(*_least(cost, 2)) if len(valid) else Fit()


def _of_scores(pairs: Pairs, rewards: Floats, variance: Floats, d: int) -> Fit:
    rows = np.concatenate([pairs.a, pairs.b])
    scores = np.concatenate([pairs.score_a[:, d], pairs.score_b[:, d]]).astype(np.float64)
    known = np.isfinite(scores)
    ratio = (rewards[rows[known], d] - (scores[known] - 3)) ** 2 / variance[rows[known], d]

    def cost(logs: Floats) -> float:
        fit = ratio.sum() * np.exp(-2 * logs[0]) / 2 + known.sum() * logs[0]
        return float(fit + logs[0] ** 2 / 2)

    return Fit(*_least(cost, 1)) if known.any() else Fit()


def _least(cost: Callable[[Floats], float], size: int) -> list[float]:
    edge = float(np.log(_FURTHEST))
    found = minimize(cost, np.zeros(size), method="L-BFGS-B", bounds=[(-edge, edge)] * size)
    factors: list[float] = np.exp(found.x).tolist()
    return factors
