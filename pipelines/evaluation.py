"""Does the candidate beat the base? Win rates on the same prompts and seeds, pure arithmetic.

Per judge and dimension: share of (prompt, seed) on which the candidate's clip has the higher score,
an exact equality counting half (ML.md 6.4), a 95 % interval by a bootstrap over prompts (clips of
one prompt are not independent), and a two-sided sign test on the decided ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy.stats import binomtest

from formats.errors import FormatError
from formats.records import GenerationRecord, ScoreRecord
from pipelines.pairing import weighted_mean

OVERALL: Final = "overall"
RESAMPLES: Final = 4000

Key = tuple[str, int]  # (prompt, seed)


@dataclass(frozen=True, slots=True)
class Judged:
    """The clips of one generator with one judge's scores, by (prompt, seed)."""

    scores: dict[Key, dict[str, float]]
    unreadable: int


@dataclass(frozen=True, slots=True)
class WinRate:
    """Candidate against base on one dimension. `p_value` is None where nothing was decided."""

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """All dimensions of one judge, and what could not be compared."""

    by_dimension: dict[str, WinRate]
    unmatched: int
    unreadable: int


def judged(generations: Iterable[GenerationRecord], scores: Iterable[ScoreRecord]) -> Judged:
    """Bring the seed of each clip to its score; a clip without a score counts as unreadable."""
    by_video = {row.video_id: row for row in scores}
    found: dict[Key, dict[str, float]] = {}
    unreadable = 0
    for clip in generations:
        key = (clip.prompt, clip.video.seed or 0)
        if key in found:
            raise FormatError(
                f"two clips of one generator have prompt {clip.prompt[:60]!r} and seed {key[1]}"
            )
        row = by_video.get(clip.video.id)
        if row is None or row.error:
            unreadable += 1
        else:
            found[key] = row.score
    return Judged(found, unreadable)


def compare(
    base: Judged, candidate: Judged, *, weights: Mapping[str, float] | None = None, seed: int = 0
) -> Comparison:
    """Win rates of the candidate on what both made; `overall` is the weighted mean of the scores."""
    shared = sorted(set(base.scores) & set(candidate.scores))
    if not shared:
        raise FormatError("base and candidate share no prompt and seed, so nothing can be compared")
    dimensions = sorted(set(base.scores[shared[0]]) & set(candidate.scores[shared[0]]))
    columns = {
        key: [candidate.scores[at][key] - base.scores[at][key] for at in shared]
        for key in dimensions
    }
    columns[OVERALL] = [
        weighted_mean(candidate.scores[at], weights or {})
        - weighted_mean(base.scores[at], weights or {})
        for at in shared
    ]
    prompts = [prompt for prompt, _ in shared]
    return Comparison(
        by_dimension={
            name: win_rate(prompts, column, seed=seed) for name, column in columns.items()
        },
        unmatched=len(set(base.scores) ^ set(candidate.scores)),
        unreadable=base.unreadable + candidate.unreadable,
    )


def win_rate(
    prompts: list[str], differences: list[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> WinRate:
    """`differences`: candidate minus base, one per clip pair; `prompts`: to which prompt it belongs."""
    signs = np.sign(np.asarray(differences, dtype=float))
    wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
    points: dict[str, list[float]] = defaultdict(list)
    for prompt, sign in zip(prompts, signs, strict=True):
        points[prompt].append((sign + 1) / 2)
    low, high = _interval(list(points.values()), seed=seed, resamples=resamples)
    decided = wins + losses
    return WinRate(
        wins=wins,
        ties=len(signs) - decided,
        losses=losses,
        prompts=len(points),
        rate=float((signs + 1).mean() / 2),
        low=low,
        high=high,
        p_value=float(binomtest(wins, decided).pvalue) if decided else None,
    )


def _interval(points: list[list[float]], *, seed: int, resamples: int) -> tuple[float, float]:
    """Percentile interval of the mean when whole prompts are drawn with replacement."""
    totals = np.array([sum(each) for each in points])  # [P]
    counts = np.array([len(each) for each in points])  # [P]
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(points), np.full(len(points), 1 / len(points)), size=resamples)
    means = (draws @ totals) / (draws @ counts)  # [R]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
