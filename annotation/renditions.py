"""The copy of a clip that annotators see.

The original stays as it came, hashed, for trainers. People get a lossless re-mux without container
metadata (it can name the generator) and with its index at the front, so that it starts at once;
only what browsers cannot play is encoded again, at a quality where the eye sees no difference.
"""

from pathlib import Path
from typing import Final

import av
from av.container import InputContainer, OutputContainer

from annotation.errors import MediaError
from annotation.probing import Clip, open_clip

# x264's constant rate factor; 17 is taken for visually lossless, 12 leaves a margin.
_QUALITY: Final = {"crf": "12", "preset": "fast"}
_CONTAINER: Final = {"movflags": "+faststart", "fflags": "+bitexact"}


def write_rendition(source: Path, target: Path, clip: Clip) -> None:
    """Write the copy for people at `target`, which must not exist; a broken one is never left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}")
    try:
        with (
            open_clip(source) as original,
            av.open(str(temporary), "w", format="mp4", options=_CONTAINER) as copy,
        ):
            (_remux if clip.plays_everywhere else _transcode)(original, copy)
        temporary.replace(target)
    except av.FFmpegError as error:
        raise MediaError(f"the clip {source} cannot be prepared for the browser: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _remux(original: InputContainer, copy: OutputContainer) -> None:
    stream = original.streams.video[0]
    out = copy.add_stream_from_template(stream)
    out.metadata.clear()
    for packet in original.demux(stream):
        if packet.dts is None:  # the flush packet at the end
            continue
        packet.stream = out
        copy.mux(packet)


def _transcode(original: InputContainer, copy: OutputContainer) -> None:
    stream = original.streams.video[0]
    out = copy.add_stream("libx264", rate=stream.average_rate, options=dict(_QUALITY))
    # 4:2:0 needs even sides; one row of pixels is scaled away where a side is odd.
    out.width, out.height = stream.width & ~1, stream.height & ~1
    out.pix_fmt = "yuv420p"
    out.time_base = stream.time_base
    for frame in original.decode(stream):
        picture = frame.reformat(width=out.width, height=out.height, format="yuv420p")
        picture.pts, picture.time_base = frame.pts, frame.time_base
        picture.pict_type = 0
        copy.mux(out.encode(picture))
    copy.mux(out.encode(None))
