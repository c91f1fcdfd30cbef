"""Where a model's reward differences lie on pairs that people decided and on pairs they tied.

Figure 4 of VideoAlign (arXiv 2501.13918) shows it for BT and BTT: BT spreads the tied pairs as far
as the decided ones, BTT keeps them together around zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models_rm.metrics.accuracy import Array, accuracy_without_ties, checked
from models_rm.metrics.reliability import wilson

BINS: Final = 24
_REACH: Final = 0.99  # of the |differences| lie inside; the outer bins hold the rest too


@dataclass(frozen=True, slots=True)
class GapHistogram:
    """Counts over `edges` [bins + 1], symmetric around 0.

    A decided pair counts once, at (preferred - other): left of 0 the model is wrong. A tied pair
    has no side, so it counts one half at +d and one half at -d.
    """

    edges: tuple[float, ...]
    decided: tuple[float, ...]
    tied: tuple[float, ...]


def gap_histogram(human: Any, predicted: Any, *, bins: int = BINS) -> GapHistogram | None:
    """None without pairs. `bins` is even, so that 0 is an edge."""
    said, gap = checked(human, predicted)
    if not len(said):
        return None
    reach = float(np.quantile(np.abs(gap), _REACH)) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    decided = np.clip(said * gap, -reach, reach)[said != 0]
    tied = np.clip(gap[said == 0], -reach, reach)
    both = np.histogram(tied, edges)[0] + np.histogram(-tied, edges)[0]
    return GapHistogram(
        edges=tuple(edges.tolist()),
        decided=tuple(np.histogram(decided, edges)[0].astype(float).tolist()),
        tied=tuple((both / 2).tolist()),
    )


def tie_separation(human: Any, predicted: Any) -> float | None:
    """Probability that a decided pair has a larger |difference| than a tied one (equal: one half).

    0.5 says that the size of a difference tells nothing about ties, 1 that it tells all. It has no
    unit, so models whose rewards have different scales can be compared. None without either kind.
    """
    from scipy.stats import rankdata  # see models_rm.metrics.correlation

    said, gap = checked(human, predicted)
    decided = said != 0
    some, others = int(decided.sum()), int((~decided).sum())
    if not some or not others:
        return None
    ranks = rankdata(np.abs(gap))
    return float((ranks[decided].sum() - some * (some + 1) / 2) / (some * others))


@dataclass(frozen=True, slots=True)
class PairOfGenerators:
    """What people and the model say about two generators, `first` before `second` by name.

    `human_win`, `model_win`: how often `first` wins, ties (of the model: exact ones) one half.
    `accuracy` is without ties, with its Wilson interval; None where no pair is decided.
    """

    first: str
    second: str
    pairs: int
    decided: int
    accuracy: float | None
    low: float | None
    high: float | None
    human_win: float
    model_win: float


def by_generators(
    human: Any, predicted: Any, of_a: Sequence[str], of_b: Sequence[str]
) -> list[PairOfGenerators]:
    """One row per unordered pair of generators; every pair needs a label."""
    said, gap = checked(human, predicted)
    a, b = np.asarray(of_a, dtype=object), np.asarray(of_b, dtype=object)
    if not len(said) == len(a) == len(b):
        raise ValueError("each pair needs a label and two names of generators")
    turned = np.array([one > two for one, two in zip(a, b, strict=True)], dtype=bool)
    sign = np.where(turned, -1.0, 1.0)
    names = list(zip(np.where(turned, b, a), np.where(turned, a, b), strict=True))
    rows: dict[tuple[str, str], list[int]] = {}
    for n, name in enumerate(names):
        rows.setdefault(name, []).append(n)
    return [
        _pair(name, (said * sign)[index], (gap * sign)[index])
        for name, index in sorted(rows.items())
    ]


def _pair(names: tuple[str, str], said: Array, gap: Array) -> PairOfGenerators:
    decided = int((said != 0).sum())
    accuracy = accuracy_without_ties(said, gap)
    low, high = (None, None) if accuracy is None else wilson(accuracy, decided)
    return PairOfGenerators(
        first=names[0],
        second=names[1],
        pairs=len(said),
        decided=decided,
        accuracy=accuracy,
        low=low,
        high=high,
        human_win=float((1 + said).mean() / 2),
        model_win=float((1 + np.sign(gap)).mean() / 2),
    )
