"""How accuracy grows with the number of votes: a law fitted to a learning curve, and its limits.

accuracy(n) = a - b n^-c: a power law with an asymptote (Hestness et al. 2017, arXiv 1712.00409;
Viering and Loog 2021, arXiv 2103.10948, find it among the forms that extrapolate best). Three
numbers from a handful of points say little, so every figure comes with the interval of a bootstrap
over test prompts and seeds, and where that interval is too wide no number is given at all.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Exponents that learning curves have: below, the curve is a straight line in log n without an end;
# above, it is flat from the second point on.
_EXPONENTS: Final = np.geomspace(0.1, 2.0, 25)
_FEWEST_SIZES: Final = 3  # as many as the law has numbers
FARTHEST: Final = 10.0  # times the largest size: what lies beyond is a guess
FEWEST_PROMPTS: Final = 20  # of the test split; resampling fewer shows too little of the scatter
_LEVEL: Final = 0.95

# Why no number is given.
REFUSALS: Final = {
    "few_sizes": f"it takes {_FEWEST_SIZES} different amounts of votes",
    "no_rise": "accuracy does not rise clearly over these amounts",
    "levels_off": "the curve that fits best levels off before that",
    "too_far": f"it lies beyond {FARTHEST:.0f} times what is there, which is a guess",
    "no_decisions": "no test pair has a winner",
    "few_prompts": f"fewer than {FEWEST_PROMPTS} test prompts tell how good a model is",
}


@dataclass(frozen=True, slots=True)
class Law:
    """accuracy(n) = asymptote - scale * (n / unit) ** -exponent. `unit` is the largest size."""

    asymptote: float
    scale: float
    exponent: float
    unit: float

    def at(self, size: float) -> float:
        return float(self.asymptote - self.scale * (size / self.unit) ** -self.exponent)

    def size_for(self, accuracy: float) -> float:
        """The size at which the law reaches an accuracy; infinity where it never does."""
        left = self.asymptote - accuracy
        if left <= 0 or self.scale <= 0:
            return math.inf
        return float(self.unit * (self.scale / left) ** (1 / self.exponent))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the next `gain` costs: `more`, likely between `low` and `high`.

    `high` None: curves that fit as well never get there, or beyond the farthest that is said.
    `more` None: `refusal`, a word of REFUSALS, says why; `low` is a bound where there is one.
    """

    gain: float
    more: float | None = None
    low: float | None = None
    high: float | None = None
    refusal: str = ""


def fit_law(sizes: Any, accuracies: Any) -> Law:
    """The least-squares law through points [M]. ValueError for fewer than three different sizes."""
    parameters = _fit_many(_sizes(sizes), np.asarray(accuracies, dtype=np.float64)[None])
    asymptote, scale, exponent = parameters[0].tolist()
    return Law(asymptote, scale, exponent, float(np.max(sizes)))


def forecast(
    sizes: Any,  # [M]
    accuracies: Any,  # [M]
    resampled: Any,  # [B, M]: the same points from resampled test prompts and seeds
    *,
    gain: float = 0.01,
) -> Forecast:
    """How many more than the largest size for `gain` more accuracy than the law has there."""
    points = _sizes(sizes)
    if len(np.unique(points)) < _FEWEST_SIZES:
        return Forecast(gain, refusal="few_sizes")
    unit = float(points.max())
    draws = np.asarray(resampled, dtype=np.float64)
    rise = draws[:, points == unit].mean(1) - draws[:, points == points.min()].mean(1)
    if np.quantile(rise, 1 - _LEVEL) <= 0:
        return Forecast(gain, refusal="no_rise")
    law = fit_law(points, accuracies)
    needed = law.size_for(law.at(unit) + gain) - unit
    fits = [Law(a, b, c, unit) for a, b, c in _fit_many(points, draws).tolist()]
    costs = np.asarray([each.size_for(each.at(unit) + gain) - unit for each in fits])
    farthest = (FARTHEST - 1) * unit
    # Ranks and not interpolation: a cost may be infinite.
    low, high = np.quantile(costs, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], method="nearest").tolist()
    low = None if low > farthest else low
    if needed > farthest:
        refusal = "too_far" if math.isfinite(needed) else "levels_off"
        return Forecast(gain, low=low, refusal=refusal)
    return Forecast(gain, needed, low, None if high > farthest else high)


def band(sizes: Any, resampled: Any, at: Any) -> Array:  # [2, K]
    """Interval of the fitted law at K sizes."""
    points = _sizes(sizes)
    fits = _fit_many(points, np.asarray(resampled, dtype=np.float64))  # [B, 3]
    x = np.asarray(at, dtype=np.float64) / points.max()
    curves = fits[:, :1] - fits[:, 1:2] * x[None] ** -fits[:, 2:3]
    result: Array = np.quantile(curves, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    return result


def _sizes(sizes: Any) -> Array:
    points = np.asarray(sizes, dtype=np.float64)
    if points.ndim != 1 or not (points > 0).all():
        raise ValueError("sizes must be a list of numbers above 0")
    return points


def _fit_many(sizes: Array, accuracies: Array) -> Array:
    """[M], [B, M] -> [B, 3]: asymptote, scale, exponent of each row, sizes in units of the largest.

    For a fixed exponent the law is a straight line in n^-c; so a grid of exponents and the exact
    line for each. A line that falls, or whose end is above 1, is held at that border.
    """
    if len(np.unique(sizes)) < _FEWEST_SIZES:
        raise ValueError(f"a law needs {_FEWEST_SIZES} different sizes")
    x = (sizes / sizes.max())[None] ** -_EXPONENTS[:, None]  # [G, M], at least 1
    centred = x - x.mean(1, keepdims=True)
    mean = accuracies.mean(1)[:, None]  # [B, 1]
    scale = np.maximum(-(accuracies @ centred.T) / (centred**2).sum(1), 0.0)  # [B, G]
    asymptote = mean + scale * x.mean(1)
    # Held at 1: the best scale through that point.
    held = np.maximum((1 - accuracies) @ x.T / (x**2).sum(1), 0.0)
    scale = np.where(asymptote > 1, held, scale)
    asymptote = np.minimum(asymptote, 1.0)
    error = ((accuracies[:, None] - asymptote[..., None] + scale[..., None] * x[None]) ** 2).sum(
        -1
    )  # [B, G]
    best = error.argmin(1)
    rows = np.arange(len(accuracies))
    return np.stack([asymptote[rows, best], scale[rows, best], _EXPONENTS[best]], axis=1)
