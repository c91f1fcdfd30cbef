"""How ideal figures look when blurred, blocky and doubled: what `demo.seeing` compares with.

A grid over shape, count, blur, blockiness and ghosting, seen at half resolution with the centre of
mass in the middle. It follows from `demo.drawing` alone; nothing is fitted to data.
"""

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.drawing import ECHO_DISTANCE, RADIUS, SIDE, SPACING, STEP, Field, blurred, figures
from demo.recipes import COUNTS, SHAPES

BLURS: Final = (0.0, 1.5, 3.0, 4.5, 6.0)  # sigma in pixels
BLOCKS: Final = (0.0, 0.33, 0.67, 1.0)  # share of the block mean
ECHOES: Final = (0.0, 0.2, 0.4, 0.6, 0.75)  # opacity
MIDDLE: Final = SIDE / 2 - 0.5

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Templates:
    pictures: Field  # [K, 32 * 32], each of unit norm
    norms: Field  # [K], before that
    shape: Indices  # [K], into SHAPES
    count: Indices  # [K], into COUNTS
    echo: Field  # [K], opacity


@cache
def templates(direction: str) -> Templates:
    """All templates for figures that move in a direction; the echo lies behind them."""
    grid = list(itertools.product(range(len(SHAPES)), range(len(COUNTS)), BLURS, BLOCKS, ECHOES))
    stack = np.array([_template(direction, *each) for each in grid], np.float32)
    norms = np.sqrt((stack**2).sum(1))
    shape, count, _, _, echo = (np.array(column) for column in zip(*grid, strict=True))
    return Templates(stack / norms[:, None], norms, shape, count, echo.astype(np.float32))


def _template(
    direction: str, shape: int, count: int, blur: float, blocks: float, echo: float
) -> Field:  # [32 * 32]
    centres = places(np.full((1, 2), MIDDLE), COUNTS[count], direction)
    body = figures(SHAPES[shape], centres, RADIUS)
    behind = (centres - ECHO_DISTANCE * np.array(STEP[direction])).astype(np.float32)
    mask = np.maximum(body, np.float32(echo) * figures(SHAPES[shape], behind, RADIUS))
    mask = blurred(mask, blur)[0]
    mask = mask + np.float32(blocks) * (_mean_over_block_phases(mask) - mask)
    x, y = centre_of_mass(mask[None])[0]
    return halved(shifted(mask, MIDDLE - x, MIDDLE - y)).ravel()


def places(track: NDArray[np.floating], count: str, direction: str) -> Field:  # [N, T, 2]
    """The centres of one or two figures around a track [T, 2], side by side across the movement."""
    along = STEP[direction]
    across = np.array([along[1], along[0]])
    apart = SPACING * np.array([-0.5, 0.5] if count == "two" else [0.0])
    centres: Field = (track + apart[:, None, None] * across).astype(np.float32)
    return centres


def centre_of_mass(pictures: Field) -> Field:  # [T, H, W] -> [T, 2] as x, y
    place = np.arange(SIDE)
    total = np.maximum(pictures.sum((1, 2)), 1e-6)
    return np.stack([pictures.sum(1) @ place / total, pictures.sum(2) @ place / total], axis=1)


def shifted(picture: Field, dx: float, dy: float) -> Field:
    """Moved by a part of a pixel, linearly interpolated; what comes in from outside is 0."""
    moved = _shift_matrix(dy) @ picture @ _shift_matrix(dx).T
    return moved.astype(np.float32, copy=False)


def _shift_matrix(offset: float) -> Field:
    place = np.arange(SIDE)
    return np.clip(1 - np.abs(place[:, None] - offset - place), 0, 1).astype(np.float32)


def halved(picture: Field) -> Field:  # [64, 64] -> [32, 32]
    return picture.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3), dtype=np.float32)


def _mean_over_block_phases(picture: Field) -> Field:
    """8 x 8 block means, averaged over all places where the block borders may lie."""
    distance = np.abs(np.arange(SIDE)[:, None] - np.arange(SIDE))
    matrix = (np.clip(8 - distance, 0, None) / 64).astype(np.float32)
    spread = matrix @ picture @ matrix.T
    return spread.astype(np.float32, copy=False)
