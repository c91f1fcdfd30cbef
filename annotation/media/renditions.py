"""The copy of a clip that annotators see, and its poster.

The original stays as it came, hashed, for trainers. People get a lossless re-mux without container
metadata (it can name the generator) and with its index at the front, so that it starts at once;
only what browsers cannot play is encoded again, at a quality where the eye sees no difference and
at a constant rate. Nothing but pictures passes: whatever else a file carries stays behind.

Knows neither Django nor the database: it also runs in the bounded child (`bounded_child`).
"""

import os
import subprocess
from pathlib import Path
from typing import Any, Final

import av
import ffmpeg
import imageio_ffmpeg
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from PIL import Image

from annotation.errors import MediaError
from annotation.media.probing import CODECS, CONTAINERS, Clip, open_clip

# x264's constant rate factor; 17 is taken for visually lossless, 12 leaves a margin.
_QUALITY: Final[dict[str, Any]] = {"vcodec": "libx264", "crf": 12, "preset": "fast"}
_CONTAINER: Final = {"movflags": "+faststart", "fflags": "+bitexact"}
# Slices and parameter sets pass; notes, padding and private units, in which anything could hide
# and encoders sign their work, do not. VP9 has no such units.
_PICTURES_ONLY: Final = {
    "h264": "filter_units=pass_types=1-5|7-8",
    "av1": "filter_units=pass_types=1|3-4|6-7",
}
_SIZE_STEP: Final = 64 << 10
_BOX_HEAD: Final = 8  # length and name
_BYTES: Final = 1 << 30  # of a rendition
_POSTER_SIDE: Final = 1280
_POSTER_QUALITY: Final = 85


def write_rendition(source: Path, target: Path, clip: Clip) -> None:
    """Write the copy for people at `target`, which must not exist; a broken one is never left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary, encoded = (target.with_name(f".{word}{target.name}") for word in ("", "encoded-"))
    try:
        if clip.plays_everywhere:
            _remux(source, temporary, clip.codec)
        else:
            _transcode(source, encoded, clip)
            # Our own file goes the same way, so that nothing tells which clips were encoded again.
            _remux(encoded, temporary, "h264")
        _fill(temporary)
        temporary.replace(target)
    except av.FFmpegError as error:
        raise MediaError(f"the clip {source} cannot be prepared for the browser: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
        encoded.unlink(missing_ok=True)


def _remux(source: Path, target: Path, codec: str) -> None:
    with (
        open_clip(source) as original,
        av.open(str(target), "w", format="mp4", options=_CONTAINER) as copy,
    ):
        _copy_pictures(original, copy, _PICTURES_ONLY.get(codec, "null"))


def _fill(file: Path) -> None:
    """Up to the next step with a box that players skip: a size says little of how a model encodes,
    and two clips of the same model are not told by theirs (RELIABILITY M7)."""
    size = file.stat().st_size
    missing = -(size + _BOX_HEAD) % _SIZE_STEP + _BOX_HEAD
    with file.open("ab") as copy:
        copy.write(missing.to_bytes(4, "big") + b"free" + bytes(missing - _BOX_HEAD))


def _copy_pictures(original: InputContainer, copy: OutputContainer, words: str) -> None:
    stream = original.streams.video[0]
    out = copy.add_stream_from_template(stream)
    out.metadata.clear()
    pictures = BitStreamFilterContext(words, stream, out)
    for packet in original.demux(stream):
        # The packet at the end has no time and no bytes: it asks for what is left.
        for each in pictures.filter(packet if packet.size else None):
            each.stream = out
            copy.mux(each)


def _transcode(source: Path, target: Path, clip: Clip) -> None:
    done = subprocess.run(
        transcode_argv(source, target, clip),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"ffmpeg ended with {done.returncode}"
        raise MediaError(f"the clip {source} cannot be encoded for the browser: {reason[:200]}")


def transcode_argv(source: Path, target: Path, clip: Clip) -> list[str]:
    """ffmpeg's command line: a fixed template with two paths of ours and a rate."""
    rate = f"{clip.rate or clip.fps:.6f}"
    limits = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    pictures = ffmpeg.input(
        f"file:{source.resolve()}", codec_whitelist=CODECS, threads=1, **limits
    ).video
    # Where the rate is constant every frame stays and gets its exact place.
    timed = (
        pictures.filter("fps", rate)
        if clip.variable
        else pictures.filter("setpts", f"N/({rate}*TB)")
    )
    # 4:2:0 needs even sides; one row of pixels is scaled away where a side is odd.
    even = timed.filter("scale", "trunc(iw/2)*2", "trunc(ih/2)*2")
    words: dict[str, Any] = {
        **_QUALITY,
        "pix_fmt": "yuv420p",
        "r": rate,
        "threads": 1,
        "map_metadata": -1,
        "map_chapters": -1,
        "fs": _BYTES,
        "format": "mp4",
    }
    if clip.variable:  # the container may hold the last frame for longer than the others say
        words["t"] = f"{clip.duration:.6f}"
    output = ffmpeg.output(even, f"file:{target.resolve()}", **words)
    quiet = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    argv: list[str] = quiet.overwrite_output().compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
    return argv


def _environment() -> dict[str, str]:
    """What ffmpeg may know: no secret. The tag tells the supervisor whose process it is."""
    return {name: os.environ[name] for name in ("TIEBREAK_RUN_TAG",) if name in os.environ}


def write_poster(source: Path, target: Path) -> None:
    """The first picture as a small JPEG: what stands where the clip will play."""
    with open_clip(source) as original:
        try:
            frame = next(original.decode(original.streams.video[0]))
        except (av.FFmpegError, StopIteration) as error:
            raise MediaError(f"the clip {source} has no first picture: {error}") from None
        picture = Image.fromarray(frame.to_ndarray(format="rgb24"))
    picture.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}")
    picture.save(temporary, "JPEG", quality=_POSTER_QUALITY)
    temporary.replace(target)
