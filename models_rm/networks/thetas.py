"""The tie parameter of each dimension: fixed, or learned beside the network.

If all pairs were equal in quality, a tie rate q would mean theta = (1 + q) / (1 - q); pairs differ,
so a learned theta starts there and goes its own way (VideoAlign, arXiv 2501.13918, fixes 5).
"""

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import nn

# A theta of exactly 1 has no ties at all, and the logarithm of their probability no value.
_LEAST: Final = 1e-4
# What a start may say: nobody ties, or everybody does, is what a few votes say by chance.
RATES: Final = (0.02, 0.95)


class Thetas(nn.Module):
    """`values()` gives float32 [D], each above 1. Learned: theta = 1 + softplus(a)."""

    fixed: torch.Tensor

    def __init__(self, values: Sequence[float], *, learned: bool = False):
        super().__init__()
        start = torch.tensor([float(each) for each in values])
        if learned:
            self.raw = nn.Parameter(_raw_of(start))
        else:
            # Not in the saved weights: a fixed theta is what the card says.
            self.register_buffer("fixed", start, persistent=False)
        self.learned = learned
        self._given = [float(each) for each in values]

    def values(self) -> torch.Tensor:  # [D]
        return 1 + _LEAST + F.softplus(self.raw) if self.learned else self.fixed

    def by_key(self, keys: Sequence[str]) -> dict[str, float]:
        """What a card says: a fixed theta as it was given, not as float32 has it."""
        found = self.values().detach().cpu().tolist() if self.learned else self._given
        return dict(zip(keys, found, strict=True))

    @torch.no_grad()
    def start_at(self, tie_rates: Sequence[float]) -> None:
        """Begin where the tie rates of the training pairs say; a fixed theta stays what it is."""
        if self.learned:
            rates = torch.tensor(list(tie_rates)).clamp(*RATES)
            self.raw.copy_(_raw_of((1 + rates) / (1 - rates)))


def _raw_of(theta: torch.Tensor) -> torch.Tensor:
    """The inverse of 1 + softplus(a)."""
    return torch.expm1((theta - 1 - _LEAST).clamp(min=_LEAST)).log()
