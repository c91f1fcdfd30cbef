"""How sure a figure is: a bootstrap over whole prompts, for one model and for two on one set.

Pairs of one prompt are not independent, so prompts are drawn and not pairs. A resample is a row of
weights, how often each pair is in it, and a statistic works on all resamples at once: 1,000 of
10,000 pairs take about a second.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models_rm.metrics.accuracy import Array, as_array, checked, last_of_groups

Weights = NDArray[np.float32]  # [R, N]: how often pair n is in resample r
# statistic(human [N], differences [N], weights [R, N]) -> [R], NaN where it is undefined
Statistic = Callable[[Array, Array, Weights], Array]

_CELLS: Final = 4_000_000  # of weights at once: 16 MB
_EVERYTHING: Final = 1


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same pairs: first - second, its interval, and a two-sided p-value.

    `p_value` is the share of resamples on the other side of zero, doubled; it is never below
    2 / resamples, because no bootstrap can say so.
    """

    difference: float
    low: float
    high: float
    p_value: float


# Statistics of many resamples.


def resampled_accuracy_without_ties(human: Array, gap: Array, weights: Weights) -> Array:
    """As `accuracy_without_ties` with strict ties."""
    right = (human * gap > 0).astype(np.float32)
    return _ratio(weights @ right, weights @ (human != 0).astype(np.float32))


def resampled_accuracy_at(human: Array, gap: Array, weights: Weights, *, threshold: float) -> Array:
    """As `accuracy_at`."""
    meant = np.where(np.abs(gap) <= threshold, 0, np.sign(gap))
    return _ratio(weights @ (meant == human).astype(np.float32), weights.sum(axis=1))


def resampled_accuracy_with_ties(human: Array, gap: Array, weights: Weights) -> Array:
    """As `accuracy_with_ties`: each resample has a best threshold of its own."""
    order = np.argsort(np.abs(gap), kind="stable")
    said, gap, weights = human[order], gap[order], weights[:, order]
    size, right = np.abs(gap), said * gap > 0
    start = weights @ (((said == 0) & (size == 0)) | right).astype(np.float32)
    moving = size > 0
    change = np.where(said == 0, 1, np.where(right, -1, 0))[moving].astype(np.float32)
    _, last = last_of_groups(size[moving])
    rise = np.cumsum(weights[:, moving] * change, axis=1)[:, last]
    best = np.maximum(rise.max(axis=1, initial=0.0), 0.0)
    return _ratio(start + best, weights.sum(axis=1))


def _ratio(above: Any, below: Any) -> Array:
    # Counts are whole numbers, exact in float32; their ratio is not.
    out = np.full(len(below), np.nan)
    return np.divide(above.astype(float), below.astype(float), out=out, where=below > 0)


# Intervals.


def clustered_interval(
    human: Any,
    predicted: Any,
    clusters: Sequence[Any],
    *,
    statistic: Statistic = resampled_accuracy_without_ties,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """Percentile bootstrap over clusters (prompts); None without resamples or pairs, and where the
    statistic is undefined. One cluster gives an interval without width: it says nothing of others.
    """
    said, (gap,), cluster = _aligned(human, (predicted,), clusters)
    if resamples == 0 or not len(said) or np.isnan(_whole(statistic, said, gap)):
        return None
    parts = [statistic(said, gap, weights) for weights in draws(cluster, resamples, seed)]
    low, high = np.nanquantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def compare(
    human: Any,
    first: Any,
    second: Any,
    clusters: Sequence[Any],
    *,
    statistic: Statistic = resampled_accuracy_without_ties,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison | None:
    """Paired bootstrap: both models are judged on the same resamples, so what is hard in a prompt
    is hard for both and leaves the difference. None where the statistic is undefined."""
    said, (one, two), cluster = _aligned(human, (first, second), clusters)
    if resamples == 0 or not len(said):
        return None
    difference = _whole(statistic, said, one) - _whole(statistic, said, two)
    if np.isnan(difference):
        return None
    drawn = [
        statistic(said, one, weights) - statistic(said, two, weights)
        for weights in draws(cluster, resamples, seed)
    ]
    found = np.concatenate(drawn)
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    tail = min((found <= 0).mean(), (found >= 0).mean())
    p_value = min(1.0, max(2 * tail, 2 / len(found)))
    return Comparison(float(difference), float(low), float(high), float(p_value))


def at(threshold: float) -> Statistic:
    """The accuracy with ties at a fixed threshold, as a statistic."""
    return partial(resampled_accuracy_at, threshold=threshold)


def draws(cluster: NDArray[np.intp], resamples: int, seed: int) -> Iterator[Weights]:
    """Weights of all resamples, a block of rows at a time; a function of the arguments alone."""
    count = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // max(len(cluster), count))
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = rng.integers(count, size=(block, count))
        drawn += count * np.arange(block)[:, None]
        times = np.bincount(drawn.ravel(), minlength=block * count).reshape(block, count)
        yield times.astype(np.float32)[:, cluster]


def _whole(statistic: Statistic, said: Array, gap: Array) -> float:
    return float(statistic(said, gap, np.ones((_EVERYTHING, len(said)), dtype=np.float32))[0])


def _aligned(
    human: Any, predictions: Sequence[Any], clusters: Sequence[Any]
) -> tuple[Array, list[Array], NDArray[np.intp]]:
    """Checked labels and differences, and the cluster of each pair that has a label."""
    judged = ~np.isnan(as_array(human))
    gaps = [checked(human, each)[1] for each in predictions]
    if len(clusters) != len(judged):
        raise ValueError(f"there are {len(judged)} pairs and {len(clusters)} clusters")
    names = np.asarray([str(each) for each in clusters])[judged]
    said = as_array(human)[judged]
    if not len(names):
        return said, gaps, np.empty(0, dtype=np.intp)
    _, cluster = np.unique(names, return_inverse=True)
    return said, gaps, cluster
