"""Does something stand still in a clip whose picture moves around it: a watermark, a logo, a text?

No weights. What is drawn over a clip has the same edges in every frame, wherever the picture below
goes. So: edges that persist, in a small patch near the rim, with movement all around it.

What it cannot see: an overlay where the picture does not move (scenery has persistent edges, too),
in the middle, over more than an eighth of the picture, or fainter than a few grey levels. And a
thing near the rim that the camera follows looks the same as an overlay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from annotation.errors import MediaError
from annotation.media.probing import open_clip

GRID: Final = 16  # cells of the map of movement, along each side
_FRAMES: Final = 16  # that are looked at, evenly spread
_LEAST_FRAMES: Final = 4
_SIDE: Final = 256  # of the small copy that is looked at
_EDGE: Final = 5.0  # grey levels per pixel
_STEADY: Final = 0.35  # of an edge's strength it may change from frame to frame
_MOVES: Final = 4.0  # grey levels away from the middle picture; codecs stay below
_OFTEN: Final = 0.3  # of the frames
_BLUR: Final = 1.0  # pixels
_ALL_AROUND: Final = 0.6  # of the ring around a patch must move
_LARGEST: Final = 0.125  # of the picture
_LEAST_EDGE: Final = 12  # pixels
_CORNERED: Final = 0.1  # edges across the main direction; a bar that moves along itself has none
_RIM: Final = 0.3  # of the width or height, from either end
_SAME_PLACE: Final = 0.2  # intersection over union

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Box:
    """A patch, in shares of width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Intersection over union."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(0.0, width) * max(0.0, height)
        return shared / (self.area + other.area - shared) if shared else 0.0

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Overlays:
    """`boxes`: patches that stand still while all around them moves. `moving`: which cells of a
    GRID x GRID map of the picture move, row by row; there an overlay would be seen."""

    boxes: tuple[Box, ...]
    moving: tuple[bool, ...]

    @property
    def visible(self) -> float:
        """The share of the rim on which an overlay would be seen."""
        rim = _rim_cells()
        return sum(moves for moves, at in zip(self.moving, rim, strict=True) if at) / sum(rim)

    def shows(self, box: Box) -> bool:
        """Whether the picture moves where the box is."""
        cells = np.array(self.moving).reshape(GRID, GRID)
        rows = slice(int(box.top * GRID), max(int(np.ceil(box.bottom * GRID)), 1))
        columns = slice(int(box.left * GRID), max(int(np.ceil(box.right * GRID)), 1))
        return bool(cells[rows, columns].mean() >= 0.5)

    def to_json(self) -> dict[str, Any]:
        """As the bounded child says it: plain values, the map as text."""
        boxes = [[each.left, each.top, each.right, each.bottom] for each in self.boxes]
        return {"boxes": boxes, "moving": "".join("01"[cell] for cell in self.moving)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "Overlays":
        moving = tuple(cell == "1" for cell in said["moving"])
        return cls(tuple(Box(*each) for each in said["boxes"]), moving)


def _rim_cells() -> list[bool]:
    places = (np.arange(GRID) + 0.5) / GRID
    near = (places < _RIM) | (places > 1 - _RIM)
    found: list[bool] = (near[:, None] | near[None, :]).ravel().tolist()
    return found


def one_sided(one: Overlays, other: Overlays) -> Box | None:
    """An overlay of either clip that the other clearly lacks: its picture moves there."""
    for mine, theirs in ((one, other), (other, one)):
        for box in mine.boxes:
            shared = any(box.overlap(each) >= _SAME_PLACE for each in theirs.boxes)
            if not shared and theirs.shows(box):
                return box
    return None


def overlays_of(path: Path) -> Overlays:
    """Look at a clip. MediaError for a file that is none."""
    return find_overlays(_grey_frames(path))


def _grey_frames(path: Path) -> Floats:  # [T, h, w], 0 to 255
    with open_clip(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        resize = VideoReformatter()
        try:
            frames = [_small(each, resize) for each in container.decode(stream)]
        except (av.FFmpegError, ValueError, OSError) as error:
            raise MediaError(f"the clip {path} cannot be read as a video: {error}") from None
    if not frames:
        raise MediaError(f"the clip {path} has no frame that can be decoded")
    kept = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
    return np.stack([frames[at] for at in kept]).astype(float)


def _small(frame: VideoFrame, resize: VideoReformatter) -> npt.NDArray[np.uint8]:
    scale = min(1.0, _SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
    small = resize.reformat(frame, width, height, "gray", interpolation=Interpolation.AREA)
    return small.to_ndarray().astype(np.uint8, copy=False)


def find_overlays(grey: Floats) -> Overlays:
    """`grey`: [T, h, w], 0 to 255. Fewer than four frames show nothing."""
    if len(grey) < _LEAST_FRAMES:
        return Overlays((), (False,) * GRID**2)
    moves = _moving(_without_flicker(grey))
    return Overlays(tuple(_boxes(_persistent(grey), moves)), _cells(moves))


def _moving(grey: Floats) -> Mask:
    """Where the picture is another one in a good part of the frames.

    Noise is smoothed away, and a thing that passes once leaves the middle picture as it was.
    """
    from scipy import ndimage  # large, and a page only reads what was found

    smooth = ndimage.gaussian_filter(grey, (0, _BLUR, _BLUR))
    away = np.abs(smooth - np.median(smooth, axis=0)) > _MOVES
    found: Mask = away.mean(axis=0) >= _OFTEN
    return found


def _without_flicker(grey: Floats) -> Floats:
    """What is left of each frame when the mean picture, brighter or darker, is taken away."""
    mean = grey.mean(axis=0)
    centred = mean - mean.mean()
    level = grey.mean(axis=(1, 2))[:, None, None]
    power = (centred**2).sum() or 1.0
    contrast = ((grey - level) * centred).sum(axis=(1, 2))[:, None, None] / power
    rest: Floats = grey - level - contrast * centred
    return rest


@dataclass(frozen=True, slots=True)
class _Edges:
    """The middle gradient over time where it persists, and 0 elsewhere; each [h, w]."""

    down: Floats
    across: Floats

    def are_cornered(self, patch: Mask) -> bool:
        """Whether they go in more than one direction, as those of letters and logos do."""
        down, across = self.down[patch], self.across[patch]
        both = (down * across).sum()
        tensor = np.array([[(down**2).sum(), both], [both, (across**2).sum()]])
        least, most = np.linalg.eigvalsh(tensor)
        return bool(least >= _CORNERED * most)


def _persistent(grey: Floats) -> _Edges:
    """Edges that have the same strength and direction in every frame."""
    down, across = np.gradient(grey, axis=(1, 2))
    middle_down, middle_across = np.median(down, axis=0), np.median(across, axis=0)
    strength = np.hypot(middle_down, middle_across)
    change = np.hypot(down - middle_down, across - middle_across)
    # In nine of ten frames: an edge of the picture may pass below once.
    steady = np.quantile(change, 0.9, axis=0) <= _STEADY * strength
    kept = steady & (strength > _EDGE)
    return _Edges(np.where(kept, middle_down, 0.0), np.where(kept, middle_across, 0.0))


def _boxes(edges: _Edges, moves: Mask) -> Sequence[Box]:
    from scipy import ndimage

    height, width = moves.shape
    reach = max(2, round(0.02 * max(height, width)))  # letters of one text belong together
    there = (edges.down != 0) | (edges.across != 0)
    patches, count = ndimage.label(ndimage.binary_dilation(there, iterations=reach))
    found = []
    for place, window in enumerate(ndimage.find_objects(patches, count), start=1):
        box, patch = _box(window, height, width), patches == place
        if box.area > _LARGEST or not _at_rim(box):
            continue
        ring = ndimage.binary_dilation(patch, iterations=reach) & ~patch
        enough = (there & patch).sum() >= _LEAST_EDGE and edges.are_cornered(patch)
        if enough and moves[ring].mean() >= _ALL_AROUND:
            found.append(box)
    return found


def _box(window: tuple[slice, slice], height: int, width: int) -> Box:
    rows, columns = window
    return Box(columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)


def _at_rim(box: Box) -> bool:
    middles = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    return any(each < _RIM or each > 1 - _RIM for each in middles)


def _cells(moves: Mask) -> tuple[bool, ...]:
    height, width = moves.shape
    rows = np.minimum(np.arange(height) * GRID // height, GRID - 1)
    columns = np.minimum(np.arange(width) * GRID // width, GRID - 1)
    cells = (rows[:, None] * GRID + columns[None, :]).ravel()
    count = np.bincount(cells, minlength=GRID**2)
    moving = np.bincount(cells, weights=moves.ravel(), minlength=GRID**2)
    share = moving / np.maximum(count, 1)
    found: list[bool] = (share >= 0.5).tolist()
    return tuple(found)
