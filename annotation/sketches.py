"""A clip as a few small pictures: enough to tell how different two clips look, without weights.

The same cells as `models_align/watching/spread.py` compares while a generator trains. Knows neither
Django nor the database: it also runs in the bounded child (`bounded_child`).
"""

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np
import numpy.typing as npt

from annotation.errors import MediaError
from annotation.probing import open_clip

CELLS: Final = 16  # along each side: noise and small details are no diversity
FRAMES: Final = 16  # at most, evenly spread
_STEPS: Final = 257  # of a cell, from one grey level to the next, in a kept sketch

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sketch:
    """`cells`: [T, 16, 16, 3], means of what lies in each cell, 0 to 255."""

    cells: Floats

    def distance(self, other: "Sketch") -> float:
        """Mean absolute difference in percent of the range. A longer clip is thinned."""
        count = min(len(self.cells), len(other.cells))
        mine, theirs = (each.cells[_spread_over(len(each.cells), count)] for each in (self, other))
        return float(100 * np.abs(mine - theirs).mean() / 255)

    def to_json(self) -> dict[str, Any]:
        """As the bounded child says it."""
        packed = np.round(self.cells * _STEPS).astype("<u2").tobytes()
        return {"cells": base64.b64encode(packed).decode(), "frames": len(self.cells)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        packed = np.frombuffer(base64.b64decode(said["cells"]), dtype="<u2")
        return cls(packed.reshape(said["frames"], CELLS, CELLS, 3) / _STEPS)


def spread(sketches: Sequence[Sketch]) -> float:
    """Mean distance over all pairs of clips; ValueError for fewer than two."""
    if len(sketches) < 2:
        raise ValueError("the spread of clips needs two of them at least")
    pairs = list(itertools.combinations(sketches, 2))
    return sum(one.distance(other) for one, other in pairs) / len(pairs)


def sketch_of(path: Path) -> Sketch:
    """MediaError for a file that is no clip."""
    with open_clip(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        try:
            frames = [
                cells_of(each.to_ndarray(format="rgb24")) for each in container.decode(stream)
            ]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise MediaError(f"the clip {path} cannot be read as a video: {error}") from None
    if not frames:
        raise MediaError(f"the clip {path} has no frame that can be decoded")
    kept = _spread_over(len(frames), min(FRAMES, len(frames)))
    return Sketch(np.stack([frames[at] for at in kept]))


def cells_of(picture: npt.NDArray[Any]) -> Floats:  # [H, W, 3] -> [16, 16, 3]
    """Means over cells, which share a row or column of pixels where the size does not divide."""
    summed = np.zeros((picture.shape[0] + 1, picture.shape[1] + 1, 3))
    summed[1:, 1:] = picture.cumsum(0, dtype=float).cumsum(1)
    (top, bottom), (left, right) = (_ends(side) for side in picture.shape[:2])
    inside = summed[bottom][:, right] - summed[top][:, right]
    inside -= summed[bottom][:, left] - summed[top][:, left]
    found: Floats = inside / ((bottom - top)[:, None, None] * (right - left)[None, :, None])
    return found


def _ends(side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    places = np.arange(CELLS, dtype=np.int64)
    return places * side // CELLS, -(-(places + 1) * side // CELLS)


def _spread_over(length: int, count: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, length - 1, count).round().astype(np.int64)
