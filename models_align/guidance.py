"""Flow-NRG: shifting the velocity by the gradient of a reward while sampling (2501.13918, Eq. 11).

Guidance by a text prompt goes first with its scale unchanged, then this shift. The same formula
holds for a v-prediction: noise_to_signal of its process takes the place of t / (1 - t).
"""

from dataclasses import dataclass
from typing import Final, Protocol, Self

import torch

from formats.supervised import BadConfigError
from models_align.config import GuidanceSettings
from models_align.flow import per_sample
from models_align.processes import Process, RectifiedFlow

FLOW: Final = RectifiedFlow()


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
    ratio = FLOW.noise_to_signal(time)
    return velocity - reward_shift(reward_gradient, ratio, weight, max_factor)


def reward_shift(
    gradient: torch.Tensor,  # [B, ...]
    noise_to_signal: torch.Tensor,  # scalar or [B]; infinite where there is noise alone
    weight: float,
    max_factor: float,
) -> torch.Tensor:  # [B, ...]
    """weight min(noise_to_signal, max_factor) gradient: what is taken from a prediction."""
    factor = noise_to_signal.clamp(max=max_factor).to(gradient.dtype)
    return weight * (per_sample(factor, gradient) if factor.ndim else factor) * gradient


def norm_clipped(shift: torch.Tensor, velocity: torch.Tensor, max_share: float) -> torch.Tensor:
    """The shift, shortened where its norm exceeds `max_share` times that of the velocity.

    shift, velocity: [B, ...], each sample by its own norm over all elements. The direction stays.
    `max_share` 0 clips nothing and gives the shift bit for bit. Not in the paper: it keeps a
    gradient that explodes from leaving the manifold of clips in one step.
    """
    if max_share == 0:
        return shift
    allowed = max_share * _norms(velocity)
    needed = _norms(shift)
    # A shift of 0 has no direction, and needs no clip.
    scale = torch.where(needed > allowed, allowed / needed.clamp(min=1e-30), 1.0)
    return per_sample(scale, shift).to(shift.dtype) * shift


def as_long_as(gradient: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`gradient` with the norm that `other` has, for each sample its own: [B, ...]."""
    scale = _norms(other) / _norms(gradient).clamp(min=1e-30)
    return per_sample(scale, gradient).to(gradient.dtype) * gradient


def _norms(values: torch.Tensor) -> torch.Tensor:  # [B, ...] -> [B]
    return values.flatten(1).double().norm(dim=1)


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
    """A reward with what a sampler needs to follow it: Eq. 11 with r = sum_k weights_k r_k.

    `control`, a reward that knows nothing, gives the direction in its place; the length of each
    push stays that of `model`, so that only what was learned differs.
    """

    model: DifferentiableReward
    weights: torch.Tensor  # [D]
    weight: float
    max_factor: float
    max_norm: float = 0.0
    process: Process = FLOW
    control: DifferentiableReward | None = None

    @classmethod
    def of(
        cls,
        model: DifferentiableReward,
        settings: GuidanceSettings,
        process: Process = FLOW,
        *,
        control: DifferentiableReward | None = None,
    ) -> Self:
        """Weights by name; a name that the model does not judge is a BadConfigError."""
        keys = model.dimensions
        asked = settings.dimensions or {key: 1 / len(keys) for key in keys}
        if unknown := sorted(set(asked) - set(keys)):
            raise BadConfigError(
                f"the latent reward model does not judge {unknown[0]!r}; "
                f"it judges {', '.join(keys)}"
            )
        weights = torch.tensor([asked.get(key, 0.0) for key in keys])
        clamps = settings.max_factor, settings.max_norm
        return cls(model, weights, settings.weight, *clamps, process, control)

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
        ratio = self.process.noise_to_signal(t)
        shift = reward_shift(self._gradient(x_t, t, text), ratio, self.weight, self.max_factor)
        return velocity - norm_clipped(shift, velocity, self.max_norm)

    def _gradient(self, x_t: torch.Tensor, t: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        weights = self.weights.to(x_t.device)
        gradient = reward_gradient(self.model, x_t, t, text, weights)
        if self.control is None:
            return gradient
        return as_long_as(reward_gradient(self.control, x_t, t, text, weights), gradient)
