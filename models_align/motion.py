"""How much a clip moves: a measure of its pixels, without weights.

A proxy that needs no optical flow and no model. It is not the dynamic degree of VBench, which
counts clips above a threshold of optical flow, and must not be called that. Alignment on votes
tends to still clips (AniSora's own numbers fall from 57.33 to 43.33), so it stands beside every
win rate.
"""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

# Cells along the shorter side: the mean over a cell takes out noise, and makes sizes comparable.
CELLS: Final = 16
# Of the range of brightness. Below it lies what a codec does to a picture that stands still.
FLOOR: Final = 2 / 255
# Standard deviation over the picture; one with less than this shows next to nothing.
CONTRAST: Final = 0.05
_LUMA: Final = (0.2126, 0.7152, 0.0722)  # of BT.709


def motion_amount(frames: torch.Tensor | np.ndarray) -> float:
    """Mean absolute change of brightness from frame to frame, in percent of the clip's contrast.

    frames: uint8 [T, H, W, 3]. Changes of the brightness or contrast of the whole picture
    (flicker) are taken out first, and cells that change by less than `FLOOR` count as still. A
    clip that stands still has 0, and so has one of fewer than two frames; the same movement at
    twice the speed has more, up to where a thing leaves its own place between two frames. Only
    clips of one frame rate compare. ValueError for another shape.
    """
    pictures = torch.as_tensor(frames)
    if pictures.ndim != 4 or pictures.shape[-1] != 3:
        raise ValueError(f"expected frames [T, H, W, 3], got {list(pictures.shape)}")
    if len(pictures) < 2:
        return 0.0
    cells = _cells(pictures)
    mean, contrast = cells.mean(1, keepdim=True), cells.std(1, keepdim=True)
    typical = contrast.mean()
    # Each frame gets the mean and the contrast that the clip has on average.
    steady = (cells - mean) / contrast.clamp(min=FLOOR) * typical
    change = (steady[1:] - steady[:-1]).abs()
    return (100 * _counted(change).mean() / typical.clamp(min=CONTRAST)).item()


def _cells(pictures: torch.Tensor) -> torch.Tensor:  # uint8 [T, H, W, 3] -> [T, h * w] in [0, 1]
    luma = (pictures.float() / 255) @ torch.tensor(_LUMA, device=pictures.device)
    height, width = luma.shape[1:]
    side = max(1, min(height, width) // CELLS)
    grid = (max(1, height // side), max(1, width // side))
    return F.adaptive_avg_pool2d(luma[:, None], grid).flatten(1)


def _counted(change: torch.Tensor) -> torch.Tensor:
    return torch.where(change < FLOOR, 0.0, change)
