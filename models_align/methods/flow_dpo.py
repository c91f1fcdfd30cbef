"""Flow-DPO (VideoAlign, arXiv 2501.13918, Eq. 6 and App. C). Pure functions."""

import torch
import torch.nn.functional as F


def raised(values: torch.Tensor) -> torch.Tensor:
    """Float16 and bfloat16 become float32; other types stay."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values


def preference_logit(
    policy_w: torch.Tensor,  # [B] mean squared velocity error of the policy on the winner
    policy_l: torch.Tensor,  # [B] on the loser
    reference_w: torch.Tensor,  # [B] of the reference
    reference_l: torch.Tensor,  # [B]
    beta: float | torch.Tensor,  # scalar or [B]
) -> torch.Tensor:  # [B]
    """z, whose logistic is the probability that the policy prefers the winner."""
    beta = torch.as_tensor(beta, device=policy_w.device)
    winner = raised(policy_w) - raised(reference_w)
    loser = raised(policy_l) - raised(reference_l)
    return -0.5 * raised(beta).to(winner.dtype) * (winner - loser)


def flow_dpo_loss(
    policy_w: torch.Tensor,
    policy_l: torch.Tensor,
    reference_w: torch.Tensor,
    reference_l: torch.Tensor,
    beta: float | torch.Tensor,
) -> torch.Tensor:
    """-log sigmoid(z) per pair, [B]; ln 2 where the policy equals the reference.

    Arguments as in `preference_logit`. All four errors come from the same t and the same noise.
    """
    return F.softplus(-preference_logit(policy_w, policy_l, reference_w, reference_l, beta))


def squared_schedule(beta: float, t: torch.Tensor) -> torch.Tensor:
    """beta (1-t)^2, the derived schedule; the paper recommends the constant one. t: [B] -> [B]"""
    return beta * (1 - t).square()
