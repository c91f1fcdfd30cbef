"""What one step learns from: the loss of each entry and its weight, the rates of the optimiser."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models_rm.config import RewardModelConfig
from models_rm.losses import bt_class_nll, btt_class_nll, regression_error
from models_rm.networks.network import RewardNetwork, Rewards
from models_rm.networks.thetas import Thetas
from models_rm.networks.uncertainty import gaussian_nll, scale_of
from models_rm.preferences.data import Pairs
from models_rm.preferences.targets import Targets


def entry_losses(
    output_a: Rewards,  # [n, D]
    output_b: Rewards,
    pairs: Pairs,
    part: NDArray[np.int64],  # [n], which of the pairs these are
    config: RewardModelConfig,
    theta: Thetas,
) -> tuple[torch.Tensor, torch.Tensor]:  # losses [n, D], weights [n, D]
    """Weighted losses, sums and not means, and their weights: `targets.entry_weights`.

    Both are 0 where nothing was said that the loss of the dimension can use. ValueError where the
    rewards are not one per pair and dimension: nothing is broadcast.
    """
    for output in (output_a, output_b):
        if output.mean.shape != (len(part), len(pairs.keys)):
            raise ValueError(
                f"rewards must be [{len(part)}, {len(pairs.keys)}], one per pair and dimension, "
                f"got {list(output.mean.shape)}"
            )
    targets = Targets.of(pairs, part, config, output_a.mean.device)
    kinds = config.loss_of(pairs.keys)
    columns = [
        _regression(output_a, output_b, targets, d)
        if kind == "regression"
        else _pairwise(output_a, output_b, targets, d, _nll_of(kind, config, theta, targets, d))
        for d, kind in enumerate(kinds)
    ]
    return torch.stack(columns, dim=-1) * targets.of_dimensions, targets.weights


def mean_loss(
    rewards: Rewards, pairs: Pairs, config: RewardModelConfig, theta: Thetas
) -> float | None:
    """What the training makes smaller, over all of these pairs; `rewards` [R, D] are of their rows.

    None where nothing was said that the loss can use.
    """
    first, second = rewards.at(pairs.a), rewards.at(pairs.b)
    with torch.no_grad():
        losses, weights = entry_losses(first, second, pairs, np.arange(len(pairs.a)), config, theta)
    whole = float(weights.sum())
    return float(losses.sum()) / whole if whole else None


def _nll_of(
    kind: str, config: RewardModelConfig, theta: Thetas, targets: Targets, d: int
) -> Any:  # (gap [n], scale [n] | None) -> [n, 3]
    if kind == "btt":
        value = theta.values()[d]
        return lambda gap, scale: btt_class_nll(gap, value.to(gap.dtype), scale)
    if kind == "margin":
        margin = targets.margin[:, d]
        return lambda gap, scale: bt_class_nll(gap, margin, -margin, scale)
    constant = config.constant_margin if kind == "constant_margin" else 0.0
    return lambda gap, scale: bt_class_nll(gap, constant, None, scale)


def _pairwise(
    output_a: Rewards, output_b: Rewards, targets: Targets, d: int, nll: Any
) -> torch.Tensor:  # [n]
    weights = targets.classes[:, d]
    used = weights.sum(-1) > 0
    # Before the loss and not after it: what is masked may be infinite, and so may its gradient.
    gap = torch.where(used, output_a.mean[:, d] - output_b.mean[:, d], 0.0)
    scale = scale_of(_column(output_a.log_variance, d), _column(output_b.log_variance, d))
    return (nll(gap, scale) * weights).sum(-1)


def _regression(
    output_a: Rewards, output_b: Rewards, targets: Targets, d: int
) -> torch.Tensor:  # [n]
    total = torch.zeros_like(targets.weights[:, d])
    for side, output in enumerate((output_a, output_b)):
        known = targets.scored[:, d, side]
        reward = torch.where(known, output.mean[:, d], 0.0)
        score, spread = targets.scores[:, d, side], _column(output.log_variance, d)
        error = (
            regression_error(reward, score)
            if spread is None
            else gaussian_nll(reward - (score - 3), spread)
        )
        total = total + torch.where(known, error, 0.0) / 2
    return total


def _column(values: torch.Tensor | None, d: int) -> torch.Tensor | None:
    return None if values is None else values[:, d]


def optimizer_for(network: RewardNetwork, config: RewardModelConfig) -> torch.optim.AdamW:
    """AdamW with a rate for the language model, one for vision, one for what is ours, one for a
    learned theta. No weight decay draws theta or the usual uncertainty anywhere."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        group = (config.learning_rate, config.weight_decay)
        if name.startswith("thetas."):
            group = (config.theta_learning_rate, 0.0)
        elif not name.startswith("backbone."):
            # A weight decay on how sure a model is in general would make it say 1 for no reason.
            decay = 0.0 if name == "spread_biases" else config.weight_decay
            group = (config.head_learning_rate, decay)
        elif name.startswith("backbone.visual."):
            group = (config.vision_learning_rate, config.weight_decay)
        groups.setdefault(group, []).append(parameter)
    rows = [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(rows)


def rate_factor(step: int, config: RewardModelConfig) -> float:
    """Linear warm-up, then constant or a cosine down to zero."""
    rise = min(1.0, (step + 1) / max(1, round(config.warmup * config.steps)))
    if config.schedule == "constant":
        return rise
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))
