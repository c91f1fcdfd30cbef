"""By how much a figure of clips changes from base to candidate, with an interval. Pure arithmetic.

A win rate says how often, not how far: a candidate that moves a little less on every clip loses all
and may have lost next to nothing. Clips of one prompt are not independent, so prompts are drawn.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

RESAMPLES: Final = 4000


@dataclass(frozen=True, slots=True)
class Change:
    """Means over the clips that both made; `low` and `high` bound `change` with 95 %, and are None
    where one prompt is all there is."""

    base: float
    candidate: float
    change: float
    low: float | None
    high: float | None
    prompts: int
    clips: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def change_of(
    prompts: Sequence[str],
    base: Sequence[float],
    candidate: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Change:
    """One value per clip on each side; `prompts`: the prompt of each pair of clips."""
    differences: dict[str, list[float]] = defaultdict(list)
    for prompt, before, after in zip(prompts, base, candidate, strict=True):
        differences[prompt].append(after - before)
    low, high = _interval(list(differences.values()), seed=seed, resamples=resamples)
    return Change(
        base=float(np.mean(base)),
        candidate=float(np.mean(candidate)),
        change=float(np.mean(candidate) - np.mean(base)),
        low=low,
        high=high,
        prompts=len(differences),
        clips=len(prompts),
    )


def changes_of(
    prompts: Sequence[str],
    base: Sequence[Mapping[str, float]],
    candidate: Sequence[Mapping[str, float]],
    *,
    seed: int = 0,
) -> dict[str, Change]:
    """Of every figure that all clips of both sides have."""
    shared = set.intersection(*(set(row) for row in (*base, *candidate))) if prompts else set()
    return {
        name: change_of(
            prompts, [row[name] for row in base], [row[name] for row in candidate], seed=seed
        )
        for name in sorted(shared)
    }


def _interval(
    points: list[list[float]], *, seed: int, resamples: int
) -> tuple[float | None, float | None]:
    """Percentile interval of the mean when whole prompts are drawn with replacement."""
    if len(points) < 2:
        return None, None
    totals = np.array([sum(each) for each in points])  # [P]
    counts = np.array([len(each) for each in points])  # [P]
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(points), np.full(len(points), 1 / len(points)), size=resamples)
    low, high = np.quantile((draws @ totals) / (draws @ counts), [0.025, 0.975])
    return float(low), float(high)
