"""Finds in the pixels of a clip what a recipe of the anime world would have said.

Four steps, each in a module of its own: what the start image fixes, the background of each frame,
the figure's way and action, and how it is drawn. Constants called *floor* and *slope* undo what the
video autoencoder does to a clip without that defect; they were read off on renders of seed 7.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.backdrop import drift, find_backdrop
from demo.anime.drawing import BLUR_PIXELS, FLICKER_LEVELS, STAIN_LEVELS, TINT_LEVELS, Frames
from demo.anime.knowing import know
from demo.anime.matching import easel, find_symbol, recognise, stain_levels
from demo.anime.moving import SHAKE_PIXELS
from demo.anime.tracking import Track, follow

STILL: Final = 0.03  # share of a way that is no movement yet
# Slope and floor of the way that is seen, by action.
_WAYS: Final = {
    "walks left": (0.94, 0.02),
    "walks right": (0.96, 0.0),
    "jumps": (0.91, 0.01),
    "ducks": (0.86, -0.07),
    "waves": (1.1, -0.05),
    "dances": (0.91, 0.01),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What a clip shows. Strengths are in 0..1, like those of a recipe."""

    character: str
    scene: str
    action: str
    movement: float  # share of the action's whole way
    doubt: float  # how little any action explains
    emote: str
    emote_there: float  # about 1, or 0 where no symbol came up
    shake: float
    flicker: float
    blur: float
    stains: float
    tint: float
    moving_scene: float
    morph: float
    fading: float
    presence: float  # how much of an outline is there, about 0.6 to 1 for a whole figure
    misfit: float  # share of the figure that nobody of the cast explains
    strange: float  # levels that the background changed, and no scene or tint explains


def look(frames: Frames, start_image: NDArray[np.uint8]) -> Sight:
    """See a clip, uint8 [9, 64, 64, 3], that was to begin with a start image [64, 64, 3]."""
    clip, known = frames.astype(np.float32), know(start_image)
    backdrop = find_backdrop(clip, known)
    difference = clip - backdrop.pictures
    track = follow(difference, known.start)
    on = easel(difference, track.pose, backdrop)
    likeness = recognise(on, known, track.blur)
    emote, there = find_symbol(clip, backdrop, likeness.sigma)
    stained = stain_levels(clip, on, backdrop, likeness.sigma)
    return Sight(
        character=known.character,
        scene=known.scene,
        action=track.action,
        movement=_movement(track),
        doubt=track.doubt,
        emote=emote,
        emote_there=there,
        shake=_unit(track.shake / SHAKE_PIXELS, floor=0.1, slope=0.78),
        flicker=_unit(float(backdrop.light.std()) / FLICKER_LEVELS),
        blur=_unit((likeness.sigma / BLUR_PIXELS) ** (4 / 3), floor=0.14, slope=0.86),
        stains=_unit(stained / STAIN_LEVELS, floor=0.02, slope=0.84),
        tint=_unit(drift(backdrop.tint.ravel()) / np.sqrt(3) / TINT_LEVELS),
        moving_scene=_unit(drift(backdrop.shares)),
        morph=_unit(drift(likeness.morphed)),
        fading=_unit(drift(likeness.faded), floor=0.05, slope=0.87),
        presence=float(track.likeness.mean()),
        misfit=likeness.misfit,
        strange=backdrop.strange,
    )


def _movement(track: Track) -> float:
    """The share of the way, without what outlines lose of each action."""
    if track.movement < STILL:
        return track.movement
    slope, floor = _WAYS[track.action]
    return _unit(track.movement, floor=floor, slope=slope)


def _unit(value: float, *, floor: float = 0.0, slope: float = 1.0) -> float:
    return float(np.clip((value - floor) / slope, 0, 1))
