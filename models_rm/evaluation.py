"""A reward model against what people said: the numbers of the report, per dimension."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models_rm.collator import Collator
from models_rm.data import Clips, Pairs, Row
from models_rm.losses import btt_nll, btt_probabilities
from models_rm.metrics import (
    TieCalibration,
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    baselines,
    brier_score,
    btt_threshold,
    clustered_interval,
)
from models_rm.network import RewardNetwork

Rewards = NDArray[np.float64]


@torch.no_grad()
def rewards_of(
    network: RewardNetwork,
    collator: Collator,
    clips: Clips,
    rows: Sequence[Row],
    *,
    batch_size: int,
    check: Callable[[], None],
) -> Rewards:  # raw, [R, D]
    """Score rows with the network in evaluation mode; `check` is called before each batch."""
    was_training = network.training
    network.eval()
    parts = [np.empty((0, len(network.keys)))]
    for start in range(0, len(rows), batch_size):
        check()
        chunk = rows[start : start + batch_size]
        batch = collator([clips.read(row) for row in chunk], [row.prompt for row in chunk])
        parts.append(network(batch.to(network.tokens.device)).mean.double().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def evaluate_pairs(
    pairs: Pairs,
    rewards: Rewards,  # raw, [R, D]
    theta: Sequence[float],
    *,
    thresholds: dict[str, float | None] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Per dimension: accuracies with intervals, thresholds, baselines, quality of the prediction.

    `thresholds`: tie thresholds found on another split; None where there is none.
    """
    gaps = rewards[pairs.a] - rewards[pairs.b]
    prompts = np.asarray(pairs.prompts, dtype=object)
    result = {}
    for d, key in enumerate(pairs.keys):
        valid = pairs.valid[:, d]
        result[key] = _one_dimension(
            pairs.preference[valid, d],
            gaps[valid, d],
            theta[d],
            fitted=(thresholds or {}).get(key),
            clusters=list(prompts[valid]),
            bootstrap=bootstrap,
            seed=seed,
        )
    return result


def _one_dimension(
    human: NDArray[np.int64],
    gap: NDArray[np.float64],
    theta: float,
    *,
    fitted: float | None,
    clusters: list[str],
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    best = accuracy_with_ties(human, gap)
    if best is None:
        return {"pairs": 0}

    def interval(statistic: Any) -> list[float] | None:
        found = clustered_interval(
            human, gap, clusters, statistic=statistic, resamples=bootstrap, seed=seed
        )
        return None if found is None else [found.low, found.high]

    probabilities = btt_probabilities(torch.from_numpy(gap), theta).numpy()
    nothing = torch.zeros(len(gap), dtype=torch.float64)
    nll = btt_nll(torch.from_numpy(gap), nothing, torch.from_numpy(human), theta)
    return {
        "pairs": len(human),
        "decisive": int((human != 0).sum()),
        "accuracy_without_ties": accuracy_without_ties(human, gap),
        "accuracy_without_ties_interval": interval(accuracy_without_ties),
        "accuracy_without_ties_half": accuracy_without_ties(human, gap, ties="half"),
        "accuracy_with_ties": best.accuracy,
        "accuracy_with_ties_interval": interval(_best_accuracy),
        "threshold_in_sample": best.threshold,
        "accuracy_with_ties_fitted": None if fitted is None else accuracy_at(human, gap, fitted),
        "threshold_fitted": fitted,
        "accuracy_with_ties_btt": accuracy_at(human, gap, btt_threshold(theta)),
        "threshold_btt": btt_threshold(theta),
        "baseline_always_tie": baselines(human)["always_tie"],
        "baseline_random": baselines(human)["random"],
        "nll": float(nll.mean()),
        "brier": brier_score(human, probabilities),
        "theta": theta,
    }


def _best_accuracy(human: Any, predicted: Any) -> float | None:
    best: TieCalibration | None = accuracy_with_ties(human, predicted)
    return None if best is None else best.accuracy
