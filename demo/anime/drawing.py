"""Draws a recipe of the anime world: numpy only, no assets. Equal recipes give equal pixels.

The first frame of a clip without defects is its start image. Colours leave room at both ends of
the scale, so that flicker, tint and stains are added and never cut off.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.cast import CAST, SIDE, Field, Layer, Look, Pose, figure
from demo.anime.moving import FRAMES, Start, pose_of, start_of, still
from demo.anime.recipes import CHARACTERS, SCENES, AnimeDefects, AnimeFacts, AnimeRecipe
from demo.anime.scenery import scenery, symbol

__all__ = ["FPS", "FRAMES", "SIDE", "Frames", "render", "start_image"]

FPS: Final = 8

# What a strength of 1 means.
BLUR_PIXELS: Final = 3.5  # sigma
STAIN_LEVELS: Final = 24.0  # RMS, of 255
FLICKER_LEVELS: Final = 24.0  # RMS, of 255
TINT_LEVELS: Final = 34.0  # RMS over the colours, at the end of the clip

RAMP: Final = np.linspace(
    0, 1, FRAMES, dtype=np.float32
)  # what drifts or morphs begins at the first frame
SYMBOL_RAMP: Final = np.clip((np.arange(FRAMES) - 1) / 3, 0, 1)
TINTS: Final = (  # orthogonal to brightness, which flickers
    (1.22474487, 0.0, -1.22474487),
    (-1.22474487, 0.0, 1.22474487),
    (0.70710678, -1.41421356, 0.70710678),
    (-0.70710678, 1.41421356, -0.70710678),
)

Frames = NDArray[np.uint8]  # [9, 64, 64, 3]


def start_image(facts: AnimeFacts, seed: int) -> NDArray[np.uint8]:  # [64, 64, 3]
    """The first frame of a prompt: its character in its scene. What is told later has no part."""
    start = start_of(seed)
    back = scenery(facts.scene, mirrored=start.mirrored)
    return _as_pixels(figure(CAST[facts.character], still([start.x])).over(back))[0]


def render(recipe: AnimeRecipe) -> Frames:
    rng = np.random.default_rng(recipe.seed)
    shown, defects, start = recipe.shown, recipe.defects, start_of(recipe.start)
    # All chance is drawn, used or not: one strength never changes what another one does.
    other = str(rng.choice([name for name in CHARACTERS if name != shown.character]))
    place = str(rng.choice([name for name in SCENES if name != shown.scene]))
    tint = np.array(TINTS[int(rng.integers(len(TINTS)))], np.float32)
    pose = pose_of(shown.action, defects, start, rng)
    back = _drifting(shown.scene, place, start, defects)
    layer = _changing(CAST[shown.character], CAST[other], pose, defects)
    frames = _with_symbol(layer.over(back), shown.emote)
    frames = blurred(frames, BLUR_PIXELS * defects.blur**0.75)
    frames = frames + np.float32(TINT_LEVELS * defects.tint) * RAMP[:, None, None, None] * tint
    return _as_pixels(frames + stains(defects.stains, rng) + flicker(defects.flicker, rng))


def _drifting(scene: str, other: str, start: Start, defects: AnimeDefects) -> Field:
    """The scene of the first frame, turning into another one."""
    first = scenery(scene, mirrored=start.mirrored)
    last = scenery(other, mirrored=start.mirrored)
    share = (defects.moving_scene * RAMP)[:, None, None, None]
    return (first + share * (last - first)).astype(np.float32)


def _changing(look: Look, other: Look, pose: Pose, defects: AnimeDefects) -> Layer:
    """The character, turning into another one or losing all that makes it one."""
    drawn = figure(look, pose)
    if not (defects.morph or defects.fading):
        return drawn
    whole = max(1e-6, defects.morph + defects.fading)
    wrong = figure(other, pose).mixed(
        figure(look, pose, plain=True), np.full(FRAMES, defects.fading / whole, np.float32)
    )
    return drawn.mixed(wrong, (min(1.0, whole) * RAMP).astype(np.float32))


def _with_symbol(frames: Field, emote: str) -> Field:
    paint, cover = symbol(emote)
    there = SYMBOL_RAMP[:, None, None].astype(np.float32)
    return frames + there[..., None] * (paint - cover[..., None] * frames)


@cache
def blur_matrix(sigma: float, side: int = SIDE) -> Field:  # [side, side], rows sum to 1
    place = np.arange(side)
    weights = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    matrix: Field = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return matrix


def blurred(frames: Field, sigma: float) -> Field:  # [..., H, W, C]
    if sigma < 0.3:  # below a third of a pixel nothing would change
        return frames
    matrix = blur_matrix(round(sigma, 1), frames.shape[-2])
    # Plain products of matrices: einsum would copy the axes apart, and take ten times as long.
    rows = matrix @ frames.reshape(*frames.shape[:-2], -1)
    found: Field = matrix @ rows.reshape(frames.shape)
    return found


def stains(strength: float, rng: np.random.Generator) -> Field | float:
    """Spots that stand still; every 16 x 16 pixels keep their mean colour, so nothing drifts."""
    coarse = rng.normal(size=(17, 17, 3))
    if not strength:
        return 0.0
    coarse = 0.8 * coarse[..., :1] + 0.6 * coarse
    spots = np.einsum("hi,ijc,wj->hwc", _stretch(), coarse, _stretch(), optimize=True)
    tiles = spots.reshape(4, 16, 4, 16, 3)
    spots = (tiles - tiles.mean(axis=(1, 3), keepdims=True)).reshape(SIDE, SIDE, 3)
    scaled: Field = (STAIN_LEVELS * strength * spots / spots.std()).astype(np.float32)
    return scaled


@cache
def _stretch() -> Field:  # [64, 17]: linear interpolation of a coarse grid
    place = np.linspace(0, 16, SIDE)[:, None]
    return np.clip(1 - np.abs(place - np.arange(17)), 0, 1).astype(np.float32)


def flicker(strength: float, rng: np.random.Generator) -> Field:
    """Brightness per frame: two levels without a trend, because a trend would be a drift."""
    wave = np.array([1.0, -1.0] * 4 + [1.0]) * np.where(rng.random(FRAMES) < 0.25, -1.0, 1.0)
    wave = wave - wave.mean()
    wave = wave / max(float(np.sqrt((wave**2).mean())), 1e-6)
    return (FLICKER_LEVELS * strength * wave).astype(np.float32).reshape(-1, 1, 1, 1)


def _as_pixels(frames: Field) -> NDArray[np.uint8]:
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)
