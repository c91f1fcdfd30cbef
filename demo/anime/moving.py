"""How the actions move a figure, and how defects of motion and smoothness change that."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.cast import GROUND, SIDE, Field, Pose
from demo.anime.recipes import ACTIONS, AnimeDefects

FRAMES: Final = 9
PLACES: Final = 4.0  # pixels to both sides of the middle where a figure may start
WALK: Final = 19.0  # pixels
JUMP: Final = 14.0
DANCE: Final = 9.0
DUCK: Final = 0.4  # of the height
SHAKE_PIXELS: Final = 3.5  # RMS per axis at strength 1
LOST_MOVEMENT: Final = 0.85  # of an action's way at strength 1, by going less far or by stopping

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Start:
    """What the first frame leaves open: drawn by its seed."""

    x: float  # of the figure's middle
    mirrored: bool  # the scene


def start_of(seed: int) -> Start:
    rng = np.random.default_rng([seed, 77])
    return Start(SIDE / 2 - 0.5 + float(rng.uniform(-PLACES, PLACES)), bool(rng.random() < 0.5))


def way(action: str, progress: Doubles) -> Doubles:  # [..., 4]
    """What an action does at a progress in 0..1: x and y in pixels, squash and arm in 0..1."""
    arc, wave, nothing = np.sin(np.pi * progress), np.sin(2 * np.pi * progress), 0 * progress
    moves = {
        "walks left": (-WALK * progress, nothing, nothing, nothing),
        "walks right": (WALK * progress, nothing, nothing, nothing),
        "jumps": (nothing, -JUMP * arc, nothing, nothing),
        "ducks": (nothing, nothing, arc, nothing),
        "waves": (nothing, nothing, nothing, arc),
        "dances": (DANCE * wave, nothing, nothing, nothing),
    }
    return np.stack(moves[action], axis=-1)


def progress_until(action: str, share: float) -> Doubles:  # [T]
    """Even progress that stops where this share of the action's whole way is behind."""
    fine = np.linspace(0, 1, 401)
    steps = np.abs(np.diff(way(action, fine), axis=0)).sum(1)
    behind = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    stop = float(np.interp(share, behind, fine))
    return np.minimum(np.linspace(0, 1, FRAMES), stop)


def movement(defects: AnimeDefects) -> tuple[float, float]:
    """How far the action goes, and the share of that way after which it stops.

    Their product is the movement that is left, so strengths of both kinds add up.
    """
    left = 1 - LOST_MOVEMENT * defects.level("motion")
    far = 1 - LOST_MOVEMENT * min(1.0, defects.little)
    return far, left / far


def pose_of(action: str, defects: AnimeDefects, start: Start, rng: np.random.Generator) -> Pose:
    far, share = movement(defects)
    x, y, squash, arm = (far * way(action, progress_until(action, share))).T
    shaken = SHAKE_PIXELS * defects.shake * shake(rng)
    return Pose(
        x=(start.x + x + shaken[:, 0]).astype(np.float32),
        y=(GROUND + y + shaken[:, 1]).astype(np.float32),
        squash=(1 - DUCK * squash).astype(np.float32),
        arm=arm.astype(np.float32),
    )


def still(places: Sequence[float] | Doubles) -> Pose:
    """Standing as in a first frame, at these x, one per frame."""
    one = np.ones(len(places), np.float32)
    return Pose(np.asarray(places, np.float32), GROUND * one, one, 0 * one)


def shake(rng: np.random.Generator) -> Field:  # [T, 2]
    """Displacement per frame of RMS 1 per axis that is no part of any action."""
    noise = rng.normal(size=(FRAMES, 2))
    noise = noise - _smooth_ways() @ (_smooth_ways().T @ noise)
    scaled: Field = (noise / np.sqrt((noise**2).mean(0))).astype(np.float32)
    return scaled


@cache
def _smooth_ways() -> Doubles:  # [T, n], orthonormal
    """A constant and all that the actions do to a place."""
    progress = np.linspace(0, 1, FRAMES)
    ways = [np.ones(FRAMES), *(way(action, progress).sum(1) for action in ACTIONS[1:])]
    left, size, _ = np.linalg.svd(np.stack(ways, axis=1), full_matrices=False)
    return left[:, size > 1e-6]
