"""Supervised fine-tuning: flow matching on the chosen clips only (arXiv 2501.13918, baseline)."""

import torch


def sft_loss(error_w: torch.Tensor) -> torch.Tensor:
    """The velocity error of the chosen clips as it stands: [B] -> [B]."""
    return error_w
