"""The background of each frame: how far its colours and its scene are from the first frame's.

A robust fit on means of 4 x 4 pixels: the scene that was asked for, a share of another scene, and
one colour added everywhere. Figures, which few of these means show, do not count.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.cast import SIDE, Field
from demo.anime.drawing import RAMP
from demo.anime.knowing import Known
from demo.anime.recipes import SCENES

POOL: Final = 4
SCALES: Final = (70.0, 45.0, 30.0, 20.0, 14.0, 14.0)  # levels beyond which a place counts less
SYMBOL_ZONE: Final = (slice(0, 20), slice(44, SIDE))  # rows and columns that a symbol may cover

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What stands behind the figure in each frame."""

    pictures: Field  # [T, H, W, 3]
    other: str  # the scene that the first one turns into, if any
    shares: Doubles  # [T], of that other scene
    light: Doubles  # [T], levels of brightness added
    tint: Doubles  # [T, 3], levels of colour added, without brightness
    strange: float  # levels of change since the first frame that none of this explains


def find_backdrop(clip: Field, known: Known) -> Backdrop:
    """Fit all scenes that the known one may turn into, and keep the best. `clip`: [T, H, W, 3]."""
    first = known.scenery(known.scene)
    seen = pooled(clip - first).reshape(len(clip), -1, 3)
    fits = []
    for other in SCENES:
        if other != known.scene:
            towards = pooled(known.scenery(other) - first).reshape(-1, 3)
            fits.append((*_fit(seen, towards), other))
    _, found, rest, other = min(fits, key=lambda each: each[0])
    shares, added = found[:, 0], found[:, 1:]
    light = added.mean(1)
    towards = known.scenery(other) - first
    pictures = first + shares[:, None, None, None] * towards + added[:, None, None, :]
    return Backdrop(pictures.astype(np.float32), other, shares, light, added - light[:, None], rest)


def pooled(pictures: Field) -> Field:  # [..., H, W, 3] -> [..., H / 4, W / 4, 3]
    side = SIDE // POOL
    tiles = pictures.reshape(*pictures.shape[:-3], side, POOL, side, POOL, 3)
    means: Field = tiles.mean(axis=(-4, -2), dtype=np.float32)
    return means


def _fit(seen: Field, towards: Field) -> tuple[float, Doubles, float]:
    """Iteratively reweighted least squares per frame: loss, [T, 4] of share and colour, rest."""
    design = np.zeros((*towards.shape, 4))  # [P, 3, 4]
    design[..., 0] = towards
    design[:, range(3), range(1, 4)] = 1.0
    usual = _usual_weight()
    weight = np.broadcast_to(usual, seen.shape[:2])
    for scale in SCALES:
        found = _solved(design, seen, weight)
        unexplained = seen - np.einsum("pck,tk->tpc", design, found)
        left = np.sqrt((unexplained**2).sum(-1))
        weight = usual / (1 + (left / scale) ** 2) ** 2
    loss = float((usual * (left / SCALES[-1]) ** 2 / (1 + (left / SCALES[-1]) ** 2)).sum())
    # Stains stand still and a figure covers less than half: what is left is a changing background.
    changed = np.sqrt(((unexplained[1:] - unexplained[0])[:, usual > 0] ** 2).sum(-1))
    return loss, found, float(np.median(changed, axis=1).mean())


def _solved(design: Doubles, seen: Field, weight: Doubles) -> Doubles:  # [T, 4]
    square = np.einsum("pck,tp,pcl->tkl", design, weight, design, optimize=True)
    right = np.einsum("pck,tp,tpc->tk", design, weight, seen, optimize=True)
    # A little of the prior "nothing changed" where there is nothing to see.
    square = square + np.diag([1e2, 1e-3, 1e-3, 1e-3])
    found: Doubles = np.linalg.solve(square, right[..., None])[..., 0]
    found[:, 0] = np.clip(found[:, 0], 0, 1)
    return found


def _usual_weight() -> Doubles:  # [P]
    weight = np.ones((SIDE, SIDE))
    weight[SYMBOL_ZONE] = 0.0
    tiles = weight.reshape(SIDE // POOL, POOL, SIDE // POOL, POOL).mean(axis=(1, 3))
    found: Doubles = (tiles == 1.0).astype(float).ravel()
    return found


def drift(values: Doubles) -> float:
    """How far something went that began at the first frame: 1 for a ramp that ends at 1."""
    return float(np.sqrt((values**2).sum() / (RAMP**2).sum()))
