"""The figures of one dimension: what a report, a card and a page say about a reward model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from models_rm.metrics import (
    HumanCeiling,
    Interval,
    TieCalibration,
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    at,
    baselines,
    brier_score,
    btt_threshold,
    by_generators,
    clustered_interval,
    gap_histogram,
    negative_log_likelihood,
    reliability,
    resampled_accuracy_with_ties,
    resampled_accuracy_without_ties,
    tie_fit,
    tie_separation,
    within_groups,
)
from models_rm.metrics.correlation import CORRELATIONS
from models_rm.metrics.intervals import Statistic

if TYPE_CHECKING:  # figures are made without torch
    from models_rm.preferences.data import Pairs

Array = NDArray[np.float64]
_CURVE_POINTS: Final = 200  # of the accuracy over the threshold, as many as a chart can show


@dataclass(frozen=True, slots=True)
class Judged:
    """The pairs of one dimension that people judged: labels, differences, what was predicted."""

    human: NDArray[np.int64]  # [n]: +1, 0, -1
    gap: Array  # [n], raw reward A - raw reward B
    log_probabilities: Array  # [n, 3]: A, tie, B
    theta: float
    prompts: list[str]  # [n], the clusters of the bootstrap
    generators: tuple[list[str], list[str]]  # of A and of B

    @property
    def probabilities(self) -> Array:
        return np.exp(self.log_probabilities)


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made; `resamples` 0 makes none."""

    resamples: int
    seed: int


def figures_of(
    judged: Judged, *, fitted: float | None, resampling: Resampling, details: bool
) -> dict[str, Any]:
    """Everything about one dimension; `{"pairs": 0}` where nobody judged a pair.

    `fitted` is the tie threshold of another split. With `details` the curves behind the figures
    come too: bins, histograms, generators, accuracy over the threshold.
    """
    best = accuracy_with_ties(judged.human, judged.gap)
    if best is None:
        return {"pairs": 0}
    figures = {
        "pairs": len(judged.human),
        "decisive": int((judged.human != 0).sum()),
        "prompts": len(set(judged.prompts)),
        **_accuracies(judged, best, fitted, resampling),
        **_of_probabilities(judged),
        "theta": judged.theta,
        "tie_separation": tie_separation(judged.human, judged.gap),
    }
    return {**figures, "details": _details(judged, best)} if details else figures


def _accuracies(
    judged: Judged, best: TieCalibration, fitted: float | None, resampling: Resampling
) -> dict[str, Any]:
    human, gap, of_model = judged.human, judged.gap, btt_threshold(judged.theta)

    def interval(statistic: Statistic) -> list[float] | None:
        found = clustered_interval(
            human, gap, judged.prompts, statistic=statistic,
            resamples=resampling.resamples, seed=resampling.seed,
        )  # fmt: skip
        return plain(found)

    return {
        "accuracy_without_ties": accuracy_without_ties(human, gap),
        "accuracy_without_ties_interval": interval(resampled_accuracy_without_ties),
        "accuracy_without_ties_half": accuracy_without_ties(human, gap, ties="half"),
        "accuracy_with_ties": best.accuracy,
        "accuracy_with_ties_interval": interval(resampled_accuracy_with_ties),
        "threshold_in_sample": best.threshold,
        "accuracy_with_ties_fitted": None if fitted is None else accuracy_at(human, gap, fitted),
        "accuracy_with_ties_fitted_interval": None if fitted is None else interval(at(fitted)),
        "threshold_fitted": fitted,
        "accuracy_with_ties_btt": accuracy_at(human, gap, of_model),
        "accuracy_with_ties_btt_interval": interval(at(of_model)),
        "threshold_btt": of_model,
        "baseline_always_tie": baselines(human)["always_tie"],
        "baseline_random": baselines(human)["random"],
    }


def _of_probabilities(judged: Judged) -> dict[str, Any]:
    ties = tie_fit(judged.human, judged.gap, judged.probabilities)
    return {
        "nll": negative_log_likelihood(judged.human, judged.log_probabilities),
        "brier": brier_score(judged.human, judged.probabilities),
        "calibration_error": reliability(judged.human, judged.probabilities).mean_error,
        "ties_observed": ties.observed,
        "ties_predicted": ties.predicted,
        "theta_equal_quality": ties.equal_quality,
        "theta_best": ties.best,
    }


def _details(judged: Judged, best: TieCalibration) -> dict[str, Any]:
    curves = reliability(judged.human, judged.probabilities)
    histogram = gap_histogram(judged.human, judged.gap)
    stride = max(1, -(-len(best.curve) // _CURVE_POINTS))
    return {
        "reliability": {
            name: {"error": curves.error[name], "bins": [asdict(each) for each in bins]}
            for name, bins in curves.bins.items()
        },
        "histogram": None if histogram is None else asdict(histogram),
        "generators": [
            asdict(each) for each in by_generators(judged.human, judged.gap, *judged.generators)
        ],
        "threshold_curve": [list(point) for point in best.curve[::stride]],
    }


def correlations(pairs: "Pairs", rewards: Array, d: int) -> dict[str, Any]:
    """Of raw rewards [R, D] with the mean 1-5 score of each clip; empty where nobody scored.

    Pooled over all clips, and within prompts (the mean over prompts that have one).
    """
    rows, scores = mean_scores(pairs, d)
    if not len(rows):
        return {}
    found, prompts = rewards[rows, d], [pairs.rows[row].prompt for row in rows]
    result: dict[str, Any] = {"scored_clips": len(rows)}
    for name, correlation in CORRELATIONS.items():
        inside = within_groups(found, scores, prompts, correlation)
        result[name] = correlation(found, scores)
        result[f"{name}_within_prompts"] = inside.mean
        result["prompts_with_correlation"] = inside.groups
    return result


def mean_scores(pairs: "Pairs", d: int) -> tuple[NDArray[np.int64], Array]:
    """The rows that were scored in dimension d, and the mean score of each over its pairs."""
    index = np.concatenate([pairs.a, pairs.b])
    given = np.concatenate([pairs.score_a[:, d], pairs.score_b[:, d]]).astype(float)
    known = np.isfinite(given)
    size = len(pairs.rows)
    counts = np.bincount(index[known], minlength=size)
    total = np.bincount(index[known], weights=given[known], minlength=size)
    rows = np.flatnonzero(counts)
    return rows, total[rows] / counts[rows]


def ceiling_figures(ceiling: HumanCeiling | None) -> dict[str, Any]:
    """One annotator against the others, beside the accuracies; empty where it is not known."""
    if ceiling is None:
        return {}
    return {
        "human_ceiling_with_ties": ceiling.with_ties,
        "human_ceiling_with_ties_interval": plain(ceiling.with_ties_interval),
        "human_ceiling_without_ties": ceiling.without_ties,
        "human_ceiling_without_ties_interval": plain(ceiling.without_ties_interval),
        "human_ceiling_judgements": ceiling.judgements,
    }


def plain(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def without_details(evaluation: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures alone: what rows, summaries and model.json carry."""
    return {
        key: {name: value for name, value in row.items() if name != "details"}
        for key, row in evaluation.items()
    }
