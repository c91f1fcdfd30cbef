"""How different the clips of one prompt are: a measure of their pixels, without weights."""

import itertools
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F

CELLS: Final = 16  # along each side: noise and small details are no diversity


def sketch(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [T, H, W, 3] -> float [T, 3, 16, 16] in [0, 1]: what `spread` compares."""
    pixels = frames.permute(0, 3, 1, 2).float() / 255
    return F.adaptive_avg_pool2d(pixels, CELLS)


def spread(sketches: Sequence[torch.Tensor]) -> float:
    """Mean absolute difference between clips of one prompt, in percent of the range: 0 to 100.

    Over all pairs of them; ValueError for fewer than two. Clips that are all alike have 0.
    """
    if len(sketches) < 2:
        raise ValueError("the spread of clips needs two of them at least")
    pairs = list(itertools.combinations(sketches, 2))
    return 100 * sum((one - other).abs().mean().item() for one, other in pairs) / len(pairs)
