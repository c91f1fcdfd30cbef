"""What a clip really is: found by decoding it, never by believing its header or its name.

Knows neither Django nor the database: it also runs in the bounded child (`bounded_child`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from annotation.errors import MediaError
from annotation.media.flashes import most_flashes, relative_luminance
from annotation.media.looks import perceptual_hash

MAX_SECONDS: Final = 60.0
MAX_RATE: Final = 120.0
MAX_PIXELS: Final = 4096 * 2160
MAX_FRAMES: Final = int(MAX_SECONDS * MAX_RATE)
MAX_STREAMS: Final = 4  # one video, one audio, and the time codes of a camera

CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
CODECS: Final = (
    "h264,hevc,vp8,vp9,libvpx-vp9,av1,libdav1d,mpeg4,mpeg2video,mpeg1video,prores,mjpeg,ffv1,png"
)
# Only containers that hold their own bytes: a playlist or a concat file can name other files.
_OPEN: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": CONTAINERS,
    "codec_whitelist": CODECS + ",aac,opus,mp3,vorbis,flac,pcm_s16le",
    "max_pixels": str(MAX_PIXELS),
}
_NAMES: Final = frozenset(CODECS.split(","))
_SIDE: Final = 32  # of the small copies that hash and flashes are found in
# Time stamps of some containers are whole milliseconds.
_CLOCK: Final = 0.002
_SCREEN: Final = 60.0  # no screen of an annotator shows more


@dataclass(frozen=True, slots=True)
class Clip:
    fps: float
    num_frames: int
    width: int
    height: int
    duration: float  # seconds from the first frame to the end of the last
    codec: str
    pixel_format: str
    variable: bool = False  # the frames do not come at a constant rate
    rotated: bool = False  # the container asks the player to turn the picture
    phash: str = ""
    flashes: float | None = None
    rate: float = 0.0  # constant rate at which every frame is shown; `fps` where that is constant

    @property
    def plays_everywhere(self) -> bool:
        """Whether the browsers we serve play these packets as they are."""
        plain = not self.variable and not self.rotated
        return plain and self.codec in {"h264", "vp9", "av1"} and self.pixel_format == "yuv420p"


def open_clip(path: Path) -> InputContainer:
    """Open a file of ours or of an importer as a clip; anything else is refused by name."""
    if not path.is_file():
        raise MediaError(f"the clip {path} is missing")
    if not path.stat().st_size:
        raise MediaError(f"the clip {path} is empty")
    try:
        # The prefix keeps a name such as `concat:a|b` from being read as a protocol.
        container = av.open(f"file:{path.resolve()}", options=_OPEN)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        _check_streams(path, container)
    except MediaError:
        container.close()
        raise
    return container


def _check_streams(path: Path, container: InputContainer) -> None:
    streams = container.streams
    if len(streams.video) != 1:
        raise MediaError(f"the clip {path} has {len(streams.video)} video streams; expected one")
    if len(streams) > MAX_STREAMS or len(streams.audio) > 1:
        raise MediaError(
            f"the clip {path} has {len(streams)} streams; expected one video and at most one audio"
        )
    if streams.subtitles or streams.attachments:
        raise MediaError(f"the clip {path} carries subtitles or files; expected a plain clip")
    stream = streams.video[0]
    # Without a codec context PyAV knows no decoder for the stream.
    if getattr(stream, "codec_context", None) is None or stream.codec_context.name not in _NAMES:
        raise MediaError(f"the clip {path} is encoded in a way that we do not take")
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError(
            f"the clip {path} is {stream.width}x{stream.height}; expected at most 4096x2160"
        )


def probe(path: Path) -> Clip:
    """Decode the whole clip and tell its true size, rate, number of frames, look and flashes."""
    with open_clip(path) as container:
        stream = container.streams.video[0]
        try:
            seen = _decode(path, container, stream)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise _unreadable(path, error) from None
        return _clip(path, stream, seen)


@dataclass(slots=True)
class _Seen:
    """What was seen while decoding."""

    width: int = 0
    height: int = 0
    rotated: bool = False
    times: list[float | None] = field(default_factory=list)
    small: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    @property
    def clock(self) -> npt.NDArray[np.float64] | None:
        """Time stamps, if every frame has one and they increase."""
        if any(each is None for each in self.times):
            return None
        clock = np.array(self.times, dtype=float)
        return clock - clock[0] if (np.diff(clock) > 0).all() else None


def _decode(path: Path, container: InputContainer, stream: VideoStream) -> _Seen:
    # More threads than one would fight with the clips that are looked at beside this one.
    stream.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    seen, resize = _Seen(), VideoReformatter()
    for frame in container.decode(stream):
        _look(path, seen, frame)
        small = resize.reformat(frame, _SIDE, _SIDE, "rgb24", interpolation=Interpolation.AREA)
        seen.small.append(small.to_ndarray().astype(np.uint8, copy=False))
    if not seen.times:
        raise MediaError(f"the clip {path} has no frame that can be decoded")
    return seen


def _look(path: Path, seen: _Seen, frame: VideoFrame) -> None:
    if not seen.times:
        seen.width, seen.height, seen.rotated = frame.width, frame.height, bool(frame.rotation)
    elif (frame.width, frame.height) != (seen.width, seen.height):
        raise MediaError(
            f"the clip {path} changes its size from {seen.width}x{seen.height} to"
            f" {frame.width}x{frame.height}"
        )
    now = None if frame.pts is None else frame.time
    seen.times.append(now)
    first = seen.times[0]
    if now is not None and first is not None and now - first > MAX_SECONDS:
        raise _too_long(path)
    if len(seen.times) > MAX_FRAMES:
        raise MediaError(f"the clip {path} has too many frames; expected at most {MAX_FRAMES}")


def _clip(path: Path, stream: VideoStream, seen: _Seen) -> Clip:
    timing = _timing(stream, seen)
    if not 0 < timing.fps <= MAX_RATE:
        raise MediaError(
            f"the clip {path} has {timing.fps:g} frames per second; expected up to {MAX_RATE:.0f}"
        )
    if timing.duration > MAX_SECONDS:
        raise _too_long(path)
    pictures = np.stack(seen.small)
    clock = seen.clock
    times = np.arange(len(pictures)) / timing.fps if clock is None else clock
    context = stream.codec_context
    return Clip(
        fps=timing.fps,
        num_frames=len(seen.times),
        width=seen.width,
        height=seen.height,
        duration=timing.duration,
        codec={"libdav1d": "av1", "libvpx-vp9": "vp9"}.get(context.name, context.name),
        pixel_format=context.pix_fmt or "",
        variable=timing.variable,
        rotated=seen.rotated,
        phash=perceptual_hash(pictures.mean(axis=3)),
        flashes=most_flashes(relative_luminance(pictures), times),
        rate=timing.rate,
    )


@dataclass(frozen=True, slots=True)
class _Timing:
    fps: float
    duration: float
    rate: float
    variable: bool = False


def _timing(stream: VideoStream, seen: _Seen) -> _Timing:
    """Rate and length by the time stamps.

    The header's rate is taken where they agree with it: it is exact, they are rounded.
    """
    said = float(stream.average_rate or stream.guessed_rate or 0)
    clock, frames = seen.clock, len(seen.times)
    if frames == 1 or clock is None:  # nothing to measure with, and nothing that could disagree
        return _Timing(said, frames / said if said else 0.0, said)
    gaps = np.diff(clock)
    middle = float(np.median(gaps))
    if (np.abs(gaps - middle) > _CLOCK + 0.05 * middle).any():
        duration = float(clock[-1]) + middle
        # Frames that came too late left gaps; the others stand at the rate that was meant.
        meant = min(round(1 / float(np.quantile(gaps, 0.1)), 3), _SCREEN)
        return _Timing(frames / duration, duration, max(frames / duration, meant), variable=True)
    measured = (frames - 1) / float(clock[-1])
    fps = said if said and abs(said - measured) <= 0.02 * measured else measured
    return _Timing(fps, frames / fps, fps)


def _too_long(path: Path) -> MediaError:
    return MediaError(f"the clip {path} lasts longer than {MAX_SECONDS:.0f} s")


def _unreadable(path: Path, error: Exception) -> MediaError:
    reason = getattr(error, "strerror", None) or str(error)
    return MediaError(f"the clip {path} cannot be read as a video: {reason}")
