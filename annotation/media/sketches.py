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
from annotation.media.probing import open_clip

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
    """MediaError for a file that is no clip.

    Only the frames that are kept are made small. Which these are needs the number of all of them:
    where the container has said a wrong one, the file is read once more.
    """
    length, kept = _read(path, None)
    if len(kept) != min(FRAMES, length):
        length, kept = _read(path, length)
    if not kept:
        raise MediaError(f"the clip {path} has no frame that can be decoded")
    return Sketch(np.stack(kept))


def _read(path: Path, length: int | None) -> tuple[int, list[Floats]]:
    """How many frames there are, and the cells of those that are kept of so many.

    Without a length, what the container says is taken; nothing is kept where it was wrong.
    """
    with open_clip(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        said = stream.frames if length is None else length
        wanted = set(_spread_over(said, min(FRAMES, said)).tolist()) if said else set()
        count, kept = 0, []
        try:
            for frame in container.decode(stream):
                if count in wanted:
                    kept.append(cells_of(frame.to_ndarray(format="rgb24")))
                count += 1
        except (av.FFmpegError, ValueError, OSError) as error:
            raise MediaError(f"the clip {path} cannot be read as a video: {error}") from None
    return count, kept if count == said else []


def cells_of(picture: npt.NDArray[Any]) -> Floats:  # [H, W, 3] -> [16, 16, 3]
    """Means over cells, which share a row or column of pixels where the size does not divide."""
    height, width = picture.shape[:2]
    rows = [picture[top:end].mean(0, dtype=np.float64) for top, end in _ends(height)]
    lines = np.stack(rows)  # [16, W, 3]
    return np.stack([lines[:, left:end].mean(1) for left, end in _ends(width)], axis=1)


def _ends(side: int) -> list[tuple[int, int]]:
    """Where the cells along a side begin and end, as torch's adaptive pooling has them."""
    return [(at * side // CELLS, -(-(at + 1) * side // CELLS)) for at in range(CELLS)]


def _spread_over(length: int, count: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, length - 1, count).round().astype(np.int64)
