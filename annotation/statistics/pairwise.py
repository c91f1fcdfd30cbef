"""Cohen's kappa of every pair of annotators at once, on the units that both judged. Numpy alone."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Weights = Literal["none", "quadratic"]

MIN_SHARED: Final = 30  # below, a kappa says more about chance than about people


@dataclass(frozen=True, slots=True)
class PairwiseKappas:
    """[annotators, annotators], symmetric. NaN where too few units are shared, or nobody varies."""

    shared: Integers
    kappa: Floats
    low: Floats  # 95 % by the asymptotic standard error (Fleiss, Cohen and Everitt 1969)
    high: Floats


def pairwise_kappas(
    unit: ArrayLike,
    annotator: ArrayLike,
    label: ArrayLike,
    n_annotators: int,
    n_labels: int,
    *,
    weights: Weights = "none",
    min_shared: int = MIN_SHARED,
) -> PairwiseKappas:
    """From equally long int arrays, one entry per judgement; nobody judges a unit twice."""
    units, persons, said = (np.asarray(each, np.int64) for each in (unit, annotator, label))
    tables = _tables(units, persons, said, n_annotators, n_labels)
    shared = tables.sum((-2, -1))
    kappa, error = _kappa(tables, _agreement_weights(n_labels, weights))
    known = shared >= min_shared
    kappa, error = (np.where(known, each, np.nan) for each in (kappa, error))
    return PairwiseKappas(
        shared.astype(np.int64),
        kappa,
        np.maximum(kappa - 1.959964 * error, -1),
        np.minimum(kappa + 1.959964 * error, 1),
    )


def cohen_kappa(table: ArrayLike, *, weights: Weights = "none") -> tuple[float | None, float]:
    """Kappa and its standard error from one table [labels of one, labels of the other]."""
    counts = np.asarray(table, np.float64)
    kappa, error = _kappa(counts, _agreement_weights(len(counts), weights))
    return (float(kappa) if np.isfinite(kappa) else None), float(error)


def _agreement_weights(size: int, weights: Weights) -> Floats:  # [labels, labels]
    if weights == "none" or size < 2:
        return np.eye(size)
    step = np.subtract.outer(np.arange(size), np.arange(size)) / (size - 1)
    return 1 - step**2


def _tables(
    unit: Integers, annotator: Integers, label: Integers, people: int, labels: int
) -> Floats:  # [people, people, labels, labels]
    """How often person i said k where person j said l."""
    order = np.argsort(unit, kind="stable")
    units, persons, said = unit[order], annotator[order], label[order]
    counts = np.zeros(people * people * labels * labels, dtype=np.int64)
    # Votes of one unit stand side by side: compare each with the next one, the one after, ...
    for step in range(1, len(units)):
        same = np.flatnonzero(units[step:] == units[:-step])
        if not len(same):
            break
        i, j = persons[same], persons[same + step]
        k, m = said[same], said[same + step]
        cell = ((i * people + j) * labels + k) * labels + m
        counts += np.bincount(cell, minlength=len(counts))
    table = counts.reshape(people, people, labels, labels).astype(np.float64)
    return table + table.transpose(1, 0, 3, 2)


def _kappa(tables: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Kappa and its standard error for tables [..., labels, labels]."""
    total = tables.sum((-2, -1), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = tables / total
        rows, columns = share.sum(-1), share.sum(-2)
        chance = rows[..., :, None] * columns[..., None, :]
        observed = (share * weight).sum((-2, -1))
        expected = (chance * weight).sum((-2, -1))
        kappa = np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
        by_row = (weight * columns[..., None, :]).sum(-1)  # mean weight of a row
        by_column = (weight * rows[..., :, None]).sum(-2)
        means = by_row[..., :, None] + by_column[..., None, :]
        spread = (share * (weight - means * (1 - kappa[..., None, None])) ** 2).sum((-2, -1))
        bias = (kappa - expected * (1 - kappa)) ** 2
        variance = (spread - bias) / (total[..., 0, 0] * (1 - expected) ** 2)
        return kappa, np.sqrt(np.maximum(variance, 0))
