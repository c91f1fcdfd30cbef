"""Measures of pixels without weights. Proxies: none of them is a dimension of VBench.

Each has the prefix `proxy:` wherever it is written, and no total counts it. Clips of one size and
frame rate compare.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from formats.vbench_proxies import (
    BRIGHTNESS,
    COLOURFULNESS,
    CONTRAST,
    JUMPS,
    MOTION,
    SHARPNESS,
    STILL,
)
from measuring.decoding import Frame

# As models_align.motion has them: the same measure, here without torch.
_CELLS: Final = 16
_FLOOR: Final = 2 / 255
_LOWEST_CONTRAST: Final = 0.05
_LUMA: Final = np.array([0.0722, 0.7152, 0.2126], dtype=np.float32)  # of BT.709, blue first
_ENOUGH: Final = 180  # pixels along the shorter side, for what needs no detail


class Proxies:
    """Takes the frames of one clip one after another, and says what they are like."""

    def __init__(self) -> None:
        self._cells: list[NDArray[np.float32]] = []
        self._looks: list[tuple[float, float, float, float]] = []

    def add(self, frame: Frame) -> None:
        luma: NDArray[np.float32] = frame.astype(np.float32) @ _LUMA / np.float32(255)
        self._cells.append(_cells(luma))
        step = max(1, min(frame.shape[:2]) // _ENOUGH)
        small = luma[::step, ::step]
        colour = _colourfulness(frame[::step, ::step].astype(np.float32))
        self._looks.append((_sharpness(luma), 100 * small.mean(), 100 * small.std(), colour))

    def values(self) -> dict[str, float]:
        """Of at least one frame."""
        sharpness, brightness, contrast, colourfulness = np.mean(self._looks, axis=0).tolist()
        cells = np.stack(self._cells)
        change = _change(cells)
        return {
            MOTION: _motion_amount(cells, change),
            STILL: float((change == 0).all(1).mean()) if change.size else 1.0,
            JUMPS: _jumps(cells),
            SHARPNESS: sharpness,
            BRIGHTNESS: brightness,
            CONTRAST: contrast,
            COLOURFULNESS: colourfulness,
        }


def _cells(luma: NDArray[np.float32]) -> NDArray[np.float32]:  # [H, W] -> [h * w]
    """Means over a grid, as adaptive_avg_pool2d of torch takes them: cells may overlap."""
    height, width = luma.shape
    side = max(1, min(height, width) // _CELLS)
    rows, columns = _means(height, max(1, height // side)), _means(width, max(1, width // side))
    cells: NDArray[np.float32] = np.ravel(rows @ luma @ columns.T)
    return cells


@cache
def _means(size: int, count: int) -> NDArray[np.float32]:  # [count, size]
    """A matrix that takes `count` means along a side of so many pixels."""
    weights = np.zeros((count, size), dtype=np.float32)
    for number in range(count):
        first, last = number * size // count, -(-(number + 1) * size // count)
        weights[number, first:last] = 1 / (last - first)
    return weights


def _change(cells: NDArray[np.float32]) -> NDArray[np.float32]:  # [T, C] -> [T - 1, C]
    """Without what changes the whole picture, and without what a codec does to a still one."""
    if cells.shape[1] < 2:  # a picture of one cell has no contrast
        return np.zeros((len(cells) - 1, 0), dtype=np.float32)
    mean, contrast = cells.mean(1, keepdims=True), cells.std(1, ddof=1, keepdims=True)
    # Each frame gets the mean and the contrast that the clip has on average.
    steady = (cells - mean) / np.maximum(contrast, _FLOOR) * contrast.mean()
    change: NDArray[np.float32] = np.abs(np.diff(steady, axis=0))
    change[change < _FLOOR] = 0
    return change


def _motion_amount(cells: NDArray[np.float32], change: NDArray[np.float32]) -> float:
    if not change.size:
        return 0.0
    typical = float(cells.std(1, ddof=1).mean())
    return float(100 * change.mean() / max(typical, _LOWEST_CONTRAST))


def _jumps(cells: NDArray[np.float32]) -> float:
    means = cells.mean(1)
    return float(100 * np.abs(np.diff(means)).mean()) if len(means) > 1 else 0.0


def _sharpness(luma: NDArray[np.float32]) -> float:
    if min(luma.shape) < 3:
        return 0.0
    middle = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((255 * (around - 4 * middle)).var())


def _colourfulness(picture: NDArray[np.float32]) -> float:
    blue, green, red = np.moveaxis(picture, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    spread = np.hypot(first.std(), second.std())
    return float(spread + 0.3 * np.hypot(first.mean(), second.mean()))
