"""Flow-NRG: shifting the velocity by the gradient of a reward while sampling (2501.13918, Eq. 11).

Guidance by a text prompt goes first with its scale unchanged, then this shift.
"""

import torch


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
