"""Temporal flickering is the official function's value on the same clips.

The formula is written here once more, in few lines, as vbench/temporal_flickering.py has it.
"""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from demo.clip_files import write_clip
from formats.vbench import FLICKERING
from measuring.clips import Flickering, measured_clip, temporal_flickering
from measuring.decoding import frames_of
from measuring.errors import ClipUnreadableError

pytestmark = pytest.mark.one_engine


def official(frames: list[NDArray[np.uint8]]) -> float:
    """mae_seq and cal_score: float32 differences, one mean per step, a mean of these."""
    pairs = pairwise(frames)
    maes = [np.mean(np.abs(a.astype(np.float32) - b.astype(np.float32))) for a, b in pairs]
    return float((255.0 - np.mean(np.array(maes)).item()) / 255.0)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    still = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frames = np.stack([np.roll(still, 3 * n, 1) for n in range(7)])
    frames[3:] //= 2
    write_clip(tmp_path / "clip.mp4", frames, fps=8)
    return tmp_path / "clip.mp4"


def test_a_clip_has_the_official_value_to_the_last_bit(clip: Path) -> None:
    expected = official(list(frames_of(clip)))
    assert 0.5 < expected < 0.99
    assert measured_clip(clip, flickering=True, proxies=False) == {FLICKERING: expected}


@pytest.mark.shared
def test_real_clips_have_the_official_value(shared: Path) -> None:
    """Beside it, what the official function itself gave for them once, decoding with OpenCV 4.10
    (docs/decisions/0031-vbench.md)."""
    folder = shared / "data" / "videoalign" / "videos"
    known = {"example_1_A.mp4": 0.9899082763522279, "example_3_B.mp4": 0.9468729393154967}
    for name, value in known.items():
        frames = list(frames_of(folder / name))
        assert temporal_flickering(frames) == official(frames) == pytest.approx(value, abs=1e-6)


def test_colours_are_read_by_the_matrix_of_opencv(clip: Path) -> None:
    """Our clips say BT.709; OpenCV 4 does not listen, and so the official value is another one."""
    found = list(frames_of(clip))
    with av.open(str(clip)) as container:
        decoded = list(container.decode(video=0))
    assert decoded[0].colorspace == Colorspace.ITU709
    plain = [each.to_ndarray(format="bgr24") for each in decoded]
    by_601 = [
        each.reformat(format="bgr24", src_colorspace=Colorspace.ITU601).to_ndarray()
        for each in decoded
    ]
    assert np.array_equal(found, by_601)
    assert not np.array_equal(found, plain)


def test_a_still_clip_has_one_and_black_to_white_has_nothing() -> None:
    still = np.full((4, 8, 8, 3), 90, dtype=np.uint8)
    assert temporal_flickering(still) == 1.0
    flip = np.stack([np.full((8, 8, 3), value, dtype=np.uint8) for value in (0, 255, 0)])
    assert temporal_flickering(flip) == 0.0


def test_a_difference_does_not_wrap_around() -> None:
    """10 - 250 is 240 apart, and not 16 as in eight bits."""
    dark, light = (np.full((4, 4, 3), value, dtype=np.uint8) for value in (10, 250))
    assert temporal_flickering([dark, light]) == pytest.approx(1 - 240 / 255)
    assert temporal_flickering([light, dark]) == pytest.approx(1 - 240 / 255)


def test_one_frame_is_too_few(tmp_path: Path) -> None:
    write_clip(tmp_path / "one.mp4", np.zeros((1, 16, 16, 3), dtype=np.uint8), fps=8)
    with pytest.raises(ClipUnreadableError, match=r"one\.mp4: the clip needs at least two frames"):
        measured_clip(tmp_path / "one.mp4", flickering=True, proxies=True)


def test_frames_of_two_sizes_are_refused() -> None:
    counted = Flickering()
    counted.add(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ClipUnreadableError, match="changes from 4 x 4 to 8 x 4"):
        counted.add(np.zeros((4, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "the clip is missing"),
        (b"", "the clip cannot be read"),
        (b"no clip at all" * 50, "the clip cannot be read"),
    ],
)
def test_what_is_no_clip_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "bad.mp4"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ClipUnreadableError, match=rf"bad\.mp4: {sentence}"):
        measured_clip(file, flickering=True, proxies=False)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
def test_a_clip_that_is_cut_off_is_not_measured(clip: Path, share: float) -> None:
    whole = clip.read_bytes()
    clip.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ClipUnreadableError, match=r"clip\.mp4: the clip"):
        measured_clip(clip, flickering=True, proxies=False)
