"""From a file to the frames that a backbone sees: decode, sample, resize.

What is done with files that are not plain:

- Frames are counted and sampled by their place in the order of showing, as VideoAlign does; a clip
  of variable frame rate is sampled evenly over its frames, and its rate is the mean one.
- A clip that the file asks to show rotated is rotated: people judged it so.
- Ten bits become eight, high dynamic range is not mapped.
- Each wanted frame is made small before the next is decoded, so a clip of 8K costs one large frame.
- A clip of one frame is one frame; a backbone that joins two frames sees it twice.
- A file with fewer frames than its header promises is cut off, and unreadable.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import VideoReformatter

from models_rm.errors import ClipUnreadableError

MAX_ASPECT: Final = 200


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
    start_frames: int = 0  # how often the start image stands before the frames; see start_images


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

    As `smart_resize` of Qwen2-VL computes it, including its rounding and its limit of 200 : 1.
    """
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ClipUnreadableError(
            f"the frames are {width} x {height}; one side may be at most {MAX_ASPECT} times the"
            " other"
        )
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
    track = _probe(path)
    total, rate = track.total, track.rate
    while True:
        count = frame_count(total / rate, total, rule)
        pictures, seen = _decode(path, frame_indices(total, count), rule, track.places)
        if len(pictures) == count:
            break
        # A decoder may drop packets (what an edit list hides): sample from the frames that came.
        if not 0 < seen < total:
            raise ClipUnreadableError("the clip has no frame that can be decoded", path=path)
        total = seen
    return Clip(torch.stack(pictures).contiguous(), fps=count * rate / total)


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


@dataclass(frozen=True, slots=True)
class _Track:
    """Frames and rate of a clip, counted in packets: headers are often wrong.

    `places`: which frame in the order of showing each timestamp is; None where that is not plain.
    """

    total: int
    rate: float
    places: dict[int, int] | None


def _probe(path: Path | str) -> _Track:
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        packets = [packet for packet in container.demux(stream) if packet.size]
        promised = max(stream.frames, len(packets))
        total = sum(not packet.is_corrupt for packet in packets)
    if not total or not rate:
        raise ClipUnreadableError("the clip has no frame or no frame rate", path=path)
    if total < promised:
        raise ClipUnreadableError(
            f"the clip is cut off: {total} of {promised} frames are there", path=path
        )
    return _Track(total, float(rate), _places(packets))


def _places(packets: Sequence[Any]) -> dict[int, int] | None:
    times = [packet.pts for packet in packets]
    plain = None not in times and len(set(times)) == len(times)
    if not plain or any(packet.is_discard or packet.is_corrupt for packet in packets):
        return None
    return {time: place for place, time in enumerate(sorted(times))}


def _decode(
    path: Path | str, indices: list[int], rule: FrameRule, places: dict[int, int] | None
) -> tuple[list[torch.Tensor], int]:
    """The wanted frames as RGB uint8 [3, h, w] as far as they are there; how many were seen."""
    if places is not None:
        pictures = _decode_wanted(path, indices, rule, places)
        if len(pictures) == len(indices):
            return pictures, len(places)
    return _decode_all(path, indices, rule)


def _decode_wanted(
    path: Path | str, indices: list[int], rule: FrameRule, places: dict[int, int]
) -> list[torch.Tensor]:
    """Without the frames that nobody wants and no other frame is made from: up to half of them."""
    found: dict[int, torch.Tensor] = {}
    wanted = set(indices)
    with _opened(path) as container:
        stream = container.streams.video[0]
        convert = VideoReformatter()
        for packet in container.demux(stream):
            needed = packet.pts is None or places.get(packet.pts) in wanted
            stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            for frame in packet.decode():
                place = places.get(frame.pts)
                if place in wanted and place not in found:
                    picture = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                    found[place] = _small(picture, frame.rotation, rule)
            if len(found) == len(wanted):
                break
    return [found[index] for index in indices if index in found]


def _decode_all(
    path: Path | str, indices: list[int], rule: FrameRule
) -> tuple[list[torch.Tensor], int]:
    """In the order in which they come; where timestamps do not say which frame is which."""
    wanted = {index: indices.count(index) for index in indices}
    pictures: list[torch.Tensor] = []
    seen = 0
    with _opened(path) as container:
        # One converter and one thread: setting either up per frame costs twenty times the work.
        convert = VideoReformatter()
        for frame in container.decode(video=0):
            if seen in wanted:
                picture = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                pictures.extend([_small(picture, frame.rotation, rule)] * wanted[seen])
            seen += 1
            if len(pictures) == len(indices):
                break
    return pictures, seen


def _small(picture: np.ndarray, rotation: int, rule: FrameRule) -> torch.Tensor:
    """RGB [H, W, 3] as it is to be shown, uint8 [3, h, w]; `rotation` in degrees, to the left."""
    turned = np.rot90(picture, round(rotation / 90))
    # Colours stay beside each other: so resizing is five times faster, and gives the same bytes.
    frame = torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)
    return resized(frame[None], rule)[0]


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """The container of a file that has a picture; whatever libav says has the file's name."""
    try:
        with av.open(str(path)) as container:
            _refuse_without_picture(path, container)
            yield container
    except FileNotFoundError:
        raise ClipUnreadableError("the clip is missing", path=path) from None
    except ClipUnreadableError as error:
        raise ClipUnreadableError(error.message, path=path) from None
    except (av.error.FFmpegError, OSError, MemoryError) as error:
        reason = _first_line(error) if Path(path).stat().st_size else "the file is empty"
        raise ClipUnreadableError(f"the clip cannot be read: {reason}", path=path) from None


def _refuse_without_picture(path: Path | str, container: Any) -> None:
    if not container.streams.video:
        raise ClipUnreadableError("the file has no video stream", path=path)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
