"""Which generator people prefer: Bradley-Terry with ties, and intervals that respect prompts.

A campaign of any size is known by few numbers: how often each generator beat, or tied with, each
other one. A fit costs the same for 500 votes and for 500,000, and all resamples of a bootstrap are
fitted at once. Numpy and scipy alone.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, expit

from annotation.statistics.clustered import grouped, numbered, resamples, size_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROUNDS: Final = 200  # of the bootstrap
# Keeps strengths finite where one model wins every vote; far too weak to be seen elsewhere.
RIDGE: Final = 1e-3
SMALLEST_LOG_THETA: Final = 1e-4
ELO_PER_UNIT: Final = 400 / math.log(10)
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """`strength` sums to 0; `low` and `high` are the 95 % interval of each, by prompts.

    `theta` is the tie parameter, estimated from the votes; it approaches 1 where nobody ties.
    """

    strength: Floats  # [models]
    low: Floats  # [models]
    high: Floats  # [models]
    theta: float


@dataclass(frozen=True, slots=True)
class SideTest:
    """Does the left clip win more often than its generator explains? chi2 with one degree."""

    lean: float  # added to the strength of the left clip
    statistic: float
    p: float


@dataclass(frozen=True, slots=True)
class _Rows:
    """The distinct votes: with counts for votes, a fit costs the same for any campaign."""

    gap: Floats  # [R, P]: what the difference of strengths is, in terms of the P parameters
    label: Integers  # [R], +1 A, 0 tie, -1 B


def fit_btt(
    model_a: ArrayLike,
    model_b: ArrayLike,
    label: ArrayLike,
    cluster: ArrayLike,
    n_models: int,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Ranking:
    """Fit strengths and theta by maximum likelihood (Rao and Kupper, JASA 62, 1967).

    P(A) = s(d - ln theta), P(B) = s(-d - ln theta), P(tie) = (theta^2 - 1) P(A) P(B), where d is
    the difference of strengths and s the logistic function. `label` is +1 (A is better), 0 (tie) or
    -1; `cluster` numbers the prompt of each vote; all are int arrays of one length.
    """
    a, b, labels, clusters = _checked(model_a, model_b, label, cluster, n_models)
    keys, row = numbered((a * n_models + b) * 3 + labels + 1)
    pairs = keys // 3
    rows = _Rows(_sides(pairs // n_models, pairs % n_models, n_models), keys % 3 - 1)
    group = grouped(clusters)
    groups = size_of(group)
    cells = np.bincount(group * len(keys) + row, minlength=groups * len(keys))
    counts = cells.reshape(groups, len(keys)).astype(np.float64)
    fitted, log_theta, _ = _fit(rows, counts.sum(0)[None])
    drawn, _, _ = _fit(
        rows, resamples(groups, rounds=rounds, seed=seed) @ counts, fitted, log_theta
    )
    strength = _centred(fitted)[0]
    low, high = (
        np.percentile(_centred(drawn), [2.5, 97.5], axis=0) if rounds else (strength, strength)
    )
    return Ranking(strength, low, high, float(np.exp(log_theta[0])))


def side_test(
    model_a: ArrayLike, model_b: ArrayLike, label: ArrayLike, swap: ArrayLike, n_models: int
) -> SideTest | None:
    """Likelihood-ratio test of an intercept for the clip on the left; None without votes.

    `swap` is 1 where B stood on the left.
    """
    if not len(np.asarray(label)):
        return None
    a, b, labels, swaps = _checked(model_a, model_b, label, swap, n_models)
    keys, row = numbered(((a * n_models + b) * 3 + labels + 1) * 2 + (swaps > 0))
    pairs = keys // 6
    gap = _sides(pairs // n_models, pairs % n_models, n_models)
    counts = np.bincount(row, minlength=len(keys)).astype(np.float64)[None]
    labels_of_rows = keys // 2 % 3 - 1
    left = np.where(keys % 2, -1.0, 1.0)[:, None]
    _, _, without = _fit(_Rows(gap, labels_of_rows), counts)
    found, _, with_lean = _fit(_Rows(np.hstack([gap, left]), labels_of_rows), counts)
    statistic = max(0.0, 2 * float(without[0] - with_lean[0]))
    return SideTest(float(found[0, -1]), statistic, float(chdtrc(1, statistic)))


def rank_ranges(ranking: Ranking) -> list[tuple[int, int]]:
    """Best and worst rank of each model that the intervals allow; 1 is the best."""
    return ranges_of(ranking.low, ranking.high)


def ranges_of(low: Floats, high: Floats) -> list[tuple[int, int]]:
    """Best and worst rank of each interval: 1 + how many lie wholly above, and so on."""
    above = low[:, None] > high[None]  # [i, j]: i lies wholly above j
    best = 1 + above.sum(0)
    worst = len(best) - above.sum(1)
    return [(int(first), int(last)) for first, last in zip(best, worst, strict=True)]


def elo(strength: float) -> float:
    """The same on the scale that people know: 400 points are odds of ten to one."""
    return 1000 + ELO_PER_UNIT * strength


def _checked(
    model_a: ArrayLike, model_b: ArrayLike, label: ArrayLike, cluster: ArrayLike, n_models: int
) -> tuple[Integers, Integers, Integers, Integers]:
    votes = [np.asarray(each).astype(np.int64) for each in (model_a, model_b, label, cluster)]
    if len({each.shape for each in votes}) > 1 or votes[0].ndim != 1 or not len(votes[0]):
        raise ValueError(
            "model_a, model_b, label and cluster must be equally long, with one vote or more"
        )
    a, b, labels, clusters = votes
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= n_models:
        raise ValueError(f"models count from 0 and stay below n_models = {n_models}")
    if labels.min() < -1 or labels.max() > 1:
        raise ValueError("labels are +1 (A is better), 0 (tie) or -1 (B is better)")
    return a, b, labels, clusters


def _sides(model_a: Integers, model_b: Integers, n_models: int) -> Floats:  # [R, models]
    models = np.arange(n_models)
    found: Floats = (model_a[:, None] == models).astype(np.float64) - (model_b[:, None] == models)
    return found


def _centred(strength: Floats) -> Floats:
    centred: Floats = strength - strength.mean(-1, keepdims=True)
    return centred


def _fit(
    rows: _Rows, counts: Floats, start: Floats | None = None, log_theta: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Newton's method for each row of counts [fits, R] at once: parameters, ln theta, loss.

    The loss is convex: each vote is one or two logistic losses of linear terms, a tie being both.
    """
    problem = _problem(rows, counts)
    size = rows.gap.shape[1]
    found = np.zeros((len(counts), size + 1))
    found[:, -1] = math.log(2) if log_theta is None else log_theta
    if start is not None:
        found[:, :-1] = start
    loss = _loss(problem, found)
    for _ in range(_STEPS):
        step = _newton_step(problem, found)
        found, better = _descended(problem, found, loss, step)
        settled = bool((loss - better <= 1e-10 * (1 + np.abs(loss))).all())
        loss = better
        if settled:
            break
    return found[:, :-1], found[:, -1], loss


@dataclass(frozen=True, slots=True)
class _Problem:
    """Sums of w * softplus(-x . phi), where phi are the parameters and then ln theta."""

    x: Floats  # [2R, P + 1]
    squares: Floats  # [2R, (P + 1)^2]
    weight: Floats  # [fits, 2R]
    ties: Floats  # [fits]


def _problem(rows: _Rows, counts: Floats) -> _Problem:
    minus = np.full((len(rows.gap), 1), -1.0)
    x = np.vstack([np.hstack([rows.gap, minus]), np.hstack([-rows.gap, minus])])
    squares = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    weight = np.hstack([counts * (rows.label >= 0), counts * (rows.label <= 0)])
    return _Problem(x, squares, weight, counts @ (rows.label == 0))


def _loss(problem: _Problem, found: Floats) -> Floats:  # [fits]
    softplus = np.logaddexp(0, -(found @ problem.x.T))
    log_tie = np.log(np.expm1(2 * found[:, -1]))
    ridge = RIDGE * (found[:, :-1] ** 2).sum(1)
    loss: Floats = (problem.weight * softplus).sum(1) - problem.ties * log_tie + ridge
    return loss


def _newton_step(problem: _Problem, found: Floats) -> Floats:  # [fits, P + 1]
    fits, size = found.shape
    pull = expit(-(found @ problem.x.T))
    gradient = -(problem.weight * pull) @ problem.x
    hessian = ((problem.weight * pull * (1 - pull)) @ problem.squares).reshape(fits, size, size)
    gradient[:, :-1] += 2 * RIDGE * found[:, :-1]
    hessian[:, np.arange(size - 1), np.arange(size - 1)] += 2 * RIDGE
    # d/dt ln(e^2t - 1) = 2 / (1 - e^-2t), and its own derivative.
    part = -np.expm1(-2 * found[:, -1])
    gradient[:, -1] -= problem.ties * 2 / part
    hessian[:, -1, -1] += problem.ties * 4 * (1 - part) / part**2 + 1e-9
    step: Floats = np.linalg.solve(hessian, gradient[..., None])[..., 0]
    # ln theta stays positive: at most nine tenths of the way to zero at once. Where that binds, the
    # strengths take the best step beside it.
    room = np.minimum(0.9 * found[:, -1], found[:, -1] - SMALLEST_LOG_THETA)
    bound = step[:, -1] > room
    if bound.any():
        left = gradient[bound, :-1] - hessian[bound, :-1, -1] * room[bound, None]
        step[bound, :-1] = np.linalg.solve(hessian[bound, :-1, :-1], left[..., None])[..., 0]
        step[bound, -1] = room[bound]
    return step


def _descended(
    problem: _Problem, found: Floats, loss: Floats, step: Floats
) -> tuple[Floats, Floats]:
    """The largest part of the step that does not raise the loss, for each fit."""
    part = np.ones(len(found))
    for _ in range(40):
        tried = found - part[:, None] * step
        better = _loss(problem, tried)
        worse = ~(better <= loss + 1e-12 * np.abs(loss))
        if not worse.any():
            return tried, better
        part[worse] /= 2
    keep = worse[:, None]
    return np.where(keep, found, tried), np.where(worse, loss, better)
