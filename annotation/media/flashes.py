"""How many general flashes a clip has within a second (WCAG 2.3.1). Pure numpy.

A flash is a pair of opposing changes of relative luminance by 10 % of the maximum or more, where
the darker picture is below 0.80. It counts where it covers a quarter of the picture. The
guideline's quarter of ten degrees of sight is less than that on a large screen: small figures are
no proof of safety, but more than three flashes on a quarter of the picture are always too many.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SAFE: Final = 3.0  # "three flashes or below" within any one second
_STEP: Final = 0.1
_BRIGHT: Final = 0.8
_AREA: Final = 0.25
_ROUNDING: Final = 1e-6
_WEIGHTS: Final = np.array([0.2126, 0.7152, 0.0722])


def relative_luminance(pictures: npt.NDArray[np.uint8]) -> Array:  # [T, H, W, 3] -> [T, H, W]
    """sRGB as WCAG defines it: 0 is black, 1 is white."""
    value = np.arange(256) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    luminance: Array = linear[pictures] @ _WEIGHTS
    return luminance


def most_flashes(luminance: Array, times: Array) -> float:
    """The most flashes that a quarter of the picture shows within one second.

    `luminance` is [T, H, W], `times` [T] in seconds. Halves are possible: three changes are one
    flash and a half.
    """
    changes = _changes(luminance.reshape(len(luminance), -1))  # [T, cells]
    seen = np.vstack([np.zeros((1, changes.shape[1]), int), np.cumsum(changes, axis=0)])
    # The second that ends at t; a frame exactly one second ago lies outside it, rounded or not.
    first = np.searchsorted(times, times - 1.0 + _ROUNDING, side="right")
    within = seen[1:] - seen[first]
    # So many changes, or more, has at least a quarter of the cells.
    cells = changes.shape[1]
    place = cells - int(np.ceil(cells * _AREA))
    shared = np.partition(within, place, axis=1)[:, place]
    return float(shared.max(initial=0)) / 2


def _changes(cells: Array) -> npt.NDArray[np.bool_]:  # [T, cells]
    """Where each cell completes a change against the direction of the one before."""
    found = np.zeros(cells.shape, bool)
    low, high = cells[0].copy(), cells[0].copy()  # extremes since the last change
    direction = np.zeros(cells.shape[1], np.int8)
    for at, now in enumerate(cells):
        low, high = np.minimum(low, now), np.maximum(high, now)
        up = (direction <= 0) & (now - low >= _STEP) & (low < _BRIGHT)
        down = (direction >= 0) & (high - now >= _STEP) & (now < _BRIGHT)
        found[at] = up | down
        direction = np.where(up, 1, np.where(down, -1, direction)).astype(np.int8)
        low, high = np.where(found[at], now, low), np.where(found[at], now, high)
    return found
