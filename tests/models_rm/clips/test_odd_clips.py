"""Clips that are not plain: each gives a defined result or an error with its name."""

import resource
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import torch

from models_rm.backbones.families import QWEN2_VL
from models_rm.clips import video
from models_rm.clips.video import FrameRule, clip_of_array, frame_indices, read_clip, smart_resize
from models_rm.errors import ClipUnreadableError
from models_rm.networks.patches import patchify

RULE = FrameRule(2.0, 4, 768, 56 * 56, 112 * 112, 28)


def write(
    path: Path,
    frames: list[np.ndarray],
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    times: list[int] | None = None,
    **options: str,
) -> Path:
    """Frames [H, W, 3] at 8 per second, or at `times` in milliseconds."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=8)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if times:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def greys(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    """Frames from dark to bright, so that each can be told by its level."""
    levels = np.linspace(20, 235, count)
    return [np.full((height, width, 3), level, dtype=np.uint8) for level in levels]


def levels(frames: torch.Tensor) -> list[float]:
    return [round(float(frame.float().mean())) for frame in frames]


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_frames_that_nobody_wants_are_not_decoded_and_the_others_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bframes: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    options = {"x264-params": f"bframes={bframes}:b-adapt=0"}
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options=options)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    quick = read_clip(path, RULE)
    monkeypatch.setattr(video, "_places", lambda packets: None)
    assert torch.equal(quick.frames, read_clip(path, RULE).frames)
    assert len(np.unique(quick.frames.flatten(1).float().mean(1))) == len(quick.frames)


@pytest.mark.shared
def test_real_clips_have_the_same_frames_either_way(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = min((shared / "data/videoalign/videos").rglob("*.mp4"), key=lambda p: p.stat().st_size)
    quick = read_clip(path, RULE)
    monkeypatch.setattr(video, "_places", lambda packets: None)
    assert torch.equal(quick.frames, read_clip(path, RULE).frames)


def test_a_clip_of_one_frame_is_one_frame_and_the_backbone_sees_it_twice(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "one.mp4", greys(1)), RULE)
    assert clip.frames.shape == (1, 3, 56, 56)  # the released code raises here
    patches, grid = patchify(clip.frames[None], QWEN2_VL)
    assert grid == (1, 4, 4)
    assert torch.isfinite(patches).all()


def test_a_clip_of_8k_costs_one_large_frame(tmp_path: Path) -> None:
    """A frame is 95 MB as a picture: three stacked ones, and their copy, would be 570 MB."""
    height, width = 4320, 7680
    path = write(tmp_path / "large.mp4", greys(3, height, width), codec="mjpeg", pixels="yuvj420p")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clip = read_clip(path, RULE)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert clip.frames.shape == (3, 3, *smart_resize(height, width, RULE))
    assert levels(clip.frames) == pytest.approx([20, 127, 235], abs=3)
    assert grown < 3.5 * height * width * 3 / 2**20


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    path = write(tmp_path / "ten.mkv", greys(8), codec="ffv1", pixels="yuv420p10le")
    clip = read_clip(path, RULE)
    assert clip.frames.dtype == torch.uint8
    assert levels(clip.frames) == pytest.approx([20, 81, 174, 235], abs=3)


def test_odd_sizes_are_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mkv", greys(4, 61, 75), codec="ffv1", pixels="yuv444p")
    clip = read_clip(path, RULE)
    assert clip.frames.shape == (4, 3, 56, 84)
    assert levels(clip.frames) == pytest.approx([20, 92, 163, 235], abs=2)


def test_a_side_more_than_200_times_the_other_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "ribbon.mkv", greys(4, 2, 402), codec="ffv1", pixels="yuv444p")
    with pytest.raises(ClipUnreadableError, match=r"ribbon\.mkv: the frames are 402 x 2"):
        read_clip(path, RULE)


def test_a_clip_of_variable_rate_is_sampled_evenly_over_its_frames(tmp_path: Path) -> None:
    """8 frames in 4 s, most of them early: the mean rate counts, and places in the order."""
    times = [0, 100, 200, 300, 400, 500, 600, 3500]
    path = write(tmp_path / "vfr.mkv", greys(8), codec="ffv1", pixels="yuv444p", times=times)
    clip = read_clip(path, RULE)
    plain = [np.linspace(20, 235, 8)[index] for index in frame_indices(8, len(clip.frames))]
    assert levels(clip.frames) == pytest.approx(plain, abs=2)


def test_a_clip_is_seen_as_the_file_asks_to_show_it(tmp_path: Path) -> None:
    """Bright above, dark below; turned by 90 degrees it is bright at one side."""
    picture = np.zeros((64, 128, 3), dtype=np.uint8)
    picture[:32] = 200
    plain = write(tmp_path / "plain.mp4", [picture] * 4)
    turned = tmp_path / "turned.mp4"
    words = ["-display_rotation", "90", "-i", str(plain), "-c", "copy", str(turned)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *words]
    subprocess.run(command, check=True)
    upright, shown = read_clip(plain, RULE).frames, read_clip(turned, RULE).frames
    assert upright.shape[2] < upright.shape[3]
    assert shown.shape[2:] == (upright.shape[3], upright.shape[2])
    # Turned to the left: what was above is at the left.
    assert shown[0, :, :, :10].float().mean() > 150
    assert shown[0, :, :, -10:].float().mean() < 50


def test_a_file_without_pictures_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(ClipUnreadableError, match=r"sound\.wav: the file has no video stream"):
        read_clip(path, RULE)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(ClipUnreadableError, match=r"empty\.mp4: .* the file is empty"):
        read_clip(path, RULE)


def test_half_of_a_clip_is_not_a_clip(tmp_path: Path) -> None:
    """With its index in front a cut file still opens; the released code samples what is left."""
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 64, 3), dtype=np.uint8)
    path = write(tmp_path / "whole.mp4", list(noise), movflags="faststart")
    data = path.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 6 // 10])
    assert len(read_clip(path, RULE).frames) == 4
    with pytest.raises(ClipUnreadableError, match=r"cut\.mp4: the clip (is cut off|cannot be)"):
        read_clip(cut, RULE)


def test_small_clips_keep_their_size_where_the_config_allows_it() -> None:
    """Trap 13: the released code makes 256 x 256 to 336 x 336 and cannot do without."""
    frames = np.zeros((16, 256, 256, 3), dtype=np.uint8)
    allowed = FrameRule(2.0, 4, 768, 28 * 28, 256 * 256, 28)
    assert clip_of_array(frames, allowed, fps=8.0).frames.shape == (4, 3, 252, 252)
    released = FrameRule(2.0, 4, 768, 128 * 28 * 28, 256 * 28 * 28, 28)
    assert clip_of_array(frames, released, fps=8.0).frames.shape == (4, 3, 336, 336)
