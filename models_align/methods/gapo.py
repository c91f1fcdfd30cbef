"""GAPO, gap-aware preference optimisation (arXiv 2504.10044, section 3.4), on Flow-DPO.

The paper weighs a diffusion DPO; we apply the same factor to Flow-DPO. That is our extension.
"""

import torch

from models_align.methods.flow_dpo import flow_dpo_loss


def gap_factor(
    reward_w: torch.Tensor,  # [B] in [0, 1]
    reward_l: torch.Tensor,  # [B] in [0, 1], below reward_w
    alpha: float = 2.0,
) -> torch.Tensor:  # [B]
    """alpha^R_w - alpha^R_l: the same gap weighs more at the high end."""
    rewards = torch.stack([reward_w, reward_l])
    if not bool(((rewards >= 0) & (rewards <= 1)).all()):
        raise ValueError(f"rewards of GAPO must lie in [0, 1], got {rewards.tolist()}")
    if not bool((reward_w > reward_l).all()):
        raise ValueError(
            "the reward of each winner must be above that of its loser, "
            f"got {reward_w.tolist()} and {reward_l.tolist()}"
        )
    if not alpha > 1:
        raise ValueError(f"alpha must be above 1, got {alpha}")
    return (alpha**reward_w - alpha**reward_l).detach()


def gapo_loss(
    policy_w: torch.Tensor,
    policy_l: torch.Tensor,
    reference_w: torch.Tensor,
    reference_l: torch.Tensor,
    beta: float | torch.Tensor,
    factor: torch.Tensor,  # [B], of `gap_factor`
) -> torch.Tensor:
    """The factor times the Flow-DPO loss, per pair: [B].

    It multiplies each pair before any mean (the released code takes the mean first, which is right
    for a batch of one only). Errors as in `flow_dpo_loss`; those of a v-prediction network make it
    the published loss, whose error of x_0 weighted by 1 / (1 - abar) is the error of v.
    """
    loss = flow_dpo_loss(policy_w, policy_l, reference_w, reference_l, beta)
    return factor.to(loss) * loss


def normalised(factor: torch.Tensor) -> torch.Tensor:
    """Factors divided by their mean, so that the learning rate keeps its meaning: [N] -> [N]."""
    return factor / factor.mean()
