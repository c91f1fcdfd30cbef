"""How sure a reward is: a variance beside the mean, and what it does to the prediction of a pair.

The reward of a clip is taken as a normal distribution. A vote on A and B then follows the mean of
the BTT probabilities over the difference d ~ N(mean, variance). MacKay's approximation of the mean
of a logistic function (Neural Computation 4, 1992) gives sigma(k (d - log theta)) for A, with
k = 1 / sqrt(1 + pi variance / 8): the difference shrinks, and so does the band of ties. Shrinking
the difference alone would call every pair a tie of which the model knows nothing.
"""

import math
from typing import Final, TypeAlias

import torch

from models_rm.losses import Theta, btt_class_nll

# A log variance beyond this says nothing more: the standard deviation is from 0.02 to 55.
_WIDEST: Final = 8.0
Number: TypeAlias = float | torch.Tensor


def bounded(raw: torch.Tensor) -> torch.Tensor:
    """Any number -> a log variance within +-8, smooth, so that no unit of the head dies."""
    return _WIDEST * torch.tanh(raw / _WIDEST)


def probit_scale(variance: torch.Tensor) -> torch.Tensor:
    """k = 1 / sqrt(1 + pi v / 8) of the variance of a difference, var A + var B."""
    return torch.rsqrt(1 + math.pi / 8 * variance)


def scale_of(
    log_variance_a: torch.Tensor | None, log_variance_b: torch.Tensor | None
) -> torch.Tensor | None:
    """k of a pair of clips; None for rewards without a variance, which means 1."""
    if log_variance_a is None or log_variance_b is None:
        return None
    return probit_scale(log_variance_a.exp() + log_variance_b.exp())


def uncertain_probabilities(
    difference: torch.Tensor, variance: torch.Tensor, theta: Theta
) -> torch.Tensor:
    """[...] mean and variance of r(A) - r(B) -> [..., 3] probabilities of A, tie, B."""
    return btt_class_nll(difference, theta, probit_scale(variance)).neg().exp()


def gaussian_nll(error: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """-log N(error; 0, variance) without its constant: the loss of a score with a variance."""
    return 0.5 * (error**2 * (-log_variance).exp() + log_variance)
