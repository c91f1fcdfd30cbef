"""Weight-free proxies: each says what its name says, and none is called like a dimension."""

import numpy as np
import pytest
from numpy.typing import NDArray

from formats.vbench import PROTOCOLS
from formats.vbench_proxies import (
    BRIGHTNESS,
    COLOURFULNESS,
    CONTRAST,
    JUMPS,
    MEANINGS,
    MOTION,
    SHARPNESS,
    STILL,
)
from formats.vbench_results import PROXY, Value, VBenchResult
from measuring.proxies import Proxies

pytestmark = pytest.mark.one_engine
Clip = NDArray[np.uint8]


def values_of(clip: Clip) -> dict[str, float]:
    found = Proxies()
    for frame in clip:
        found.add(frame)
    return found.values()


def noise(frames: int = 6, height: int = 48, width: int = 64, *, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def square_at(places: list[int], *, size: int = 64) -> Clip:
    clip = np.full((len(places), size, size, 3), 40, dtype=np.uint8)
    for frame, place in zip(clip, places, strict=True):
        frame[20:40, place : place + 12] = (200, 120, 60)
    return clip


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 77), (180, 97), (16, 16), (33, 20)])
def test_the_motion_amount_is_that_of_the_alignment_package(height: int, width: int) -> None:
    from models_align.motion import motion_amount

    clip = noise(5, height, width)
    clip[2:] = (clip[2:] // 3) + 20
    expected = motion_amount(np.ascontiguousarray(clip[..., ::-1]))  # it reads red first
    assert values_of(clip)[MOTION] == pytest.approx(expected, rel=2e-4)


def test_a_clip_that_stands_still_has_no_motion() -> None:
    found = values_of(square_at([10] * 5))
    assert found[MOTION] == 0
    assert found[STILL] == 1
    assert found[JUMPS] == 0


def test_what_moves_further_has_more_motion() -> None:
    slow, fast = square_at([10, 12, 14, 16]), square_at([10, 14, 18, 22])
    assert 0 < values_of(slow)[MOTION] < values_of(fast)[MOTION]
    assert values_of(square_at([10, 10, 22, 22]))[STILL] == pytest.approx(2 / 3)


def test_flicker_is_a_jump_of_brightness_and_no_motion() -> None:
    clip = square_at([10] * 4)
    clip[1::2] += 25
    found = values_of(clip)
    assert found[JUMPS] == pytest.approx(100 * 25 / 255, rel=1e-3)
    assert found[MOTION] < 0.5


def test_a_blurred_clip_is_less_sharp() -> None:
    clip = noise()
    blurred = np.stack([clip, np.roll(clip, 1, 1), np.roll(clip, 1, 2)]).mean(0).astype(np.uint8)
    assert values_of(blurred)[SHARPNESS] < 0.7 * values_of(clip)[SHARPNESS]


def test_brightness_contrast_and_colour_are_those_of_the_picture() -> None:
    grey = values_of(np.full((3, 32, 32, 3), 128, dtype=np.uint8))
    assert grey[BRIGHTNESS] == pytest.approx(100 * 128 / 255, abs=1e-3)
    assert grey[CONTRAST] == pytest.approx(0, abs=1e-4)
    assert grey[COLOURFULNESS] == pytest.approx(0, abs=1e-3)
    assert values_of(noise())[COLOURFULNESS] > 50


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 1), (1, 40)])
def test_a_tiny_picture_has_finite_values(shape: tuple[int, int]) -> None:
    assert all(np.isfinite(list(values_of(noise(3, *shape)).values())))


def test_no_proxy_carries_the_name_of_a_dimension() -> None:
    dimensions = {key for each in PROTOCOLS.values() for key in each.names}
    assert set(values_of(noise())) == set(MEANINGS)
    for name in MEANINGS:
        assert name.startswith(PROXY)
        assert name.removeprefix(PROXY) not in dimensions


def test_a_proxy_enters_no_total_whatever_it_is_given_as() -> None:
    from formats.errors import FormatError

    with pytest.raises(FormatError, match="proxy:motion_amount is a proxy and no dimension"):
        VBenchResult("t2v", {MOTION: Value(0.5, "computed")})
    with pytest.raises(FormatError, match="must be named proxy:…"):
        VBenchResult("t2v", {}, {"dynamic_degree": 0.5})
    every = dict.fromkeys(PROTOCOLS["t2v"].names, Value(0.5, "imported"))
    assert (
        VBenchResult("t2v", every, {MOTION: 99.0}).totals() == VBenchResult("t2v", every).totals()
    )
