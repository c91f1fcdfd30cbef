"""Finds in the pixels of a clip what a recipe would have said: facts, and strengths of defects.

Four steps: the colour of the background in each frame (the median); the figure as what differs
most from it; its track, fitted as "moves evenly, then stops"; and the mean of all frames moved onto
that track, compared with ideal figures. Constants called *floor* and *slope* undo what the video
autoencoder does to a clip without that defect; they were read off on renders of seed 7.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.drawing import (
    BACKDROP,
    BLOTCH_LEVELS,
    ECHO_DISTANCE,
    ECHO_OPACITY,
    FLICKER_LEVELS,
    FROZEN_SHARE,
    GREY,
    JITTER_PIXELS,
    PALETTE,
    RADIUS,
    SIDE,
    SPEED,
    STEP,
    TRAVEL,
    WASHED_SHARE,
    Field,
    Frames,
    figures,
)
from demo.recipes import COUNTS, SHAPES, Facts
from demo.templates import (
    MIDDLE,
    centre_of_mass,
    halved,
    places,
    shifted,
    templates,
)

FIGURE_SHARE: Final = 0.03  # of the pixels: less than any figure covers, so all of it is figure
# Steps at half resolution that do not cross a border of a block of 8 pixels.
INSIDE_BLOCKS: Final = np.arange(SIDE // 2 - 1) % 4 != 3


@dataclass(frozen=True, slots=True)
class Scene:
    back: Field  # [T, 3], the colour of the background per frame
    steady: Field  # [T, H, W, 3], the clip less that colour
    difference: Field  # [3], the colour of the figure less that of the background
    mask: Field  # [T, H, W], about 1 inside the figure and 0 outside


@dataclass(frozen=True, slots=True)
class Track:
    places: Field  # [T, 2] as x, y
    travel: float  # pixels from the first frame to the last
    direction: str
    shake: float  # RMS per axis in pixels of what even movement does not explain


@dataclass(frozen=True, slots=True)
class Figure:
    shape: str
    count: str
    echo: float  # opacity of the ghost
    gain: float  # height of the mask once blur is accounted for
    misfit: float  # 1 - cos^2 of the angle to the nearest ideal figure


@dataclass(frozen=True, slots=True)
class Sight:
    """What a clip shows. Strengths are in 0..1, like those of a recipe."""

    facts: Facts
    detail_lost: float  # blur and blocks together
    noise: float
    washed: float
    jitter: float
    flicker: float
    freezing: float
    ghosting: float
    travel: float  # pixels from the first frame to the last
    contrast: float  # levels between figure and background
    misfit: float  # how far the figure is from every ideal one


def look(frames: Frames) -> Sight:
    """See a clip: uint8 [9, 64, 64, 3]."""
    scene = _segment(frames)
    track = _follow(scene.mask)
    figure = _recognise(scene.mask, track)
    background, colour, washed = _name_colours(scene, figure.gain)
    facts = Facts(colour, figure.shape, figure.count, background, track.direction)
    return Sight(
        facts=facts,
        detail_lost=_unit(_sharpness(scene, track, facts, washed), floor=0.96, slope=-0.78),
        noise=_unit(_stains(scene, track, figure, facts) / BLOTCH_LEVELS, floor=0.05, slope=0.9),
        washed=_unit(washed / WASHED_SHARE),
        jitter=_unit(track.shake / JITTER_PIXELS, floor=0.06, slope=0.9),
        flicker=_unit(float(scene.back.std(0).max()) / FLICKER_LEVELS),
        freezing=_unit((1 - track.travel / TRAVEL) / FROZEN_SHARE, floor=0.03, slope=0.96),
        ghosting=_unit(figure.echo / ECHO_OPACITY, slope=0.72),
        travel=track.travel,
        contrast=figure.gain * float(np.linalg.norm(scene.difference)),
        misfit=figure.misfit,
    )


def _unit(value: float, *, floor: float = 0.0, slope: float = 1.0) -> float:
    return float(np.clip((value - floor) / slope, 0, 1))


def _segment(frames: Frames) -> Scene:
    clip = frames.astype(np.float32)
    back = np.median(clip.reshape(len(clip), -1, 3), axis=1)
    steady = clip - back[:, None, None]
    distance = np.abs(steady).sum(-1)
    figure = distance >= np.quantile(distance, 1 - FIGURE_SHARE)
    difference = steady[figure].mean(0)
    mask: Field = steady @ difference / max(float(difference @ difference), 1.0)
    return Scene(back, steady, difference, mask)


def _follow(mask: Field) -> Track:
    """Least squares of `start + velocity * min(t, stop)` over all stops."""
    track = centre_of_mass(np.maximum(mask - 0.35, 0))
    time = np.arange(len(track))
    fits = [_even_movement(track, np.minimum(time, stop)) for stop in np.arange(1, 8.01, 0.5)]
    _, travel, rest = min(fits, key=lambda fit: fit[0])
    direction = max(STEP, key=lambda name: float(travel @ np.array(STEP[name])))
    # Two parameters per axis were fitted.
    shake = float(np.sqrt((rest**2).sum() / 2 / (len(track) - 2)))
    return Track(track, float(np.hypot(*travel)), direction, shake)


def _even_movement(
    track: Field, progress: NDArray[np.floating]
) -> tuple[float, NDArray[np.floating], NDArray[np.floating]]:
    design = np.stack([np.ones_like(progress), progress], axis=1)
    found = np.linalg.lstsq(design, track, rcond=None)[0]
    rest = track - design @ found
    # One jump and then rest is shaking, not very fast movement.
    too_fast = max(0.0, float(np.hypot(*found[1])) - 1.15 * SPEED) * progress[-1]
    return float((rest**2).sum() + too_fast**2), found[1] * progress[-1], rest


def _recognise(mask: Field, track: Track) -> Figure:
    """Compare the mean of the frames, moved onto the track, with every ideal figure."""
    bounded = np.clip(mask, -0.2, 1.5)
    moved = [
        shifted(frame, MIDDLE - x, MIDDLE - y)
        for frame, (x, y) in zip(bounded, track.places, strict=True)
    ]
    seen = halved(np.mean(moved, axis=0)).ravel()
    known = templates(track.direction)
    likeness = known.pictures @ seen
    misfit = 1 - np.clip(likeness / max(float(np.linalg.norm(seen)), 1e-6), 0, 1) ** 2
    # A soft choice: the grid is coarse, and neighbours share the vote.
    weight = np.exp(-(misfit - misfit.min()) / 0.004)
    weight /= weight.sum()
    return Figure(
        shape=SHAPES[np.bincount(known.shape, weight).argmax()],
        count=COUNTS[np.bincount(known.count, weight).argmax()],
        echo=float(weight @ known.echo),
        gain=float(weight @ (likeness / known.norms)),
        misfit=float(misfit.min()),
    )


def _name_colours(scene: Scene, gain: float) -> tuple[str, str, float]:
    """The nearest background and colour of the palette, both mixed with one share of grey."""
    back = scene.back.mean(0)
    seen = np.concatenate([back, back + gain * scene.difference]) - GREY
    found = []
    for background, under in BACKDROP.items():
        for colour, over in PALETTE.items():
            pure = np.array([*under, *over]) - GREY
            kept = float(np.clip(seen @ pure / (pure @ pure), 0.1, 1))
            found.append((float(((seen - kept * pure) ** 2).sum()), background, colour, 1 - kept))
    _, background, colour, washed = min(found)
    return background, colour, washed


def _sharpness(scene: Scene, track: Track, facts: Facts, washed: float) -> float:
    """The steepest steps inside blocks, as a share of those that a perfect generator would draw."""
    centres = places(track.places, facts.count, facts.direction)
    ideal = _as_generated(figures(facts.shape, centres, RADIUS), scene.difference)
    asked = np.linalg.norm(np.array(PALETTE[facts.colour]) - np.array(BACKDROP[facts.background]))
    height = float(np.linalg.norm(scene.difference) / asked) / (1 - min(washed, 0.8))
    steps, wanted = _steepest(scene.mask), np.maximum(_steepest(ideal), 1e-3)
    return float((steps / wanted).mean()) * height


def _as_generated(mask: Field, difference: Field) -> Field:  # [T, H, W]
    """The mask as sharp as the video autoencoder can draw it in this colour."""
    # Here, because annotators who know every recipe never need torch.
    from demo.dct_vae import low_passed

    size = max(float(difference @ difference), 1e-6)
    drawn = low_passed(mask[..., None] * difference)
    return (drawn @ (difference / size)).astype(np.float32, copy=False)


def _steepest(mask: Field, count: int = 80) -> Field:  # [T]
    # At half resolution: files keep colour at half resolution, and would add steps of their own.
    mask = np.stack([halved(frame) for frame in mask])
    across = np.diff(mask, axis=2)[:, :, INSIDE_BLOCKS].reshape(len(mask), -1)
    down = np.diff(mask, axis=1)[:, INSIDE_BLOCKS].reshape(len(mask), -1)
    steps = np.sort(np.abs(np.concatenate([across, down], axis=1)), axis=1)[:, -count:]
    steepest: Field = np.sqrt((steps**2).mean(1))
    return steepest


def _stains(scene: Scene, track: Track, figure: Figure, facts: Facts) -> float:
    """RMS in levels of what stands still where no figure ever comes."""
    centres = places(track.places, facts.count, facts.direction)
    covered = figures(facts.shape, centres, RADIUS + 7).max(0)
    if figure.echo > 0.1 * ECHO_OPACITY:
        behind = centres - ECHO_DISTANCE * np.array(STEP[facts.direction], np.float32)
        covered = np.maximum(covered, figures(facts.shape, behind, RADIUS + 5).max(0))
    free = np.median(scene.steady, axis=0)[covered == 0]
    if len(free) < SIDE:  # the figure went everywhere: a clip without any quiet place
        return BLOTCH_LEVELS
    # 68 % of normal noise lies within one sigma; ringing around the figure does not move that.
    spread = np.quantile(np.abs(free - np.median(free, axis=0)), 0.68, axis=0)
    return float(np.sqrt((spread**2).mean()))
