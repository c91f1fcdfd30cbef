"""Losses on reward differences: Bradley-Terry with ties, plain, with a margin, and regression.

All are pure. They compute in the dtype they get and raise only float16 and bfloat16 to float32;
rewards are never exponentiated, so every value is finite at a difference of 1000.
"""

from typing import TypeAlias

import torch
import torch.nn.functional as F

Theta: TypeAlias = float | torch.Tensor  # a number or [D], above 1


def btt_loss(
    reward_a: torch.Tensor,  # [B, D]
    reward_b: torch.Tensor,  # [B, D]
    preference: torch.Tensor,  # int [B, D]: +1 A is better, -1 B is better, 0 tie
    valid: torch.Tensor,  # bool [B, D]
    theta: Theta,
) -> torch.Tensor:  # scalar
    """Mean of `btt_nll` over the valid entries; 0 with a graph where there are none."""
    return _masked_mean(btt_nll(reward_a, reward_b, preference, theta), valid)


def btt_nll(
    reward_a: torch.Tensor,  # [B, D]
    reward_b: torch.Tensor,  # [B, D]
    preference: torch.Tensor,  # int [B, D]: +1 A is better, -1 B is better, 0 tie
    theta: Theta,
) -> torch.Tensor:  # [B, D]
    """Negative log likelihood of Bradley-Terry with ties (Rao and Kupper 1967).

    VideoAlign (arXiv 2501.13918), equation 2, with the denominator of the released code: the
    printed one does not sum to one. ValueError for a theta that is not above 1.
    """
    gap = _raised(reward_a) - _raised(reward_b)
    a_wins, tie, b_wins = btt_class_nll(gap, theta).unbind(-1)
    return torch.where(preference > 0, a_wins, torch.where(preference < 0, b_wins, tie))


def btt_soft_nll(
    reward_a: torch.Tensor,  # [B, D]
    reward_b: torch.Tensor,  # [B, D]
    posterior: torch.Tensor,  # [B, D, 3]: P(A), P(tie), P(B)
    theta: Theta,
) -> torch.Tensor:  # [B, D]
    """Cross entropy of the BTT prediction against a soft label."""
    gap = _raised(reward_a) - _raised(reward_b)
    return (btt_class_nll(gap, theta) * posterior).sum(-1)


def btt_probabilities(difference: torch.Tensor, theta: Theta) -> torch.Tensor:
    """[...] differences r(A) - r(B) -> [..., 3] probabilities in the order A, tie, B."""
    return btt_class_nll(_raised(difference), theta).neg().exp()


def btt_class_nll(
    gap: torch.Tensor,  # [...]: reward A - reward B
    theta: Theta,
    scale: torch.Tensor | None = None,  # [...]: `uncertainty.probit_scale`; None is 1
) -> torch.Tensor:  # [..., 3]
    """-log P of A, tie and B. Labels, soft labels and counted votes are weights on these."""
    log_theta = _log_theta(theta, gap)
    if scale is not None:
        gap, log_theta = gap * scale, log_theta * scale
    a_wins = F.softplus(log_theta - gap)
    b_wins = F.softplus(log_theta + gap)
    # theta^2 - 1 in a form that keeps its digits near theta = 1.
    tie = a_wins + b_wins - torch.expm1(2 * log_theta).log()
    return torch.stack(torch.broadcast_tensors(a_wins, tie, b_wins), dim=-1)


def bt_class_nll(
    gap: torch.Tensor,  # [...]: reward A - reward B
    margin: torch.Tensor | float = 0.0,  # [...]: by how much A is to win, where A wins
    margin_b: torch.Tensor | float | None = None,  # the same for B; None: that of A
    scale: torch.Tensor | None = None,
) -> torch.Tensor:  # [..., 3]
    """-log P of A and B with a margin that the winner is to keep; 0 for a tie, which says nothing.

    A margin below 0 counts as 0: where the mean scores contradict the vote, the vote holds and is
    a plain one. (The released loss `scaled` turns it into a reward for making the loser better.)
    """
    factor: torch.Tensor | float = 1.0 if scale is None else scale
    for_a, for_b = (_clamped(m, gap) for m in (margin, margin if margin_b is None else margin_b))
    a_wins, b_wins = F.softplus(factor * (for_a - gap)), F.softplus(factor * (for_b + gap))
    return torch.stack([a_wins, torch.zeros_like(gap), b_wins], dim=-1)


def bt_loss(
    reward_a: torch.Tensor,  # [B, D]
    reward_b: torch.Tensor,  # [B, D]
    preference: torch.Tensor,  # int [B, D]
    valid: torch.Tensor,  # bool [B, D]
) -> torch.Tensor:  # scalar
    """Plain Bradley-Terry: ties are masked, the mean is over what remains."""
    return _masked_mean(bt_nll(reward_a, reward_b, preference), valid & (preference != 0))


def bt_nll(
    reward_a: torch.Tensor, reward_b: torch.Tensor, preference: torch.Tensor
) -> torch.Tensor:  # [B, D]
    """softplus(-(r_w - r_l)); meaningless where the preference is 0."""
    gap = _raised(reward_a) - _raised(reward_b)
    return F.softplus(-preference * gap)


def margin_nll(
    reward_a: torch.Tensor,  # [B, D]
    reward_b: torch.Tensor,  # [B, D]
    preference: torch.Tensor,  # int [B, D]
    margin: torch.Tensor | float,  # [B, D] score of the winner - score of the loser, or a constant
) -> torch.Tensor:  # [B, D]
    """softplus(-(r_w - r_l - max(m, 0))) (VideoAlign, losses `margin` and `constant_margin`);
    0 where the preference is 0."""
    nll = bt_class_nll(_raised(reward_a) - _raised(reward_b), margin)
    return torch.where(preference > 0, nll[..., 0], torch.where(preference < 0, nll[..., 2], 0.0))


def regression_loss(
    reward: torch.Tensor,  # [B, D]
    score: torch.Tensor,  # [B, D], 1 to 5
    valid: torch.Tensor,  # bool [B, D]
) -> torch.Tensor:  # scalar
    """Mean squared distance to the 1-5 score shifted to -2..2 (VideoAlign, loss `reg`)."""
    return _masked_mean(regression_error(reward, score), valid)


def regression_error(reward: torch.Tensor, score: torch.Tensor) -> torch.Tensor:  # [B, D]
    return (_raised(reward) - (score - 3)) ** 2


def _clamped(margin: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(margin, dtype=like.dtype, device=like.device).clamp(min=0)


def _log_theta(theta: Theta, like: torch.Tensor) -> torch.Tensor:
    value = torch.as_tensor(theta, dtype=like.dtype, device=like.device)
    if not bool((value > 1).all()):
        raise ValueError(f"theta must be above 1, got {value.tolist()}")
    return value.log()


def _raised(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _masked_mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    # Not values * mask: a masked entry may be infinite, and what is masked must not count.
    kept = torch.where(valid, values, torch.zeros_like(values))
    return kept.sum() / valid.sum().clamp(min=1)
