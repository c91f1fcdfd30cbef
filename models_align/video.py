"""Clips in and out of files, through PyAV."""

from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from formats.errors import FormatError

# Nearly lossless, and still what every browser plays: the loss of the codec must not become a
# difference between two clips that people or a reward model judge.
CRF = "10"


def read_clip(path: Path) -> torch.Tensor:
    """All frames of a clip, turned as people saw it: uint8 [T, H, W, 3].

    A missing or broken file is a FormatError.
    """
    try:
        with av.open(str(path)) as container:
            # One converter and one thread: setting either up per frame costs twenty times the work.
            convert = VideoReformatter()
            frames = [
                np.rot90(
                    convert.reformat(each, format="rgb24", threads=1).to_ndarray(),
                    round(each.rotation / 90),  # degrees, to the left
                )
                for each in container.decode(video=0)
            ]
    except (av.FFmpegError, IndexError) as error:
        raise FormatError(f"the clip cannot be read: {error}", path=path) from error
    if not frames:
        raise FormatError("the clip has no frame", path=path)
    return torch.from_numpy(np.stack(frames))


def write_clip(path: Path, frames: np.ndarray, fps: int) -> None:
    """uint8 [T, H, W, 3] -> H.264 (yuv420p, bt709, index first). Equal frames give equal bytes."""
    height, width = frames.shape[1:3]
    # bitexact leaves out the time and the version of the library.
    flags = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=flags) as container:
        # No B-frames: looking ahead for them in small pictures, x264 reads memory that nobody
        # wrote, and of equal frames one clip in five came out with other bytes.
        options = {"crf": CRF, "preset": "fast", "threads": "1", "bf": "0"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        _tag_bt709(stream.codec_context)
        convert = VideoReformatter()
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


def _tag_bt709(codec: av.VideoCodecContext) -> None:
    """Players guess from the size of a picture where nothing is said, and guess differently."""
    codec.color_primaries = codec.color_trc = codec.colorspace = 1
    codec.color_range = 1  # limited
