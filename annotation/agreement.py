"""Inter-annotator agreement: pure functions on counts, and Dawid-Skene on votes. Numpy alone.

`counts[u, c]` says how many people gave unit u (a triplet on one dimension) the value c; missing
votes need no imputation. A statistic that is not defined, because nobody disagrees or nobody
shares a unit, is None and never 1.0 or NaN. `invalid` is no value here: leave it out of the counts.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotation.statistics.clustered import (
    ROUNDS,
    Figure,
    Interval,
    figure,
    grouped,
    resamples,
    size_of,
)

Level = Literal["nominal", "ordinal", "interval"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SMALL_TABLE = 1_000_000  # of possible rows: then a table is faster than sorting


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


def _squared_distance(totals: Floats, level: Level) -> Floats:  # [..., values, values]
    size = totals.shape[-1]
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(size), (*totals.shape, size))
    if level == "interval":
        step = np.subtract.outer(np.arange(size), np.arange(size)) ** 2.0
        return np.broadcast_to(step, (*totals.shape, size))
    if level == "ordinal":
        # Votes between two values, with half of those at either end.
        middle = np.cumsum(totals, axis=-1) - totals / 2
        gap: Floats = middle[..., :, None] - middle[..., None, :]
        return gap**2
    raise ValueError(f"level must be nominal, ordinal or interval, got {level!r}")


def _alphas(matrix: Floats, level: Level) -> Floats:  # [...]
    """Alpha of coincidence matrices [..., values, values]; NaN where it is undefined."""
    totals = matrix.sum(-1)
    distance = _squared_distance(totals, level)
    expected = (totals[..., :, None] * totals[..., None, :] * distance).sum((-2, -1))
    observed = (matrix * distance).sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha: Floats = 1 - (totals.sum(-1) - 1) * observed / expected
    return np.where(expected > 0, alpha, np.nan)


def _known(value: Floats) -> float | None:
    return float(value) if np.isfinite(value) else None


def krippendorff_alpha(counts: ArrayLike, level: Level = "nominal") -> float | None:
    """Krippendorff's alpha ("Computing Krippendorff's Alpha-Reliability", 2011).

    The values of the level `interval` are equally far apart, as scores from 1 to 5 are. None where
    only one value occurs or no unit has two votes.
    """
    return _known(_alphas(coincidences(counts), level))


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
class Agreement:
    """The figures of one dimension with their 95 % intervals over clusters.

    A value is None where it is undefined; the ends are None with fewer than two clusters.
    """

    raw: Figure
    alpha_nominal: Figure
    alpha_ordinal: Figure
    alpha_interval: Figure
    ac1: Figure


def agreement(
    counts: ArrayLike, cluster: ArrayLike, *, rounds: int = ROUNDS, seed: int = 0
) -> Agreement:
    """All figures from one bootstrap over clusters (prompts): `cluster` is int [units].

    Units of one prompt are not independent, so prompts are drawn and not units.
    """
    return tallied(counts, grouped(cluster)).agreement(rounds=rounds, seed=seed)


@dataclass(frozen=True, slots=True)
class Tally:
    """Units by what was said on them: few distinct rows of counts exist, whatever the campaign.

    All figures are functions of how often each row comes, and so are those of a resample.
    """

    rows: Floats  # [distinct, values]
    parts: Floats  # [groups, distinct]: how often each row comes in each group of clusters

    def columns(self, wanted: slice) -> "Tally":
        """The same units with some of the values alone; what is left out counts as missing."""
        return Tally(self.rows[:, wanted], self.parts)

    def agreement(self, *, rounds: int = ROUNDS, seed: int = 0) -> Agreement:
        often = self._often(rounds, seed)
        raw, values = _raws(often, self.rows), self.rows.shape[1]
        matrices = (often @ _coincidences_of_each(self.rows).reshape(len(self.rows), -1)).reshape(
            -1, values, values
        )
        return Agreement(
            raw=figure(raw),
            alpha_nominal=figure(_alphas(matrices, "nominal")),
            alpha_ordinal=figure(_alphas(matrices, "ordinal")),
            alpha_interval=figure(_alphas(matrices, "interval")),
            ac1=figure(_ac1s(often, self.rows, raw)),
        )

    def alpha(self) -> float | None:
        """Nominal, without an interval."""
        often = self.parts.sum(0)
        each = _coincidences_of_each(self.rows)
        return _known(_alphas(np.tensordot(often, each, axes=1), "nominal"))

    def usual_fleiss(self) -> float | None:
        """Fleiss' kappa over the units with the commonest number of votes, two or more."""
        votes, often = self.rows.sum(1).astype(np.int64), self.parts.sum(0)
        numbers = np.bincount(votes, often)
        if len(numbers) < 3 or not numbers[2:].any():
            return None
        kept = votes == 2 + int(numbers[2:].argmax())
        share = often[kept] @ self.rows[kept] / (often[kept] @ votes[kept])
        expected = float((share**2).sum())
        observed = float(_raws(often[None, kept], self.rows[kept])[0])
        return None if expected == 1 else (observed - expected) / (1 - expected)

    def _often(self, rounds: int, seed: int) -> Floats:  # [1 + rounds, distinct]
        """How often each row comes: as it is, then in each resample."""
        as_it_is: Floats = self.parts.sum(0, keepdims=True)
        groups = len(self.parts)
        if groups < 2:
            return as_it_is
        drawn: Floats = resamples(groups, rounds=rounds, seed=seed) @ self.parts
        return np.vstack([as_it_is, drawn])


def tallied(counts: ArrayLike, group: Integers) -> Tally:
    """`group` is a number from 0 for each unit (`clustered.grouped`)."""
    table = _checked(counts)
    rows, row = _distinct(table)
    size = size_of(group)
    cells = np.bincount(group * len(rows) + row, minlength=size * len(rows))
    return Tally(rows, cells.reshape(size, len(rows)).astype(np.float64))


def alpha_interval(
    counts: ArrayLike,
    cluster: ArrayLike,
    level: Level = "nominal",
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval | None:
    """Alpha with its bootstrap interval over clusters; None where undefined or with one cluster."""
    found = agreement(counts, cluster, rounds=rounds, seed=seed)
    return {
        "nominal": found.alpha_nominal,
        "ordinal": found.alpha_ordinal,
        "interval": found.alpha_interval,
    }[level].interval


def agreement_interval(
    counts: ArrayLike, cluster: ArrayLike, *, rounds: int = ROUNDS, seed: int = 0
) -> Interval | None:
    """Raw agreement with its bootstrap interval over clusters (prompts)."""
    return agreement(counts, cluster, rounds=rounds, seed=seed).raw.interval


def _distinct(table: Floats) -> tuple[Floats, Integers]:
    """The distinct rows of counts, and which of them each unit has."""
    base = int(table.max(initial=0)) + 1
    width = table.shape[1]
    if base**width >= 2**62:
        rows, row = np.unique(table, axis=0, return_inverse=True)
        return rows, row.astype(np.int64).ravel()
    # One number per row, because numbers are sorted, or looked up, faster than rows.
    powers = base ** np.arange(width)
    code = (table @ powers.astype(np.float64)).astype(np.int64)
    if base**width <= _SMALL_TABLE:
        codes = np.flatnonzero(np.bincount(code, minlength=1))
        place = np.zeros(base**width, dtype=np.int64)
        place[codes] = np.arange(len(codes))
        row = place[code]
    else:
        codes, row = np.unique(code, return_inverse=True)
    return (codes[:, None] // powers % base).astype(np.float64), row.astype(np.int64)


def _coincidences_of_each(rows: Floats) -> Floats:  # [rows, values, values]
    votes = rows.sum(1)
    weight = np.where(votes >= 2, 1 / np.maximum(votes - 1, 1), 0.0)
    pairs = rows[:, :, None] * rows[:, None, :]
    pairs[:, np.arange(rows.shape[1]), np.arange(rows.shape[1])] -= rows
    each: Floats = pairs * weight[:, None, None]
    return each


def _raws(often: Floats, rows: Floats) -> Floats:  # [rounds]
    votes = rows.sum(1)
    share = (rows * (rows - 1)).sum(1) / np.maximum(votes * (votes - 1), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (often @ (share * (votes >= 2))) / (often @ (votes >= 2))
    return found


def _ac1s(often: Floats, rows: Floats, raw: Floats) -> Floats:  # [rounds]
    votes = rows.sum(1)
    shares = rows / np.maximum(votes, 1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        prevalence = (often @ shares) / (often @ (votes > 0))[:, None]
        expected = (prevalence * (1 - prevalence)).sum(1) / (rows.shape[1] - 1)
        found: Floats = (raw - expected) / (1 - expected)
    return found


# Votes of the average annotator that count for everybody, per true label: `make bench-posteriors`.
POOLED: Final = 10.0


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
    pooled: float = 0.0,
    known: ArrayLike | None = None,
    tolerance: float = 1e-7,
    max_rounds: int = 200,
    start: "DawidSkene | None" = None,
) -> DawidSkene:
    """EM for true labels and each annotator's confusion (Dawid and Skene, Applied Statistics 1979).

    Three equally long int arrays, one entry per vote; ids count from 0. `smoothing` is added to
    every cell of the confusion counts. `pooled`: as many votes of the average annotator are added
    for each true label, so that who has few votes counts like the others (partial pooling, as in
    the hierarchical model of Paun et al., TACL 6, 2018); without them, posteriors of few votes are
    far too sure. `known`: per unit its true label, or -1; these stay as they are, and say nothing
    of how often a label is true elsewhere. It stops when the log likelihood gains less than
    `tolerance` of its size. It starts from the shares of the votes, or from the confusion and prior
    of an earlier fit for the same annotators.
    """
    units, people, labels = _votes(unit, annotator, label, n_labels)
    number = size_of(units)
    votes = _Said(units, people * n_labels + labels, number, size_of(people), n_labels)
    given = _Given(smoothing, pooled, _truths(known, number, n_labels))
    if start is None:
        shares = np.bincount(labels * votes.units + units, minlength=n_labels * votes.units)
        posterior = _normalised(shares.reshape(n_labels, -1).T.astype(np.float64)).T
        posterior = given.held(posterior)
        model = _maximisation(votes, posterior, given)
    else:
        model = _Model(start.prior, start.confusion)
    posterior, before = _expectation(votes, model, given)
    for _ in range(max_rounds):
        one = _maximisation(votes, posterior, given)
        posterior, _ = _expectation(votes, one, given)
        two = _maximisation(votes, posterior, given)
        posterior, likelihood = _expectation(votes, two, given)
        further = _further(model, one, two)
        ahead, likelihood_ahead = _expectation(votes, further, given)
        model = two
        if likelihood_ahead > likelihood:
            model, posterior, likelihood = further, ahead, likelihood_ahead
        if likelihood - before < tolerance * abs(likelihood):
            break
        before = likelihood
    return DawidSkene(
        np.ascontiguousarray(posterior.T), model.confusion, model.prior, float(likelihood)
    )


@dataclass(frozen=True, slots=True)
class _Model:
    prior: Floats  # [labels]
    confusion: Floats  # [annotators, true, said]


def _further(zero: _Model, one: _Model, two: _Model) -> _Model:
    """Where steps from zero to one to two lead: EM alone takes hundreds of them.

    SQUAREM (Varadhan and Roland, Scandinavian Journal of Statistics 35, 2008), scheme S3.
    """
    first = [one.prior - zero.prior, one.confusion - zero.confusion]
    change = [two.prior - one.prior - first[0], two.confusion - one.confusion - first[1]]
    size = math.sqrt(sum(float((each**2).sum()) for each in change))
    if size == 0:
        return two
    step = max(1.0, math.sqrt(sum(float((each**2).sum()) for each in first)) / size)
    ends = [
        np.maximum(start + 2 * step * move + step**2 * bend, 1e-9)
        for start, move, bend in zip([zero.prior, zero.confusion], first, change, strict=True)
    ]
    return _Model(_normalised(ends[0]), _normalised(ends[1]))


@dataclass(frozen=True, slots=True)
class _Said:
    """The votes, once for all rounds. Inside, posteriors are [labels, units]: rows are summed."""

    unit: Integers  # [votes]
    column: Integers  # [votes]: who said what, annotator * labels + label
    units: int
    annotators: int
    labels: int


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands for votes that an annotator has not given."""

    smoothing: float  # in every cell
    pooled: float  # in every row, as the average annotator says
    known: Integers  # [units]: the true label, or -1

    def held(self, posterior: Floats) -> Floats:
        """The posterior [labels, units] with what is known."""
        if (self.known < 0).all():
            return posterior
        truth = np.arange(len(posterior))[:, None] == self.known
        return np.where(self.known < 0, posterior, truth)


def _truths(known: ArrayLike | None, units: int, labels: int) -> Integers:
    found = np.full(units, -1) if known is None else np.asarray(known)
    if found.shape != (units,) or found.min() < -1 or found.max() >= labels:
        raise ValueError(
            f"known must be {units} labels below n_labels = {labels}, or -1 where nobody knows"
        )
    return found.astype(np.int64)


def _maximisation(votes: _Said, posterior: Floats, given: _Given) -> _Model:
    size = votes.annotators * votes.labels
    table = np.array([np.bincount(votes.column, row[votes.unit], size) for row in posterior])
    said = table.reshape(votes.labels, votes.annotators, votes.labels).swapaxes(0, 1)
    average = _normalised(said.sum(0) + given.smoothing)  # [true, said]
    confusion = _normalised(said + given.smoothing + given.pooled * average)
    asked = given.known < 0
    return _Model(posterior[:, asked].mean(1) if asked.any() else posterior.mean(1), confusion)


def _expectation(votes: _Said, model: _Model, given: _Given) -> tuple[Floats, float]:
    """Posterior [labels, units] and the log likelihood."""
    # For each true label: the log chance of what each annotator may say.
    chances = _log(model.confusion).transpose(1, 0, 2).reshape(votes.labels, -1)
    score = np.array(
        [np.bincount(votes.unit, row[votes.column], minlength=votes.units) for row in chances]
    )
    score += _log(model.prior)[:, None]
    if (given.known >= 0).any():
        score = np.where(given.held(np.ones_like(score)) > 0, score, -np.inf)
    top = score.max(0)
    joint = np.exp(score - top)
    total = joint.sum(0)
    return joint / total, float(top.sum() + np.log(total).sum())


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
