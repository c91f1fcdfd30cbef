"""Clips in and out of files, without torch: H.264 that every browser plays, nearly lossless."""

import hashlib
import io
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from formats.errors import FormatError

# The same quality as what models_align writes: a difference between codecs must not become a
# difference between two clips that people or a reward model judge.
OPTIONS: Final = {"crf": "10", "preset": "veryfast", "threads": "1"}
BT709: Final = 1


def write_clip(path: Path, frames: NDArray[np.uint8], fps: int) -> None:
    """uint8 [T, H, W, 3] -> an MP4 file, index first. Equal frames give equal bytes."""
    height, width = frames.shape[1:3]
    # bitexact leaves out the time and the version of the library.
    flags = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=flags) as container:
        stream = container.add_stream("libx264", rate=fps, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.color_primaries = codec.color_trc = codec.colorspace = BT709
        codec.color_range = 1  # limited
        convert = VideoReformatter()  # one for all frames: each sets up its tables once
        for image in frames:
            frame = convert.reformat(
                av.VideoFrame.from_ndarray(image, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def sha256_of_pixels(frames: NDArray[np.uint8]) -> str:
    """Names a clip by what is seen, whatever container it came in."""
    return hashlib.sha256(repr(frames.shape).encode() + frames.tobytes()).hexdigest()


def read_clip(clip: bytes | Path) -> NDArray[np.uint8]:
    """All frames of a clip, uint8 [T, H, W, 3]. A missing or broken file is a FormatError."""
    source = io.BytesIO(clip) if isinstance(clip, bytes) else str(clip)
    path = None if isinstance(clip, bytes) else clip
    try:
        with av.open(source, "r") as container:
            container.streams.video[0].codec_context.thread_count = 1
            convert = VideoReformatter()
            frames = [
                convert.reformat(each, format="rgb24", threads=1).to_ndarray()
                for each in container.decode(video=0)
            ]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise FormatError(f"the clip cannot be read: {error}", path=path) from error
    if not frames:
        raise FormatError("the clip has no frame", path=path)
    return np.stack(frames)


def read_image(image: bytes | Path) -> NDArray[np.uint8]:
    """A start image, uint8 [H, W, 3]. A missing or broken file is a FormatError."""
    path = None if isinstance(image, bytes) else image
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as found:
            return np.array(found.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise FormatError(f"the start image cannot be read: {error}", path=path) from error
