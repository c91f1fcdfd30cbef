"""How often a candidate beats its base, with an interval: pure arithmetic (ML.md 6.4).

The share of (prompt, seed) on which the candidate's clip has the higher score, an exact equality
counting half; a 95 % interval by a bootstrap over prompts, because clips of one prompt are not
independent; a two-sided sign test on the prompts, each of which is decided by most of its pairs.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.special import bdtr

RESAMPLES: Final = 4000
_Z: Final = 1.959963984540054  # of 95 %


@dataclass(frozen=True, slots=True)
class WinRate:
    """Candidate against base on one dimension. `p_value`: of `prompt_test`."""

    wins: int
    ties: int
    losses: int
    prompts: int
    rate: float
    low: float
    high: float
    p_value: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def win_rate(
    prompts: list[str], differences: list[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> WinRate:
    """`differences`: candidate minus base, one per pair of clips; `prompts`: that pair's prompt."""
    signs = np.sign(np.asarray(differences, dtype=float))
    wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
    points: dict[str, list[float]] = defaultdict(list)
    for prompt, sign in zip(prompts, signs, strict=True):
        points[prompt].append((sign + 1) / 2)
    low, high = _interval(list(points.values()), seed=seed, resamples=resamples)
    return WinRate(
        wins=wins,
        ties=len(signs) - wins - losses,
        losses=losses,
        prompts=len(points),
        rate=float((signs + 1).mean() / 2),
        low=low,
        high=high,
        p_value=prompt_test(prompts, differences),
    )


def prompt_test(prompts: Sequence[str], differences: Sequence[float]) -> float | None:
    """The sign test where pairs of one prompt are no trials of their own: each prompt is one.

    It is won or lost by most of its pairs; None where no prompt is decided. With one pair per
    prompt it is the sign test on the pairs.
    """
    lead: dict[str, int] = defaultdict(int)
    for prompt, difference in zip(prompts, differences, strict=True):
        lead[prompt] += (difference > 0) - (difference < 0)
    won, lost = (sum(side * each > 0 for each in lead.values()) for side in (1, -1))
    return sign_test(won, lost) if won + lost else None


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact binomial test of one half: how odd is so lopsided a score by chance?"""
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def _interval(points: list[list[float]], *, seed: int, resamples: int) -> tuple[float, float]:
    """Percentile interval of the mean when whole prompts are drawn with replacement.

    Where all prompts say the same, a bootstrap would claim to be certain after one of them: then
    Wilson's interval over the prompts stands in.
    """
    totals = np.array([sum(each) for each in points])  # [P]
    counts = np.array([len(each) for each in points])  # [P]
    if np.ptp(totals / counts) == 0:
        return wilson(float(totals[0] / counts[0]), len(points))
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(points), np.full(len(points), 1 / len(points)), size=resamples)
    means = (draws @ totals) / (draws @ counts)  # [R]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, trials: int, z: float = _Z) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    half *= z / (1 + z * z / trials)
    return max(0.0, middle - half), min(1.0, middle + half)
