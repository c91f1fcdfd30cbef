"""All frames of a clip as the official tool sees them: BGR, eight bits, in the order of showing.

OpenCV, which the official tool decodes with, reads the same frames through the same libraries
(FFmpeg, swscale): the bytes are equal. It stops in silence where a file breaks off; here such a
clip is unreadable.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
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
                    picture = convert.reformat(frame, format="bgr24", threads=1).to_ndarray()
                    yield np.asarray(picture, dtype=np.uint8)
            if there < stream.frames:
                raise ClipUnreadableError(
                    f"the clip is cut off: {there} of {stream.frames} frames are there", path=path
                )
    except FileNotFoundError:
        raise ClipUnreadableError("the clip is missing", path=path) from None
    except (av.error.FFmpegError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClipUnreadableError(f"the clip cannot be read: {reason}", path=path) from None
