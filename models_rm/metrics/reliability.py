"""Whether predicted probabilities mean what they say: NLL, Brier score, reliability curves."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from models_rm.metrics.accuracy import Array, as_array, checked

BINS: Final = 10
_NAMES: Final = ("A", "tie", "B")
_Z: Final = 1.959963984540054  # 95 %


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose class was given a probability from `low` to `high`.

    `predicted` is the mean of that probability, `observed` the share that people gave the class,
    `observed_low` and `observed_high` its 95 % interval (Wilson; pairs taken as independent).
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Per class the bins that hold a pair, and the expected calibration error of the class."""

    bins: dict[str, tuple[Bin, ...]]
    error: dict[str, float]

    @property
    def mean_error(self) -> float:
        return float(np.mean(list(self.error.values())))


def btt_log_probabilities(gap: Any, theta: Any, variance: Any = 0.0) -> Array:  # [..., 3]
    """Logarithms of P(A), P(tie), P(B) of Bradley-Terry with ties (Rao and Kupper 1967), finite
    for any difference.

    `gap`: reward A - reward B [...]; `theta` above 1 and `variance` of the difference broadcast
    with it. A variance flattens the two wins as the probit approximation of a logistic with an
    uncertain argument does: sigma(x / sqrt(1 + pi variance / 8)); ties take the rest.
    """
    d, edge = as_array(gap), np.log(as_array(theta))
    flat = np.sqrt(1 + np.pi * as_array(variance) / 8)
    x, y = (d - edge) / flat, (-d - edge) / flat
    tie = np.log(-np.expm1(x + y)) - np.logaddexp(0, x) - np.logaddexp(0, y)
    return np.stack([-np.logaddexp(0, -x), tie, -np.logaddexp(0, -y)], axis=-1)


def truth_of(human: Any) -> Array:  # [N, 3] in the order A, tie, B
    return np.eye(3)[_class_of(human)]


def _class_of(human: Any) -> NDArray[np.int64]:
    return 1 - as_array(human).astype(np.int64)


def negative_log_likelihood(human: Any, log_probabilities: Any) -> float:
    """Mean -log P(what people said); log P is [N, 3] (A, tie, B)."""
    given = np.take_along_axis(as_array(log_probabilities), _class_of(human)[:, None], axis=-1)
    return float(-given.mean())


def brier_score(human: Any, probabilities: Any) -> float:
    """Mean squared distance of [N, 3] probabilities (A, tie, B) to what people said, 0 to 2."""
    return float(((as_array(probabilities) - truth_of(human)) ** 2).sum(-1).mean())


def reliability(human: Any, probabilities: Any, *, bins: int = BINS) -> Reliability:
    """One curve per class, in bins of equal width; empty bins are left out."""
    truth, given = truth_of(human), as_array(probabilities)
    curves = {name: _curve(truth[:, k], given[:, k], bins) for k, name in enumerate(_NAMES)}
    count = max(len(truth), 1)
    errors = {
        name: sum(each.count * abs(each.observed - each.predicted) for each in curve) / count
        for name, curve in curves.items()
    }
    return Reliability(curves, errors)


def _curve(truth: Array, given: Array, bins: int) -> tuple[Bin, ...]:
    place = np.clip((given * bins).astype(int), 0, bins - 1)
    found = []
    for index in np.unique(place):
        inside = place == index
        observed, count = float(truth[inside].mean()), int(inside.sum())
        low, high = wilson(observed, count)
        found.append(
            Bin(
                low=float(index / bins),
                high=float((index + 1) / bins),
                count=count,
                predicted=float(given[inside].mean()),
                observed=observed,
                observed_low=low,
                observed_high=high,
            )
        )
    return tuple(found)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count` independent cases."""
    square = _Z**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = (share * (1 - share) / count + square / (4 * count**2)) ** 0.5
    half = _Z * spread / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class TieFit:
    """The tie parameter that was used, held against the ties that people gave.

    `equal_quality` is (1 + q) / (1 - q) for the tie share q: what theta would be if all pairs were
    equal in quality; unequal pairs need a larger one for the same share. `best` is the theta under
    which these differences explain the labels best; None where nothing but ties, or no tie at all,
    leaves it without a bound.
    """

    observed: float
    predicted: float
    equal_quality: float | None
    best: float | None


def tie_fit(human: Any, predicted: Any, probabilities: Any) -> TieFit:
    """`probabilities` [N, 3] are what the model gave for these differences."""
    said, gap = checked(human, predicted)
    share = float((said == 0).mean())
    return TieFit(
        observed=share,
        predicted=float(as_array(probabilities)[:, 1].mean()),
        equal_quality=(1 + share) / (1 - share) if share < 1 else None,
        best=_best_theta(said, gap) if 0 < share < 1 else None,
    )


def _best_theta(said: Array, gap: Array) -> float:
    def loss(log_excess: float) -> float:
        logs = btt_log_probabilities(gap, 1 + np.exp(log_excess))
        return negative_log_likelihood(said, logs)

    found = minimize_scalar(loss, bounds=(-7.0, 9.0), method="bounded")
    return float(1 + np.exp(found.x))
