"""Flow-NRG: shifting the velocity by the gradient of a reward while sampling (2501.13918, Eq. 11).

Guidance by a text prompt goes first with its scale unchanged, then this shift.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import torch

from formats.supervised import BadConfigError
from models_align.config import GuidanceSettings


def guided_velocity(
    velocity: torch.Tensor,
    reward_gradient: torch.Tensor,
    t: float | torch.Tensor,
    weight: float,
    max_factor: float,
) -> torch.Tensor:
    """velocity - weight min(t/(1-t), max_factor) gradient; weight 0 gives the velocity bit for bit.

    velocity, reward_gradient: [B, ...]; t: scalar or [B] in [0, 1]. t/(1-t) is 99 at t = 0.99, so
    the factor is clamped, and only the factor.
    """
    if weight == 0:
        return velocity
    time = torch.as_tensor(t, dtype=torch.float64, device=velocity.device)
    # At t = 1 the quotient is infinite and the clamp makes it max_factor.
    factor = (time / (1 - time)).clamp(max=max_factor).to(velocity.dtype)
    if factor.ndim:
        factor = factor.view(-1, *[1] * (velocity.ndim - 1))
    return velocity - weight * factor * reward_gradient


class DifferentiableReward(Protocol):
    """A reward of noised latents with a gradient: `models_align.latent_reward`, or a test's own."""

    @property
    def dimensions(self) -> tuple[str, ...]: ...

    def reward(
        self, x_t: torch.Tensor, t: torch.Tensor, text_embedding: torch.Tensor
    ) -> torch.Tensor:  # [B, D]
        ...


def reward_gradient(
    model: DifferentiableReward,
    x_t: torch.Tensor,  # [B, ...]
    t: torch.Tensor,  # [B]
    text: torch.Tensor,  # [B, L, D]
    weights: torch.Tensor,  # [D]
) -> torch.Tensor:  # [B, ...], without a graph
    """The gradient of sum_k weights_k r_k in x_t, for each sample its own."""
    with torch.enable_grad():
        leaf = x_t.detach().requires_grad_(requires_grad=True)
        total = (model.reward(leaf, t, text) * weights).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
    return gradient


@dataclass(frozen=True, slots=True)
class Guide:
    """A reward with what a sampler needs to follow it: Eq. 11 with r = sum_k weights_k r_k."""

    model: DifferentiableReward
    weights: torch.Tensor  # [D]
    weight: float
    max_factor: float

    @classmethod
    def of(cls, model: DifferentiableReward, settings: GuidanceSettings) -> Self:
        """Weights by name; a name that the model does not judge is a BadConfigError."""
        keys = model.dimensions
        asked = settings.dimensions or {key: 1 / len(keys) for key in keys}
        if unknown := sorted(set(asked) - set(keys)):
            raise BadConfigError(
                f"the latent reward model does not judge {unknown[0]!r}; "
                f"it judges {', '.join(keys)}"
            )
        weights = torch.tensor([asked.get(key, 0.0) for key in keys])
        return cls(model, weights, settings.weight, settings.max_factor)

    def applied(
        self,
        velocity: torch.Tensor,  # [B, ...], behind the guidance by text
        x_t: torch.Tensor,
        t: torch.Tensor,  # [B]; one time for all
        text: torch.Tensor,  # of the prompts, not of the negative one
    ) -> torch.Tensor:
        """The shifted velocity. At t = 1 there is noise alone and nothing to follow."""
        if self.weight == 0 or bool((t >= 1).all()):
            return velocity
        gradient = reward_gradient(self.model, x_t, t, text, self.weights.to(x_t.device))
        return guided_velocity(velocity, gradient, t, self.weight, self.max_factor)
