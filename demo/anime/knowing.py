"""Who stands where in which scene: what a start image fixes, found in its pixels."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.anime.cast import CAST, SIDE, Field, Layer, figure
from demo.anime.moving import PLACES, Start, still
from demo.anime.recipes import CHARACTERS, SCENES
from demo.anime.scenery import scenery
from formats.errors import FormatError

STRANGE: Final = 25.0  # RMS levels; the autoencoder and a codec together cost about 9
_FREE: Final = np.abs(np.arange(SIDE) - (SIDE - 1) / 2) > 22.0  # columns without anybody
_POSSIBLE: Final = (SIDE - 1) / 2 + np.linspace(-PLACES, PLACES, 25)


@dataclass(frozen=True, slots=True)
class Known:
    """What is fixed before a clip begins."""

    character: str
    scene: str
    start: Start

    def scenery(self, scene: str) -> Field:
        """A scene, seen from the side of this clip."""
        return scenery(scene, mirrored=self.start.mirrored)


def know(start_image: NDArray[np.uint8]) -> Known:
    """See a start image: uint8 [64, 64, 3]; FormatError if it is none of the anime world."""
    if start_image.shape != (SIDE, SIDE, 3) or start_image.dtype != np.uint8:
        raise ValueError(
            f"expected a start image, uint8 of shape {(SIDE, SIDE, 3)}, "
            f"got {start_image.dtype} of shape {start_image.shape}"
        )
    return _know(start_image.tobytes())


@lru_cache(maxsize=1024)
def _know(pixels: bytes) -> Known:
    picture = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE, 3).astype(np.float32)
    scene, mirrored = min(
        ((scene, mirrored) for scene in SCENES for mirrored in (False, True)),
        key=lambda each: _error(picture, scenery(each[0], mirrored=each[1]), free=True),
    )
    back = scenery(scene, mirrored=mirrored)
    found = [_nearest(picture, back, name) for name in CHARACTERS]
    error, place, character = min(found)
    if error > STRANGE**2:
        raise FormatError(
            "the start image shows nobody of the anime world; expected one that its `start_image`"
            " draws"
        )
    return Known(character, scene, Start(place, mirrored))


def _error(picture: Field, other: Field, *, free: bool = False) -> float:
    difference = picture - other
    return float(((difference[:, _FREE] if free else difference) ** 2).mean())


def _nearest(picture: Field, back: Field, character: str) -> tuple[float, float, str]:
    """The place where this character fits best, and its mean squared error."""
    errors = ((_everywhere(character).over(back) - picture) ** 2).mean(axis=(1, 2, 3))
    return float(errors.min()), float(_POSSIBLE[errors.argmin()]), character


@cache
def _everywhere(character: str) -> Layer:
    """A character at every place where one may start."""
    return figure(CAST[character], still(_POSSIBLE))
