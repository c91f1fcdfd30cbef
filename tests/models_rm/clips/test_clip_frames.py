"""Which frames are taken and how large: the table of ML.md 2.3, and files that are not clips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Qwen2VLImageProcessor

from models_rm.backbones.families import Family
from models_rm.clips.video import (
    FrameRule,
    clip_of_array,
    frame_count,
    frame_indices,
    read_clip,
    smart_resize,
)
from models_rm.errors import ClipUnreadableError
from models_rm.networks.patches import cut, cut_all, patchify

VIDEOREWARD = FrameRule(2.0, 4, 768, 128 * 28 * 28, 256 * 28 * 28, 28)
SMALL = FrameRule(8.0, 4, 768, 56 * 56, 56 * 56, 28)
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
FAMILY = Family("qwen2_vl", 14, 2, 2, MEAN, STD, False, False)


@pytest.mark.parametrize(
    ("height", "width", "total", "fps", "resized", "frames", "tokens"),
    [
        (720, 1280, 126, 24, (336, 588), 10, 1260),
        (720, 1280, 152, 30, (336, 588), 10, 1260),
        (576, 1024, 60, 16, (336, 588), 8, 1008),
        (480, 720, 49, 8, (364, 532), 12, 1482),
        (256, 256, 16, 8, (336, 336), 4, 288),
    ],
)
def test_frames_and_sizes_are_those_of_videoreward(
    height: int,
    width: int,
    total: int,
    fps: int,
    resized: tuple[int, int],
    frames: int,
    tokens: int,
) -> None:
    assert smart_resize(height, width, VIDEOREWARD) == resized
    count = frame_count(total / fps, total, VIDEOREWARD)
    assert count == frames
    assert count // 2 * (resized[0] // 28) * (resized[1] // 28) == tokens


def test_indices_are_spread_over_the_whole_clip() -> None:
    assert frame_indices(126, 10) == [0, 14, 28, 42, 56, 69, 83, 97, 111, 125]


def test_a_clip_of_three_frames_gives_three() -> None:
    assert frame_count(3 / 8, 3, VIDEOREWARD) == 3


def test_a_file_gives_frames_of_the_wanted_size_and_rate(media) -> None:
    folder, clips = media
    clip = read_clip(folder / clips[0].path, SMALL)
    assert clip.frames.shape == (8, 3, 56, 56)
    assert clip.frames.dtype == torch.uint8
    # 8 of 9 frames at 8 frames per second
    assert clip.fps == pytest.approx(64 / 9)
    assert abs(clip.frames.float().mean() - 20) < 4


def test_the_array_of_a_clip_gives_the_same_frames_as_a_file(media) -> None:
    array = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
    clip = clip_of_array(array, SMALL, fps=8.0)
    assert (clip.frames.shape, clip.fps) == ((8, 3, 56, 56), pytest.approx(64 / 9))
    sampled = clip_of_array(array[frame_indices(9, 8)], SMALL)
    assert torch.equal(sampled.frames, clip.frames)


@pytest.mark.parametrize("content", [b"", b"not a clip at all" * 100])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(ClipUnreadableError, match=r"broken\.mp4: the clip cannot be read"):
        read_clip(path, SMALL)


def test_a_cut_off_file_is_named(tmp_path: Path, media) -> None:
    folder, clips = media
    whole = (folder / clips[0].path).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ClipUnreadableError, match=r"cut\.mp4"):
        read_clip(path, SMALL)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipUnreadableError, match=r"gone\.mp4: the clip is missing"):
        read_clip(tmp_path / "gone.mp4", SMALL)


def test_frames_of_another_type_are_refused() -> None:
    with pytest.raises(ClipUnreadableError, match=r"uint8 \[T, H, W, 3\], got float32"):
        clip_of_array(np.zeros((4, 8, 8, 3), dtype=np.float32), SMALL)


def test_patches_are_those_of_the_library() -> None:
    """Of one picture, which the library's processor repeats to fill a temporal patch."""
    picture = np.random.default_rng(1).integers(0, 255, (56, 84, 3), dtype=np.uint8)
    processor = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 84)
    expected = processor(images=[picture], return_tensors="pt")
    frames = torch.from_numpy(picture).permute(2, 0, 1)[None, None]
    patches, grid = patchify(frames, FAMILY)
    assert list(grid) == expected["image_grid_thw"][0].tolist()
    assert torch.allclose(patches, expected["pixel_values"], atol=1e-5)


def test_clips_of_different_sizes_follow_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3, 56, 56), (6, 3, 28, 56)]
    clips = [torch.randint(0, 255, s, dtype=torch.uint8, generator=generator) for s in shapes]
    patches, grids = cut_all(clips, FAMILY)
    assert grids == [(2, 4, 4), (3, 2, 4)]
    assert torch.equal(patches, torch.cat([cut(clip[None], FAMILY)[0] for clip in clips]))


def test_an_odd_number_of_frames_is_padded_by_the_last() -> None:
    clip = torch.randint(0, 255, (1, 3, 3, 28, 28), dtype=torch.uint8)
    patches, grid = patchify(clip, FAMILY)
    assert grid == (2, 2, 2)
    padded, _ = patchify(torch.cat([clip, clip[:, -1:]], dim=1), FAMILY)
    assert torch.equal(patches, padded)
