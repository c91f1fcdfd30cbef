"""Intervals for figures of votes that come in clusters: prompts are drawn anew, not votes.

Votes on one prompt are not independent: on simulated campaigns an interval over single votes was a
third too narrow. All our figures are functions of sums over clusters, so a resample is a weighted
sum, and all resamples together are one product of matrices. Numpy alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDS: Final = 1000
# More clusters than this are put together at random first. Groups of independent clusters are
# independent, and their sums vary as much as the sums of the clusters: the interval stays the same,
# its ends get an error of 1 / sqrt(2 * 2000), and its cost is bounded.
MAX_GROUPS: Final = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic as it is shown: None where it is undefined, and its ends where they are known."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> Interval | None:
        if self.value is None or self.low is None or self.high is None:
            return None
        return Interval(self.value, self.low, self.high)


def figure(values: Floats) -> Figure:
    """From a statistic [1 + rounds]: its value, then what the resamples give; NaN is undefined."""
    if not np.isfinite(values[0]):
        return Figure(None)
    found = interval(float(values[0]), values[1:])
    return Figure(float(values[0]), *((found.low, found.high) if found else ()))


def numbered(keys: ArrayLike) -> tuple[Integers, Integers]:
    """The distinct keys in order, and the place of each key among them."""
    given = np.asarray(keys, np.int64).ravel()
    low, high = (int(given.min()), int(given.max())) if len(given) else (0, -1)
    if high - low > 8 * len(given) + 1000:
        distinct, place = np.unique(given, return_inverse=True)
        return distinct, place.astype(np.int64)
    # Keys of rows lie close together: a table is faster than sorting.
    seen = np.zeros(high - low + 1, dtype=np.int64)
    seen[given - low] = 1
    return np.flatnonzero(seen) + low, (np.cumsum(seen) - 1)[given - low]


def grouped(cluster: ArrayLike, *, most: int = MAX_GROUPS, seed: int = 0) -> Integers:
    """Numbers the clusters from 0, and puts them into at most `most` groups."""
    number = numbered(cluster)[1]
    clusters = size_of(number)
    if clusters <= most:
        return number
    shuffled = np.random.default_rng(seed).permutation(clusters) % most
    return shuffled[number]


def size_of(index: Integers) -> int:
    return int(index.max()) + 1 if len(index) else 0


@lru_cache(maxsize=4)
def resamples(groups: int, *, rounds: int = ROUNDS, seed: int = 0) -> Floats:  # [rounds, groups]
    """How often each group is drawn in each round: `groups` draws with replacement. Read-only."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, groups, (rounds, groups)) + np.arange(rounds)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=rounds * groups)
    drawn_often = counts.reshape(rounds, groups).astype(np.float64)
    drawn_often.flags.writeable = False  # it is shared by all figures of a page
    return drawn_often


def interval(value: float | None, draws: Floats) -> Interval | None:
    """The percentile interval; `draws` may hold NaN where a resample has no such figure."""
    known = draws[np.isfinite(draws)]
    if value is None or len(known) < 2:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def share_interval(
    hit: ArrayLike, asked: ArrayLike, group: Integers, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval | None:
    """A share of sums, hit / asked, with an entry per unit of a group; also a mean."""
    hits, total = np.asarray(hit, np.float64), np.asarray(asked, np.float64)
    if not total.sum():
        return None
    size = size_of(group)
    value = float(hits.sum() / total.sum())
    if size < 2:
        return None
    weights = resamples(size, rounds=rounds, seed=seed)
    parts = np.stack([np.bincount(group, each, size) for each in (hits, total)], axis=1)
    drawn = weights @ parts
    with np.errstate(invalid="ignore", divide="ignore"):
        return interval(value, drawn[:, 0] / drawn[:, 1])
