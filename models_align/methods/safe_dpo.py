"""Loser-safe Flow-DPO: the loser is pushed away only as far as the winner does not pay for it.

The safeguard of Diffusion-SDPO (arXiv 2511.03317, Eq. 15-17) on Flow-DPO, and a brake of our own.

One step of Flow-DPO on a pair moves by -eta c (grad e_w - s grad e_l), c = beta/2 sigmoid(-z) > 0
and s = 1. To first order the winner's error changes by -eta c (|grad e_w|^2 - s <grad e_w, grad
e_l>), which is at most 0 exactly where s <grad e_w, grad e_l> <= |grad e_w|^2. As in the paper, the
gradients are those in the prediction: with residuals d = prediction - target their squared norm is
a multiple of mean(d_w^2) = e_w, and their product the same multiple of `overlap` = mean(d_w d_l).

That is a statement about one pair at one (t, noise). Over a training, noise and the other pairs add
up; there two things hold the winner down. `caution` lowers the share s: where the reference lies
midway between winners and losers, the errors are parabolas, and descent ends at (1 + s) / (1 - s)
times the way to the winners, beyond twice of which the winner is worse off than at the start:
s <= 1/3 stays on the safe side. And `hold` lets go of the loser where the winner's error is above
its reference: there only flow matching on the winner is left, until it is back.
"""

import torch

from models_align.methods.flow_dpo import flow_dpo_loss, raised


def loser_share(
    policy_w: torch.Tensor,  # [B] mean squared error of the policy on the winner
    reference_w: torch.Tensor,  # [B] of the reference
    overlap: torch.Tensor,  # [B] mean product of the policy's residuals on winner and loser
    *,
    caution: float = 0.0,
    hold: bool = True,
) -> torch.Tensor:  # [B] in [0, 1], without gradient
    """How much of the loser's gradient a step may use: s = min(1, (1 - caution) e_w / overlap).

    Where the overlap is not positive, leaving the loser helps the winner, and s is 1.
    """
    error, mixed = raised(policy_w).detach(), raised(overlap).detach()
    bound = (1 - caution) * error / mixed.where(mixed > 0, 1)
    share = bound.clamp(max=1).where(mixed > 0, 1)
    if hold:
        share = share.where(error <= raised(reference_w).detach(), 0)
    return share


def safe_dpo_loss(
    policy_w: torch.Tensor,
    policy_l: torch.Tensor,
    reference_w: torch.Tensor,
    reference_l: torch.Tensor,
    beta: float | torch.Tensor,
    share: torch.Tensor,  # [B], of `loser_share`
) -> torch.Tensor:  # [B]
    """The value of `flow_dpo_loss`, ln 2 at the start, with the loser's gradient times `share`."""
    loser = raised(policy_l)
    loser = loser.detach() + share.to(loser) * (loser - loser.detach())
    return flow_dpo_loss(policy_w, loser, reference_w, reference_l, beta)
