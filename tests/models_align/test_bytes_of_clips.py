"""Clips that we write: equal frames give equal bytes, because ids are made of them."""

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from models_align.video import read_clip, write_clip

pytestmark = pytest.mark.one_engine


def test_a_clip_has_no_frame_that_waits_for_a_later_one(tmp_path: Path) -> None:
    """B-frames are what makes x264 read memory that nobody wrote, in pictures this small."""
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    write_clip(tmp_path / "clip.mp4", frames, fps=8)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        shown = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
        container.seek(0)
        kinds = {
            av.video.frame.PictureType(each.pict_type).name for each in container.decode(video=0)
        }
    assert shown == sorted(shown)
    assert len(shown) == 9
    assert kinds <= {"I", "P"}


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(8):
        frames = rng.normal(127, 40 + number, (9, 64, 64, 3)).clip(0, 255).astype(np.uint8)
        written = set()
        for name in ("one", "other"):
            write_clip(tmp_path / f"{name}.mp4", frames, fps=8)
            written.add((tmp_path / f"{name}.mp4").read_bytes())
        assert len(written) == 1


def test_a_clip_is_read_as_the_file_asks_to_show_it(tmp_path: Path) -> None:
    """Bright above, dark below; turned by 90 degrees to the left it is bright at the left."""
    frames = np.zeros((5, 64, 96, 3), dtype=np.uint8)
    frames[:, :32] = 200
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    write_clip(plain, frames, fps=8)
    words = ["-display_rotation", "90", "-i", str(plain), "-c", "copy", str(turned)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *words]
    subprocess.run(command, check=True)
    assert read_clip(plain).shape == (5, 64, 96, 3)
    shown = read_clip(turned).float()
    assert shown.shape == (5, 96, 64, 3)
    assert shown[:, :, :24].mean() > 150
    assert shown[:, :, -24:].mean() < 50
