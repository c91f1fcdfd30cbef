"""Inter-annotator agreement: pure functions on counts, and Dawid-Skene on votes. Numpy alone.

`counts[u, c]` says how many people gave unit u (a triplet on one dimension) the value c; missing
votes need no imputation. A statistic that is not defined, because nobody disagrees or nobody
shares a unit, is None and never 1.0 or NaN. `invalid` is no value here: leave it out of the counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Level = Literal["nominal", "ordinal"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDS: Final = 1000  # of a bootstrap


def _checked(counts: ArrayLike) -> Floats:
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"counts must be [units, values], got {table.ndim} dimensions")
    if (table < 0).any():
        raise ValueError("counts must not be negative")
    return table


def coincidences(counts: ArrayLike) -> Floats:  # [values, values]
    """Krippendorff's coincidence matrix, from the units with two votes or more."""
    table = _checked(counts)
    votes = table.sum(1)
    table, votes = table[votes >= 2], votes[votes >= 2]
    weighted = table / np.maximum(votes - 1, 1)[:, None]
    # n_uc (n_uk - [c = k]): a vote is not paired with itself.
    matrix: Floats = weighted.T @ table - np.diag(weighted.sum(0))
    return matrix


def _squared_distance(totals: Floats, level: Level) -> Floats:  # [values, values]
    if level == "nominal":
        return 1 - np.eye(len(totals))
    if level == "ordinal":
        # Votes between two values, with half of those at either end.
        middle = np.cumsum(totals) - totals / 2
        return np.subtract.outer(middle, middle) ** 2
    raise ValueError(f"level must be nominal or ordinal, got {level!r}")


def _alpha_of(matrix: Floats, level: Level) -> float | None:
    totals = matrix.sum(1)
    distance = _squared_distance(totals, level)
    expected = float((np.outer(totals, totals) * distance).sum())
    if expected == 0:
        return None
    observed = float((matrix * distance).sum())
    votes = float(totals.sum())
    return 1 - (votes - 1) * observed / expected


def krippendorff_alpha(counts: ArrayLike, level: Level = "nominal") -> float | None:
    """Krippendorff's alpha ("Computing Krippendorff's Alpha-Reliability", 2011).

    None where only one value occurs or no unit has two votes.
    """
    return _alpha_of(coincidences(counts), level)


def raw_agreement(counts: ArrayLike) -> float | None:
    """The share of pairs of votes on one unit that are equal, averaged over units."""
    table = _checked(counts)
    votes = table.sum(1)
    table, votes = table[votes >= 2], votes[votes >= 2]
    if len(table) == 0:
        return None
    return float(((table * (table - 1)).sum(1) / (votes * (votes - 1))).mean())


def gwet_ac1(counts: ArrayLike) -> float | None:
    """Gwet's AC1 (British Journal of Mathematical and Statistical Psychology 61, 2008).

    It stays high where one value prevails and kappa collapses; show it beside alpha, never alone.
    Units with one vote count for the prevalence only. None with fewer than two values or no pair.
    """
    table = _checked(counts)
    observed = raw_agreement(table)
    values = table.shape[1]
    if observed is None or values < 2:
        return None
    rated = table[table.sum(1) > 0]
    prevalence = (rated / rated.sum(1, keepdims=True)).mean(0)
    expected = float((prevalence * (1 - prevalence)).sum() / (values - 1))
    return (observed - expected) / (1 - expected)


def fleiss_kappa(counts: ArrayLike) -> float | None:
    """Fleiss' kappa (Psychological Bulletin 76, 1971), for units with equally many votes.

    Units without any vote are left out. Units with different numbers of votes give None: use alpha
    there. None also where only one value occurs.
    """
    table = _checked(counts)
    table = table[table.sum(1) > 0]
    observed = raw_agreement(table)
    if observed is None or len(set(table.sum(1))) > 1:
        return None
    share = table.sum(0) / table.sum()
    expected = float((share**2).sum())
    return None if expected == 1 else (observed - expected) / (1 - expected)


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def alpha_interval(
    counts: ArrayLike,
    cluster: ArrayLike,
    level: Level = "nominal",
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval | None:
    """Alpha with its bootstrap interval over clusters (prompts): `cluster` is int [units].

    Units of one prompt are not independent, so prompts are drawn and not units. None where alpha is
    undefined or there are fewer than two prompts.
    """
    table, groups = _checked(counts), _numbered(cluster)
    # Coincidences are sums over units, so those of a resample are a weighted sum over clusters.
    parts = np.stack([coincidences(table[groups == group]) for group in range(_size(groups))])
    return _bootstrap(
        krippendorff_alpha(table, level),
        len(parts),
        lambda weight: _alpha_of(np.tensordot(weight, parts, axes=1), level),
        rounds=rounds,
        seed=seed,
    )


def agreement_interval(
    counts: ArrayLike, cluster: ArrayLike, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval | None:
    """Raw agreement with its bootstrap interval over clusters (prompts)."""
    table, groups = _checked(counts), _numbered(cluster)
    votes = table.sum(1)
    pairs = np.maximum(votes * (votes - 1), 1)
    share = np.bincount(groups, (table * (table - 1)).sum(1) / pairs)
    units = np.bincount(groups, votes >= 2)

    def resampled(weight: Floats) -> float | None:
        return float(weight @ share / (weight @ units)) if weight @ units > 0 else None

    return _bootstrap(raw_agreement(table), len(share), resampled, rounds=rounds, seed=seed)


def _numbered(cluster: ArrayLike) -> Integers:
    return np.unique(np.asarray(cluster), return_inverse=True)[1].astype(np.int64)


def _size(index: Integers) -> int:
    return int(index.max()) + 1 if len(index) else 0


def _bootstrap(
    value: float | None,
    clusters: int,
    statistic: Callable[[Floats], float | None],
    *,
    rounds: int,
    seed: int,
) -> Interval | None:
    if value is None or clusters < 2:
        return None
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=rounds)
    found = [
        each for weight in weights.astype(np.float64) if (each := statistic(weight)) is not None
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(value, float(low), float(high))


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """`confusion[a, k, l]`: the chance that annotator a says l where the truth is k."""

    posterior: Floats  # [units, labels]
    confusion: Floats  # [annotators, labels, labels]
    prior: Floats  # [labels]
    log_likelihood: float


def dawid_skene(
    unit: ArrayLike,
    annotator: ArrayLike,
    label: ArrayLike,
    n_labels: int,
    *,
    smoothing: float = 0.01,
    tolerance: float = 1e-7,
    max_rounds: int = 200,
) -> DawidSkene:
    """EM for true labels and each annotator's confusion (Dawid and Skene, Applied Statistics 1979).

    Three equally long int arrays, one entry per vote; ids count from 0. `smoothing` is added to
    every cell of the confusion counts: raise it where annotators have few votes. It stops when the
    log likelihood gains less than `tolerance` of its size.
    """
    units, people, labels = _votes(unit, annotator, label, n_labels)
    column = people * n_labels + labels  # [votes]: who said what
    size = _size(people) * n_labels
    posterior = np.zeros((_size(units), n_labels))
    np.add.at(posterior, (units, labels), 1)
    posterior = _normalised(posterior)  # start: the shares of the votes
    before = -np.inf
    for _ in range(max_rounds):
        prior = posterior.mean(0)
        said = [np.bincount(column, posterior[units, k], minlength=size) for k in range(n_labels)]
        table = np.array(said, np.float64).reshape(n_labels, -1, n_labels).swapaxes(0, 1)
        confusion = _normalised(table + smoothing)  # [annotators, true, said]
        score = _log(prior) + _votes_log_chance(units, column, confusion, len(posterior))
        top = score.max(1, keepdims=True)
        joint = np.exp(score - top)
        likelihood = float((top[:, 0] + np.log(joint.sum(1))).sum())
        posterior = joint / joint.sum(1, keepdims=True)
        if likelihood - before < tolerance * abs(likelihood):
            break
        before = likelihood
    return DawidSkene(posterior, confusion, prior, likelihood)


def _votes(
    unit: ArrayLike, annotator: ArrayLike, label: ArrayLike, n_labels: int
) -> tuple[Integers, Integers, Integers]:
    columns = [np.asarray(each) for each in (unit, annotator, label)]
    if len({each.shape for each in columns}) > 1 or columns[0].ndim != 1 or not len(columns[0]):
        raise ValueError(
            "unit, annotator and label must be equally long lists with one vote or more"
        )
    if any(each.min() < 0 for each in columns) or columns[2].max() >= n_labels:
        raise ValueError(f"ids count from 0, and labels stay below n_labels = {n_labels}")
    units, people, labels = (each.astype(np.int64) for each in columns)
    return units, people, labels


def _normalised(table: Floats) -> Floats:
    """Rows that sum to 1; a row without anything becomes uniform."""
    total = table.sum(-1, keepdims=True)
    uniform = np.full_like(table, 1 / table.shape[-1])
    return np.where(total > 0, table / np.maximum(total, 1e-300), uniform)


def _log(chance: Floats) -> Floats:
    return np.log(np.maximum(chance, 1e-300))


def _votes_log_chance(
    units: Integers, column: Integers, confusion: Floats, size: int
) -> Floats:  # [units, labels]
    """Sum over a unit's votes of log P(said | true), for each true label."""
    by_truth = _log(confusion).transpose(1, 0, 2).reshape(confusion.shape[1], -1)
    sums = [np.bincount(units, row[column], minlength=size) for row in by_truth]
    return np.array(sums, np.float64).T
