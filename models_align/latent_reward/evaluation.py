"""A latent reward model against what people said, as a curve over t with fixed noise.

At t near 1 a latent says little of the clip that it will become, so no accuracy without its t.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models_align.latent_reward.data import LatentPairs
from models_align.latent_reward.judgements import Judgements
from models_align.latent_reward.network import LatentRewardNetwork
from models_rm.losses import bt_nll, btt_nll
from models_rm.metrics import (
    accuracy_with_ties,
    accuracy_without_ties,
    baselines,
    clustered_interval,
    resampled_accuracy_with_ties,
    resampled_accuracy_without_ties,
)

Rewards = NDArray[np.float64]
Curve = dict[str, list[dict[str, Any]]]


@torch.no_grad()
def rewards_at(
    network: LatentRewardNetwork,
    data: LatentPairs,
    pairs: Judgements,
    t: float,
    check: Callable[[], None],
) -> Rewards:  # [R, D]
    """Raw rewards of all rows at one t; `check` is called before each batch."""
    was_training = network.training
    network.eval()
    size = 2 * data.config.pairs_per_step // data.config.accumulation
    found = [np.empty((0, len(pairs.keys)))]
    for start in range(0, len(pairs.rows), size):
        check()
        x_t, times, text = data.examined(pairs, slice(start, start + size), t)
        found.append(network(x_t, times, text).double().cpu().numpy())
    network.train(was_training)
    return np.concatenate(found)


def curve_over_t(
    pairs: Judgements,
    rewards: dict[float, Rewards],
    theta: Sequence[float] | None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Curve:
    """Per dimension one row per t: accuracies with prompt-clustered intervals, loss, baseline.

    `theta` of BTT, or None for a model of plain Bradley-Terry, whose loss knows no ties.
    """
    curve: Curve = {}
    prompts = np.asarray(pairs.prompts, dtype=object)
    for d, key in enumerate(pairs.keys):
        valid = pairs.valid[:, d]
        curve[key] = [
            {
                "t": t,
                **_at_one_t(
                    pairs.preference[valid, d],
                    (raw[pairs.a, d] - raw[pairs.b, d])[valid],
                    None if theta is None else theta[d],
                    list(prompts[valid]),
                    bootstrap=bootstrap,
                    seed=seed,
                ),
            }
            for t, raw in sorted(rewards.items())
        ]
    return curve


def _at_one_t(
    human: NDArray[np.int64],
    gap: Rewards,
    theta: float | None,
    clusters: list[str],
    *,
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

    return {
        "pairs": len(human),
        "decisive": int((human != 0).sum()),
        "accuracy_without_ties": accuracy_without_ties(human, gap),
        "accuracy_without_ties_interval": interval(resampled_accuracy_without_ties),
        "accuracy_with_ties": best.accuracy,
        "accuracy_with_ties_interval": interval(resampled_accuracy_with_ties),
        "threshold_in_sample": best.threshold,
        "baseline_always_tie": baselines(human)["always_tie"],
        "loss": _mean_loss(human, gap, theta),
    }


def _mean_loss(human: NDArray[np.int64], gap: Rewards, theta: float | None) -> float | None:
    if theta is None:
        human, gap = human[human != 0], gap[human != 0]
    if not len(gap):
        return None
    sides = torch.from_numpy(gap), torch.zeros(len(gap), dtype=torch.float64)
    said = torch.from_numpy(human)
    values = bt_nll(*sides, said) if theta is None else btt_nll(*sides, said, theta)
    return float(values.mean())


def mean_over_t(curve: Curve, name: str) -> dict[str, float]:
    """Per dimension the mean of a value over all t at which it is defined."""
    found = {
        key: [row[name] for row in rows if row.get(name) is not None] for key, rows in curve.items()
    }
    return {key: float(np.mean(values)) for key, values in found.items() if values}
