"""Draws a recipe: numpy only, no assets. Equal recipes give equal pixels.

Every disturbance is normalised to unit RMS before its strength is applied, so that the strength in
the recipe is the strength in the pixels and not only its expectation.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.recipes import Defects, Facts, Recipe

FRAMES: Final = 9
SIDE: Final = 64
FPS: Final = 8
SPEED: Final = 3.0  # pixels per frame
TRAVEL: Final = SPEED * (FRAMES - 1)
RADIUS: Final = 9.0  # of a circle; all shapes have about its area
AREA: Final = np.pi * RADIUS**2
SPACING: Final = 30.0  # between the centres of two
ECHO_DISTANCE: Final = 11.0  # how far a ghost lags behind

GREY: Final = 128.0
PALETTE: Final = {
    "red": (220.0, 45.0, 40.0),
    "green": (45.0, 185.0, 65.0),
    "blue": (45.0, 75.0, 225.0),
    "yellow": (235.0, 215.0, 50.0),
}
BACKDROP: Final = {
    "dark": (38.0, 38.0, 58.0),
    "grey": (128.0, 128.0, 128.0),
    "sky": (140.0, 190.0, 225.0),
}
STEP: Final = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}

# What a strength of 1 means.
BLUR_PIXELS: Final = 6.0  # sigma
BLOCKED_SHARE: Final = 0.85  # of the block mean
BLOTCH_LEVELS: Final = 26.0  # RMS, of 255
WASHED_SHARE: Final = 0.75  # mixed into grey
JITTER_PIXELS: Final = 4.0  # RMS per axis
FLICKER_LEVELS: Final = 26.0  # RMS, of 255
FROZEN_SHARE: Final = 0.85  # of the time
ECHO_OPACITY: Final = 0.75

Frames = NDArray[np.uint8]  # [9, 64, 64, 3]
Field = NDArray[np.float32]


def render(recipe: Recipe) -> Frames:
    rng = np.random.default_rng(recipe.seed)
    shown, defects = recipe.shown, recipe.defects
    size = RADIUS * rng.uniform(0.95, 1.05)
    centres = _centres(shown, defects, rng)
    mask = figures(shown.shape, centres, size)
    if defects.ghosting:
        behind = centres - ECHO_DISTANCE * np.array(STEP[shown.direction], np.float32)
        echo = figures(shown.shape, behind, size)
        mask = np.maximum(mask, ECHO_OPACITY * defects.ghosting * echo)
    mask = blocked(blurred(mask, BLUR_PIXELS * defects.blur**0.75), BLOCKED_SHARE * defects.blocks)
    back = np.array(BACKDROP[shown.background], np.float32)
    fore = np.array(PALETTE[shown.colour], np.float32)
    frames = back + mask[..., None] * (fore - back)
    frames += WASHED_SHARE * defects.washed * (GREY - frames)
    frames += _blotches(defects.noise, rng) + _flicker(defects.flicker, rng)
    clipped: Frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return clipped


def _centres(shown: Facts, defects: Defects, rng: np.random.Generator) -> Field:  # [N, T, 2]
    """x and y of each figure in each frame; all of them move and shake together."""
    along = np.array(STEP[shown.direction])
    across = np.array([along[1], along[0]])
    time = np.arange(FRAMES)
    moving = (FRAMES - 1) * (1 - FROZEN_SHARE * defects.freezing)
    progress = SPEED * np.minimum(time, moving) - TRAVEL / 2
    path = SIDE / 2 - 0.5 + progress[:, None] * along + rng.uniform(-3, 3) * across
    path = path + JITTER_PIXELS * defects.jitter * _shake(rng)
    apart = SPACING * np.array([-0.5, 0.5] if shown.count == "two" else [0.0])
    centres: Field = (path + apart[:, None, None] * across).astype(np.float32)
    return centres


def _shake(rng: np.random.Generator) -> NDArray[np.float64]:  # [T, 2]
    """Noise per frame without a linear trend (a trend would be movement), of RMS 1 per axis."""
    return _whitened(rng.normal(size=(FRAMES, 2)), degree=1)


def _whitened(noise: NDArray[np.float64], degree: int) -> NDArray[np.float64]:  # [T, n]
    time = np.linspace(-1, 1, len(noise))
    basis = np.linalg.qr(np.vander(time, degree + 1))[0]
    noise = noise - basis @ (basis.T @ noise)
    whitened: NDArray[np.float64] = noise / np.sqrt((noise**2).mean(0))
    return whitened


def figures(shape: str, centres: Field, size: float) -> Field:  # [T, H, W] in 0..1
    """All figures of one clip, with edges one pixel soft."""
    place = np.arange(SIDE, dtype=np.float32)
    x = place - centres[..., 0:1]  # [N, T, W]
    y = place - centres[..., 1:2]  # [N, T, H]
    inside = _INSIDE[shape](x, y, np.float32(size))
    figures: Field = np.clip(inside + 0.5, 0, 1).max(axis=0)
    return figures


# Each gives the distance to the edge [N, T, H, W], positive inside; all have the same area.
def _circle(x: Field, y: Field, size: np.float32) -> Field:
    return size - np.sqrt(x[..., None, :] ** 2 + y[..., :, None] ** 2)


def _bar(x: Field, y: Field, size: np.float32) -> Field:
    wide, high = 1.38 * size, 0.57 * size
    return np.minimum(wide - np.abs(x)[..., None, :], high - np.abs(y)[..., :, None])


def _triangle(x: Field, y: Field, size: np.float32) -> Field:
    # The tip points up; the centre of mass lies a third of the height above the base.
    low = 0.75 * size - y
    side = (np.float32(1.5) * size + y)[..., :, None] * 0.5 - 0.894 * np.abs(x)[..., None, :]
    return np.minimum(low[..., :, None], side)


_INSIDE: Final = {"circle": _circle, "bar": _bar, "triangle": _triangle}


@cache
def _blur_matrix(sigma: float) -> Field:  # [64, 64], rows sum to 1
    place = np.arange(SIDE)
    weights = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    matrix: Field = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return matrix


def blurred(mask: Field, sigma: float) -> Field:
    if sigma < 0.3:  # below a third of a pixel nothing would change
        return mask
    matrix = _blur_matrix(round(sigma, 1))
    return (matrix @ mask @ matrix.T).astype(np.float32, copy=False)


def blocked(mask: Field, share: float) -> Field:
    """Mixed with the mean of each 8 x 8 block, as a starved codec does."""
    if not share:
        return mask
    tiles = mask.reshape(FRAMES, SIDE // 8, 8, SIDE // 8, 8).mean(axis=(2, 4), dtype=np.float32)
    return mask + np.float32(share) * (tiles.repeat(8, 1).repeat(8, 2) - mask)


def _blotches(strength: float, rng: np.random.Generator) -> Field | float:
    """Stains of about 8 pixels that stand still: fine noise would not survive a video codec."""
    if not strength:
        return 0.0
    coarse = rng.normal(size=(9, 9, 3))
    coarse = 0.8 * coarse[..., :1] + 0.6 * coarse
    stains = np.einsum("hi,ijc,wj->hwc", _stretch(), coarse, _stretch(), optimize=True)
    stains -= stains.mean(axis=(0, 1))
    scaled: Field = (BLOTCH_LEVELS * strength * stains / stains.std()).astype(np.float32)
    return scaled


@cache
def _stretch() -> Field:  # [64, 9]: linear interpolation of a coarse grid
    place = np.linspace(0, 8, SIDE)[:, None]
    return np.clip(1 - np.abs(place - np.arange(9)), 0, 1).astype(np.float32)


def _flicker(strength: float, rng: np.random.Generator) -> Field | float:
    if not strength:
        return 0.0
    # Two levels and not Gaussian noise: peaks would leave the range of pixels and be cut off.
    wave = _whitened(rng.permutation([-1.0] * 4 + [1.0] * 5)[:, None], degree=0)
    levels: Field = (FLICKER_LEVELS * strength * wave).astype(np.float32).reshape(-1, 1, 1, 1)
    return levels
