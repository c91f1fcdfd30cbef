"""Flow-RWR: flow matching weighted by the exponential reward (arXiv 2501.13918, Eq. 9). Pure."""

from collections.abc import Sequence

import torch


def rwr_weights(
    rewards: torch.Tensor | Sequence[float],
    groups: torch.Tensor | Sequence[int] | None,
    temperature: float,
    max_weight: float,
) -> torch.Tensor:
    """exp(r / temperature), normalised to mean 1 within each group, then cut at `max_weight`: [N].

    rewards: [N]; groups: int [N], equal for the samples of one prompt, or None for one group.
    Not normalised, the weights of one lucky sample drown the rest (ML.md 4.3).
    """
    values = torch.as_tensor(rewards)
    values = values if values.dtype == torch.float64 else values.float()
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if groups is None:
        index = torch.zeros(len(values), dtype=torch.long)
    else:
        index = torch.as_tensor(groups).long().unique(return_inverse=True)[1]
    if len(index) != len(values):
        raise ValueError(f"expected one group per reward, got {len(index)} and {len(values)}")
    weights = torch.zeros_like(values)
    for group in index.unique():
        inside = index == group
        weights[inside] = torch.softmax(values[inside] / temperature, 0) * inside.sum()
    return weights.clamp(max=max_weight)


def effective_sample_size(weights: torch.Tensor) -> torch.Tensor:
    """(sum w)^2 / sum w^2: how many samples the weights really use. [N] -> scalar"""
    return weights.sum().square() / weights.square().sum()


def rwr_loss(error: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted velocity error per sample: [N], [N] -> [N]."""
    return weights.to(error) * error
