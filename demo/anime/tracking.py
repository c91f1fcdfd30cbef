"""Where a figure is in each frame and what it does: found by its outline, without its colours.

The outline of robe and head, which the whole cast shares, is looked for in what differs from the
background; then the arm that waves; then the action whose way explains both best.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.backdrop import SYMBOL_ZONE
from demo.anime.cast import (
    CAST,
    GROUND,
    SIDE,
    Field,
    Pose,
    arm_cover,
    body_cover,
    figure,
    robe_cover,
)
from demo.anime.drawing import blurred
from demo.anime.moving import DUCK, FRAMES, Start, progress_until, way
from demo.anime.recipes import ACTIONS

CLEAR: Final = 80.0  # levels of difference that count in full
HIGHEST: Final = 34  # y that feet never reach; places above are those below the picture
SQUASHES: Final = tuple(np.linspace(1.0, 1 - 1.1 * DUCK, 8).tolist())
BLURS: Final = (1.0, 2.5, 4.0)  # sigma in pixels
ARMS: Final = np.linspace(0.0, 1.0, 6)
POSES: Final = (*((squash, 0.0) for squash in SQUASHES), (1.0, 0.4), (1.0, 0.8))
STOPS: Final = np.linspace(0.1, 1.0, 19)
# Pixels that a full squash or swing counts as, where ways are compared.
PIXELS: Final = np.array([1.0, 1.0, 12.0, 8.0])

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Track:
    pose: Pose
    likeness: Doubles  # [T], how much of an outline is there, about 1 for a whole figure
    blur: float  # pixels, roughly
    action: str
    movement: float  # share of the action's whole way that was gone
    doubt: float  # error of this action as a share of the error of none
    shake: float  # RMS per axis in pixels of what the action does not explain


def follow(difference: Field, start: Start) -> Track:
    """`difference`: the clip less its background [T, H, W, 3]."""
    shown = _shown(difference)
    x, y, squash, likeness, blur = _outlines(shown)
    body = Pose(x, y, squash, np.zeros_like(x))
    arm = _arms(difference, body)
    ways = np.stack([x - start.x, y - GROUND, (1 - squash) / DUCK, arm], axis=1)
    action, movement, doubt, rest = _recognised(ways.astype(np.float64))
    shake = float(np.sqrt((rest[:, :2] ** 2).sum() / 2 / (FRAMES - 2)))
    pose = Pose(x, y, squash, arm.astype(np.float32))
    return Track(pose, likeness, blur, action, movement, doubt, shake)


def _shown(difference: Field) -> Field:  # [T, H, W] in 0..1
    size = np.minimum(np.linalg.norm(difference, axis=-1) / CLEAR, 1.0)
    size[(slice(None), *SYMBOL_ZONE)] = 0.0
    return size.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Outlines:
    """What figures may look like at half resolution, without colours: the cast in all `POSES`."""

    spectra: NDArray[np.complexfloating]  # [K, 32, 17], of outlines with their feet at the origin
    energy: Field  # [K]
    blur: float  # sigma in pixels


@cache
def _known_outlines() -> tuple[Outlines, ...]:
    """One for each blur."""
    squash, arm = np.array(POSES, np.float32).T
    pose = Pose(SIDE / 2 * np.ones_like(arm), 48 * np.ones_like(arm), squash, arm)
    covers = np.concatenate([figure(look, pose).cover for look in CAST.values()])[..., None]
    return tuple(
        _outlines_of(np.minimum(1.5 * blurred(covers, sigma), 1), sigma) for sigma in BLURS
    )


def _outlines_of(covers: Field, sigma: float) -> Outlines:
    small = halved(np.roll(covers[..., 0], (-48, -SIDE // 2), axis=(1, 2)))
    return Outlines(np.conj(np.fft.rfft2(small)), (small**2).sum((1, 2)), sigma)


def halved(pictures: Field) -> Field:  # [..., 64, 64] -> [..., 32, 32]
    half = SIDE // 2
    tiles = pictures.reshape(*pictures.shape[:-2], half, 2, half, 2)
    small: Field = tiles.mean(axis=(-3, -1), dtype=np.float32)
    return small


def _outlines(shown: Field) -> tuple[Field, Field, Field, Doubles, float]:
    """x, y of the feet, squash and likeness [T] of the nearest outline, and its blur."""
    small = halved(shown)
    spectra = np.fft.rfft2(small)
    # Blur does not change within a clip, so three frames tell it.
    known = max(
        _known_outlines(), key=lambda each: _scores(spectra[::4], each).max((1, 2, 3)).sum()
    )
    scores = _scores(spectra, known)
    energy = np.maximum((small**2).sum((1, 2)), 1e-6)
    x, y, squash, score = np.array([_peak(row) for row in scores]).T
    as_field = (each.astype(np.float32) for each in (2 * x, 2 * y, squash))
    return (*as_field, score / energy, known.blur)


def _scores(spectra: NDArray[np.complexfloating], known: Outlines) -> Field:
    """What an outline [K] at a place explains of the energy of each frame [T, K, y, x]."""
    half = SIDE // 2
    likeness = np.fft.irfft2(spectra[:, None] * known.spectra, s=(half, half))
    scores = (2 * likeness - known.energy[:, None, None]).astype(np.float32, copy=False)
    scores[:, :, : HIGHEST // 2] = -np.inf
    return scores


def _peak(scores: Field) -> tuple[float, float, float, float]:
    kind, row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    y = row + _summit(scores[kind, :, column], row)
    x = column + _summit(scores[kind, row], column)
    look, pose = divmod(int(kind), len(POSES))
    squash = POSES[pose][0]
    if pose < len(SQUASHES):
        alike = scores[look * len(POSES) : look * len(POSES) + len(SQUASHES), row, column]
        squash += _summit(alike, np.intp(pose)) * (SQUASHES[1] - SQUASHES[0])
    return float(x), float(y), float(squash), float(scores[kind, row, column])


def _summit(values: Field, at: np.intp) -> float:
    """The top of the parabola through a maximum and its neighbours, -0.5..0.5 away from it."""
    if not 0 < at < len(values) - 1 or not np.isfinite(values[at - 1 : at + 2]).all():
        return 0.0
    before, here, after = (float(each) for each in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else 0.5 * (before - after) / bend


def _arms(difference: Field, body: Pose) -> Doubles:  # [T] in 0..1
    """How far the arm is raised: how a figure, which is the same on both sides, then differs.

    Each raised arm is drawn over the mirrored other side in the colour of the robe, and the one
    with the least error is taken; so hair where an arm may be is no arm.
    """
    robe = robe_cover(body)
    size = np.maximum(robe.sum((1, 2)), 1)[:, None]
    colour = (np.einsum("thw,thwc->tc", robe, difference) / size)[:, None, None]
    arms = np.stack([arm_cover(body, arm) for arm in ARMS])  # [A, T, H, W]
    counts = arms.max(0) * (1 - body_cover(body, wider=0.5))
    hanging = np.clip(1 - arms[0], 0, 1)[..., None]
    other = _mirrored(difference, body.x) * hanging
    errors = np.stack(
        [
            (counts[..., None] * (other + arm[..., None] * (colour - other) - difference) ** 2).sum(
                (1, 2, 3)
            )
            for arm in arms
        ],
        axis=1,
    )
    best = errors.argmin(1)
    fine = [at + _summit(-row, at) for row, at in zip(errors, best, strict=True)]
    return np.clip(np.array(fine) / (len(ARMS) - 1), 0, 1)


def _mirrored(pictures: Field, middle: Field) -> Field:
    """Left and right of a column per frame changed, which may lie between two pixels."""
    place = np.clip(2 * middle[:, None] - np.arange(SIDE), 0, SIDE - 1)  # [T, W]
    low = np.floor(place).astype(int)
    part = (place - low)[:, None, :, None]
    frame = np.arange(len(pictures))[:, None]
    before = pictures[frame, :, low].swapaxes(1, 2)
    after = pictures[frame, :, np.minimum(low + 1, SIDE - 1)].swapaxes(1, 2)
    mirrored: Field = (before + part * (after - before)).astype(np.float32)
    return mirrored


def _recognised(ways: Doubles) -> tuple[str, float, float, Doubles]:
    """The action with the least error: name, share of its way, relative error, rest [T, 4]."""
    seen = ways * PIXELS
    nothing = float((seen**2).sum())
    fits = []
    for action in ACTIONS:
        for stop in STOPS:
            whole = way(action, progress_until(action, float(stop))) * PIXELS
            far = float(np.clip((whole * seen).sum() / max((whole**2).sum(), 1e-9), 0, 1.2))
            rest = seen - far * whole
            fits.append((float((rest**2).sum()), action, far * float(stop), rest / PIXELS))
    error, action, movement, rest = min(fits, key=lambda each: each[0])
    return action, movement, error / max(nothing, 1e-9), rest
