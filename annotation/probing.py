"""What a clip really is: found by decoding it, never by believing its header or its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from annotation.errors import MediaError

MAX_SECONDS: Final = 60.0
MAX_RATE: Final = 120.0
MAX_PIXELS: Final = 4096 * 2160

# Only containers that hold their own bytes: a playlist or a concat file can name other files.
_OPEN: Final = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm",
}


@dataclass(frozen=True, slots=True)
class Clip:
    fps: float
    num_frames: int
    width: int
    height: int
    duration: float  # seconds from the first frame to the end of the last
    codec: str
    pixel_format: str

    @property
    def plays_everywhere(self) -> bool:
        """Whether the browsers we serve play these packets as they are."""
        return self.codec in {"h264", "vp9", "av1"} and self.pixel_format == "yuv420p"


def open_clip(path: Path) -> InputContainer:
    """Open a file of ours or of an importer as a clip; anything else is refused by name."""
    if not path.is_file():
        raise MediaError(f"the clip {path} is missing")
    if not path.stat().st_size:
        raise MediaError(f"the clip {path} is empty")
    try:
        # The prefix keeps a name such as `concat:a|b` from being read as a protocol.
        container = av.open(f"file:{path.resolve()}", options=_OPEN)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from None
    if len(container.streams.video) != 1:
        found = len(container.streams.video)
        container.close()
        raise MediaError(f"the clip {path} has {found} video streams; expected one")
    return container


def probe(path: Path) -> Clip:
    """Decode the whole clip and tell its true size, rate and number of frames."""
    with open_clip(path) as container:
        stream = container.streams.video[0]
        _check_size(path, stream)
        try:
            clip = _decode(path, container, stream)
        except (av.FFmpegError, ValueError) as error:
            raise _unreadable(path, error) from None
    if clip.duration > MAX_SECONDS:
        raise MediaError(
            f"the clip {path} lasts {clip.duration:.1f} s; expected at most {MAX_SECONDS:.0f} s"
        )
    return clip


def _check_size(path: Path, stream: VideoStream) -> None:
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError(
            f"the clip {path} is {stream.width}x{stream.height}; expected at most 4096x2160"
        )


def _decode(path: Path, container: InputContainer, stream: VideoStream) -> Clip:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    if not 0 < rate <= MAX_RATE:
        raise MediaError(
            f"the clip {path} has {rate:g} frames per second; expected up to {MAX_RATE:.0f}"
        )
    frames = 0
    for _frame in container.decode(stream):
        frames += 1
        if frames > MAX_SECONDS * MAX_RATE:
            raise MediaError(f"the clip {path} has too many frames; expected at most {frames - 1}")
    if not frames:
        raise MediaError(f"the clip {path} has no frame that can be decoded")
    context = stream.codec_context
    return Clip(
        fps=rate,
        num_frames=frames,
        width=stream.width,
        height=stream.height,
        duration=frames / rate,
        codec=context.name if context.name != "libdav1d" else "av1",
        pixel_format=context.pix_fmt or "",
    )


def _unreadable(path: Path, error: Exception) -> MediaError:
    reason = getattr(error, "strerror", None) or str(error)
    return MediaError(f"the clip {path} cannot be read as a video: {reason}")
