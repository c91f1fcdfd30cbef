"""All frames of a clip as the official tool sees them: BGR, eight bits, in the order of showing.

The official package wants numpy below 2, and so OpenCV 4, which reads every clip by the colour
matrix of BT.601, whatever the file says of itself (OpenCV 5 does not). Read so, the bytes are
equal; those of ten bits nearly. It stops in silence where a file breaks off; here such a clip is
unreadable.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from measuring.errors import ClipUnreadableError

Frame = NDArray[np.uint8]  # [H, W, 3], blue first


def frames_of(path: Path) -> Iterator[Frame]:
    """One frame at a time: a clip of 8K costs two large frames. ClipUnreadableError names it."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipUnreadableError("the file has no video stream", path=path)
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            # One converter and one thread: setting either up per frame costs twenty times the work.
            convert = VideoReformatter()
            there = 0
            for packet in container.demux(stream):
                there += bool(packet.size) and not packet.is_corrupt
                for frame in packet.decode():
                    yield _as_opencv(convert, frame)
            if there < stream.frames:
                raise ClipUnreadableError(
                    f"the clip is cut off: {there} of {stream.frames} frames are there", path=path
                )
    except FileNotFoundError:
        raise ClipUnreadableError("the clip is missing", path=path) from None
    except (av.error.FFmpegError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClipUnreadableError(f"the clip cannot be read: {reason}", path=path) from None


def _as_opencv(convert: VideoReformatter, frame: av.VideoFrame) -> Frame:
    shown = convert.reformat(
        frame,
        format="bgr24",
        src_colorspace=Colorspace.ITU601,
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )
    return np.asarray(shown.to_ndarray(), dtype=np.uint8)
