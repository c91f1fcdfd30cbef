"""From a file to the frames that a backbone sees: decode, sample, resize, keep.

A clip is decoded once per run: frames are kept after resizing, as bytes, under the hash of the
file and everything that decided them.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import VideoReformatter

from models_rm.errors import ClipUnreadableError


@dataclass(frozen=True, slots=True)
class FrameRule:
    """Which frames of a clip are taken, and how large. Part of what a reward means."""

    fps: float
    min_frames: int
    max_frames: int
    min_pixels: int
    max_pixels: int
    side_factor: int
    name: str = "even_linspace"


@dataclass(frozen=True, slots=True)
class Clip:
    """Sampled frames uint8 [T, 3, H, W] and the rate at which they were taken."""

    frames: torch.Tensor
    fps: float


def frame_count(duration: float, total: int, rule: FrameRule) -> int:
    """How many of `total` frames are taken: the wanted rate, rounded to an even number.

    Python's rounding (half to even), at least `min_frames`, at most `max_frames`, never more than
    there are; a short clip may so give an odd number (VideoAlign, vision_process.py).
    """
    even = round(duration * rule.fps / 2) * 2
    return min(max(even, rule.min_frames), rule.max_frames, total)


def frame_indices(total: int, count: int) -> list[int]:
    """`count` indices spread evenly over 0 .. total-1, both ends included."""
    return [int(index) for index in np.round(np.linspace(0, total - 1, count))]


def smart_resize(height: int, width: int, rule: FrameRule) -> tuple[int, int]:
    """Sides that are multiples of the factor, with an area inside the limits, aspect kept.

    As `smart_resize` of Qwen2-VL computes it, including its rounding.
    """
    factor = rule.side_factor
    high, wide = round(height / factor) * factor, round(width / factor) * factor
    if high * wide > rule.max_pixels:
        shrink = math.sqrt(height * width / rule.max_pixels)
        high = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif high * wide < rule.min_pixels:
        grow = math.sqrt(rule.min_pixels / (height * width))
        high = math.ceil(height * grow / factor) * factor
        wide = math.ceil(width * grow / factor) * factor
    return high, wide


def resized(frames: torch.Tensor, rule: FrameRule) -> torch.Tensor:
    """uint8 [T, 3, H, W] -> uint8 [T, 3, h, w], bicubic with antialiasing on bytes."""
    size = smart_resize(frames.shape[-2], frames.shape[-1], rule)
    if size == tuple(frames.shape[-2:]):
        return frames
    return F.interpolate(frames, size=size, mode="bicubic", antialias=True, align_corners=False)


def read_clip(path: Path | str, rule: FrameRule) -> Clip:
    """Decode a file and take the frames that the rule wants."""
    total, rate = _probe(path)
    while True:
        count = frame_count(total / rate, total, rule)
        pictures, seen = _decode(path, frame_indices(total, count))
        if len(pictures) == count:
            break
        # The container promised more frames than it holds: sample from those that are there.
        if not 0 < seen < total:
            raise ClipUnreadableError("the clip has no frame that can be decoded", path=path)
        total = seen
    frames = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return Clip(resized(frames, rule), fps=count * rate / total)


def clip_of_array(array: np.ndarray, rule: FrameRule, *, fps: float | None = None) -> Clip:
    """Frames uint8 [T, H, W, 3] as a clip.

    With `fps`, the rate of the array, frames are sampled as from a file; without it the array
    holds the sampled frames already.
    """
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not len(array):
        raise ClipUnreadableError(
            f"frames must be uint8 [T, H, W, 3], got {array.dtype} {list(array.shape)}"
        )
    rate = rule.fps
    if fps is not None:
        count = frame_count(len(array) / fps, len(array), rule)
        rate = count * fps / len(array)
        array = array[frame_indices(len(array), count)]
    frames = torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2).contiguous()
    return Clip(resized(frames, rule), fps=rate)


class FrameCache:
    """Resized frames in memory, the least recently used leaving first."""

    def __init__(self, megabytes: int):
        self._limit = megabytes * 2**20
        self._held = 0
        self._clips: OrderedDict[tuple[str, FrameRule], Clip] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def read(self, path: Path, sha256: str, rule: FrameRule) -> Clip:
        key = (sha256 or str(path), rule)
        if key in self._clips:
            self.hits += 1
            self._clips.move_to_end(key)
            return self._clips[key]
        self.misses += 1
        clip = read_clip(path, rule)
        self._clips[key] = clip
        self._held += clip.frames.nbytes
        while self._held > self._limit and self._clips:
            _, oldest = self._clips.popitem(last=False)
            self._held -= oldest.frames.nbytes
        return clip


def _probe(path: Path | str) -> tuple[int, float]:
    """(number of frames, frames per second), counted in packets: headers are often wrong."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            total = sum(1 for packet in container.demux(stream) if packet.size)
    except FileNotFoundError:
        raise ClipUnreadableError("the clip is missing", path=path) from None
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise ClipUnreadableError(
            f"the clip cannot be read: {_first_line(error)}", path=path
        ) from None
    if not total or not rate:
        raise ClipUnreadableError("the clip has no frame or no frame rate", path=path)
    return total, float(rate)


def _decode(path: Path | str, indices: list[int]) -> tuple[list[np.ndarray], int]:
    """The wanted frames as RGB [H, W, 3] as far as they are there, and how many were seen."""
    wanted = {index: indices.count(index) for index in indices}
    pictures: list[np.ndarray] = []
    seen = 0
    try:
        with av.open(str(path)) as container:
            # One converter and one thread: setting either up per frame costs twenty times the work.
            convert = VideoReformatter()
            for frame in container.decode(video=0):
                if seen in wanted:
                    picture = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                    pictures.extend([picture] * wanted[seen])
                seen += 1
                if len(pictures) == len(indices):
                    break
    except (av.error.FFmpegError, OSError) as error:
        raise ClipUnreadableError(
            f"the clip cannot be read: {_first_line(error)}", path=path
        ) from None
    return pictures, seen


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
