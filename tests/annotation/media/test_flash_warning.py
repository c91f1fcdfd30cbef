"""General flashes within a second, as WCAG 2.3.1 counts them."""

import numpy as np
import pytest

from annotation.media.flashes import SAFE, most_flashes, relative_luminance


def clip(levels: list[float], *, fps: float = 24, share: float = 1.0) -> float:
    """Flashes of a clip of which `share` has these luminances, one per frame; the rest is black."""
    pictures = np.zeros((len(levels), 20, 20))
    pictures[:, : round(20 * share), :] = np.array(levels)[:, None, None]
    return most_flashes(pictures, np.arange(len(levels)) / fps)


def blinking(times: int, *, low: float = 0.0, high: float = 1.0) -> list[float]:
    """So many flashes within the first second at 24 frames per second, then rest."""
    return ([low, high] * times + [low] * 24)[:48]


def test_a_still_clip_has_none():
    assert clip([0.5] * 48) == 0


def test_one_picture_has_none():
    assert clip([1.0]) == 0


@pytest.mark.parametrize("times", [1, 2, 3, 4, 8])
def test_a_pair_of_opposing_changes_is_one_flash(times):
    # low, high, low: two changes each
    assert clip(blinking(times)) == times


def test_three_are_safe_and_four_are_not():
    assert clip(blinking(3)) <= SAFE < clip(blinking(4))


def test_every_frame_black_then_white():
    # A second at 24 frames per second holds 24 changes once the clip runs.
    assert clip([0.0, 1.0] * 24) == 12


def test_only_what_lies_within_one_second_adds_up():
    slow = [0.0] * 12 + [1.0] * 12  # one flash each second
    assert clip(slow * 6) == 1


@pytest.mark.parametrize(("low", "high", "flashes"), [(0.0, 0.09, 0), (0.0, 0.11, 4)])
def test_a_change_below_a_tenth_of_the_maximum_is_none(low, high, flashes):
    assert clip(blinking(4, low=low, high=high)) == flashes


@pytest.mark.parametrize(("low", "flashes"), [(0.85, 0), (0.75, 4)])
def test_where_the_darker_picture_is_bright_it_is_none(low, flashes):
    assert clip(blinking(4, low=low, high=1.0)) == flashes


@pytest.mark.parametrize(("share", "flashes"), [(0.2, 0), (0.25, 4), (0.5, 4)])
def test_it_counts_from_a_quarter_of_the_picture(share, flashes):
    assert clip(blinking(4), share=share) == flashes


def test_a_slow_rise_over_many_frames_is_one_change():
    ramp = list(np.linspace(0, 1, 12)) + list(np.linspace(1, 0, 12))
    assert clip(ramp * 2) == 1


def test_the_clock_decides_and_not_the_number_of_frames():
    pictures = np.zeros((9, 4, 4))
    pictures[1::2] = 1.0
    assert most_flashes(pictures, np.arange(9) / 8) == 4
    assert most_flashes(pictures, np.arange(9.0)) == 0.5


def test_luminance_is_that_of_srgb():
    found = relative_luminance(
        np.array([[[[255, 255, 255], [0, 0, 0], [188, 188, 188]]]], np.uint8)
    )
    # 188 of 255 is half of white's light
    assert found[0, 0] == pytest.approx([1.0, 0.0, 0.5], abs=0.005)
