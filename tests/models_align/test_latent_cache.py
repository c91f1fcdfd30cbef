"""Encode once, by content, within a limit of memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from formats.errors import FormatError
from models_align.latents import TensorCache, content_key
from models_align.video import read_clip, write_clip


def kilobyte(value: float) -> dict[str, torch.Tensor]:
    return {"x": torch.full((256,), value)}


def refuse() -> dict[str, torch.Tensor]:
    raise AssertionError("made a second time")


def test_a_value_is_made_once_and_found_again_by_the_next_process(tmp_path: Path):
    TensorCache(tmp_path, 2**20).get("a", lambda: kilobyte(1.0))
    again = TensorCache(tmp_path, 2**20)
    assert "a" in again
    assert torch.equal(again.get("a", refuse)["x"], torch.ones(256))


def test_memory_is_bounded_and_the_least_recently_used_goes_first(tmp_path: Path):
    cache = TensorCache(tmp_path, 2 * 1024)
    for name in "ab":
        cache.get(name, lambda: kilobyte(0.0))
    cache.get("a", refuse)
    cache.get("c", lambda: kilobyte(2.0))
    assert cache.bytes == 2 * 1024
    assert set(cache._memory) == {"a", "c"}
    assert torch.equal(cache.get("b", refuse)["x"], torch.zeros(256))  # from its file


def test_a_key_depends_on_every_part_and_on_where_they_meet():
    assert content_key("ab", "c") != content_key("a", "bc")


def test_a_clip_survives_its_file_and_equal_frames_give_equal_bytes(tmp_path: Path):
    frames = np.full((9, 64, 64, 3), (128, 128, 128), np.uint8)
    frames[:, 16:40, 16:40] = (220, 45, 40)
    for name in ("one.mp4", "two.mp4"):
        write_clip(tmp_path / name, frames, fps=8)
    back = read_clip(tmp_path / "one.mp4").numpy()
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames)[:, 20:36, 20:36].max() <= 4
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"no video at all"])
def test_a_clip_that_cannot_be_read_names_its_file(tmp_path: Path, content: bytes | None):
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormatError, match=r"broken\.mp4: the clip cannot be read"):
        read_clip(path)
