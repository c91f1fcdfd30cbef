"""What one step learns from: which entries count, their loss, the rates of the optimiser."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from models_rm.config import RewardModelConfig
from models_rm.data import Pairs
from models_rm.evaluation import Rewards
from models_rm.losses import bt_nll, btt_nll, btt_soft_nll, regression_error
from models_rm.metrics import accuracy_without_ties
from models_rm.network import RewardNetwork


def valid_entries(
    pairs: Pairs, part: NDArray[np.int64], config: RewardModelConfig
) -> NDArray[np.bool_]:  # [n, D]
    """What enters the loss: never an `invalid`, and what else the loss cannot use."""
    if config.loss == "regression":
        both = np.isfinite(pairs.score_a) & np.isfinite(pairs.score_b)
        return both[part]
    if config.loss == "bt":
        return pairs.valid[part] & (pairs.preference[part] != 0)
    return (pairs.soft_valid if config.soft_labels else pairs.valid)[part]


def entry_losses(
    reward_a: torch.Tensor,  # [n, D]
    reward_b: torch.Tensor,
    pairs: Pairs,
    part: NDArray[np.int64],
    config: RewardModelConfig,
    theta: list[float],
) -> torch.Tensor:  # [n, D], 0 where not valid
    device = reward_a.device
    preference = torch.from_numpy(pairs.preference[part]).to(device)
    tie_parameter = torch.tensor(theta, device=device)
    if config.loss == "regression":
        first = torch.from_numpy(pairs.score_a[part]).to(device).nan_to_num(3.0)
        second = torch.from_numpy(pairs.score_b[part]).to(device).nan_to_num(3.0)
        values = regression_error(reward_a, first) + regression_error(reward_b, second)
    elif config.loss == "bt":
        values = bt_nll(reward_a, reward_b, preference)
    elif config.soft_labels:
        posterior = torch.from_numpy(pairs.posterior[part]).to(device)
        values = btt_soft_nll(reward_a, reward_b, posterior, tie_parameter)
    else:
        values = btt_nll(reward_a, reward_b, preference, tie_parameter)
    valid = torch.from_numpy(valid_entries(pairs, part, config)).to(device)
    return torch.where(valid, values, torch.zeros_like(values))


def optimizer_for(network: RewardNetwork, config: RewardModelConfig) -> torch.optim.AdamW:
    """AdamW with a rate for the language model, one for vision, one for heads and tokens."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = config.learning_rate
        if name in ("tokens", "heads"):
            rate = config.head_learning_rate
        elif name.startswith("backbone.visual."):
            rate = config.vision_learning_rate
        groups.setdefault(rate, []).append(parameter)
    rows = [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]
    return torch.optim.AdamW(rows, weight_decay=config.weight_decay)


def rate_factor(step: int, config: RewardModelConfig) -> float:
    """Linear warm-up, then constant or a cosine down to zero."""
    rise = min(1.0, (step + 1) / max(1, round(config.warmup * config.steps)))
    if config.schedule == "constant":
        return rise
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))


def per_dimension(
    pairs: Pairs,
    part: NDArray[np.int64],
    losses: torch.Tensor,
    gaps: Rewards,
    config: RewardModelConfig,
) -> dict[str, float]:
    report: dict[str, float] = {}
    valid = valid_entries(pairs, part, config)
    for d, key in enumerate(pairs.keys):
        if valid[:, d].any():
            report[f"loss/{key}"] = losses[:, d].sum().item() / int(valid[:, d].sum())
        judged = pairs.valid[part, d]
        accuracy = accuracy_without_ties(pairs.preference[part, d][judged], gaps[judged, d])
        if accuracy is not None:
            report[f"accuracy/{key}"] = accuracy
    return report
