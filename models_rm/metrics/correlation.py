"""Correlations of rewards with what people scored, pooled and within prompts.

scipy.stats is imported where it is used: every trainer imports this, and few of them rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models_rm.metrics.accuracy import Array, NotFiniteError, as_array

Correlation = Callable[[Any, Any], float | None]


def pearson(x: Any, y: Any) -> float | None:
    """Linear correlation; None where a side does not vary."""
    a, b = _paired(x, y)
    return float(np.corrcoef(a, b)[0, 1]) if _varies(a, b) else None


def spearman(x: Any, y: Any) -> float | None:
    """Rank correlation with average ranks for ties; None where a side does not vary."""
    from scipy.stats import rankdata

    a, b = _paired(x, y)
    return pearson(rankdata(a), rankdata(b)) if _varies(a, b) else None


def kendall_tau_b(x: Any, y: Any) -> float | None:
    """Kendall's tau-b in O(n log n); None where a side does not vary."""
    from scipy.stats import kendalltau

    a, b = _paired(x, y)
    # The exact p-value is not wanted, and would cost more than the statistic.
    return float(kendalltau(a, b, method="asymptotic").statistic) if _varies(a, b) else None


CORRELATIONS: Final[dict[str, Correlation]] = {
    "spearman": spearman,
    "kendall_tau_b": kendall_tau_b,
    "pearson": pearson,
}


@dataclass(frozen=True, slots=True)
class WithinGroups:
    """The mean of a correlation over the groups in which it is defined, and how many those are."""

    mean: float | None
    groups: int


def within_groups(x: Any, y: Any, groups: Sequence[Any], correlation: Correlation) -> WithinGroups:
    """A correlation in each group (prompt) by itself, each group counting the same."""
    a, b = _paired(x, y)
    _, group = np.unique(np.asarray([str(each) for each in groups]), return_inverse=True)
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    found = [correlation(a[rows], b[rows]) for rows in np.split(order, ends)]
    defined = [value for value in found if value is not None]
    return WithinGroups(float(np.mean(defined)) if defined else None, len(defined))


def _paired(x: Any, y: Any) -> tuple[Array, Array]:
    a, b = as_array(x), as_array(y)
    if len(a) != len(b):
        raise ValueError(f"x and y must have one length, got {len(a)} and {len(b)}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NotFiniteError("a correlation needs finite numbers; leave out what has no score")
    return a, b


def _varies(a: Array, b: Array) -> bool:
    return len(a) > 1 and bool(np.ptp(a) > 0) and bool(np.ptp(b) > 0)
