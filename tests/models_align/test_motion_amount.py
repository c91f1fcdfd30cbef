"""How much a clip moves, from its pixels alone."""

import numpy as np
import pytest
import torch

from models_align.motion import motion_amount

pytestmark = pytest.mark.one_engine


def clip(speed: int, *, size: int = 64, frames: int = 9) -> torch.Tensor:
    """A bright square that goes right by `speed` pixels per frame in front of a ramp."""
    picture = torch.linspace(40, 90, size).repeat(size, 1)
    pictures = picture.repeat(frames, 1, 1)
    for number in range(frames):
        left = 4 + number * speed
        pictures[number, 24:40, left : left + 16] = 220
    return pictures.to(torch.uint8)[..., None].repeat(1, 1, 1, 3)


def test_a_clip_that_stands_still_has_none() -> None:
    assert motion_amount(clip(0)) == 0
    assert motion_amount(clip(3)[:1]) == 0


def test_the_same_movement_faster_is_more() -> None:
    amounts = [motion_amount(clip(speed)) for speed in (0, 1, 2, 4)]
    assert amounts == sorted(amounts)
    assert amounts[3] > 2 * amounts[1] > 0


def test_flicker_is_no_movement() -> None:
    strength = torch.tensor([1.0, 0.8, 1.1, 0.9, 1.05, 0.85, 1.0, 0.9, 1.1])
    flickering = (clip(0).float() * strength[:, None, None, None]).round().to(torch.uint8)
    assert motion_amount(flickering) < 0.05 * motion_amount(clip(1))
    moving = (clip(2).float() * strength[:, None, None, None]).round().to(torch.uint8)
    assert motion_amount(moving) == pytest.approx(motion_amount(clip(2)), rel=0.05)


def test_weak_noise_is_no_movement() -> None:
    noise = torch.randn(9, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    noisy = (clip(0).float() + 2 * noise).round().clamp(0, 255).to(torch.uint8)
    assert motion_amount(noisy) < 0.02 * motion_amount(clip(1))


def test_a_washed_out_clip_moves_as_much_as_a_clear_one() -> None:
    washed = (0.6 * clip(2).float() + 60).to(torch.uint8)
    assert motion_amount(washed) == pytest.approx(motion_amount(clip(2)), rel=0.15)


def test_the_size_of_the_picture_does_not_matter() -> None:
    large = clip(2).repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert motion_amount(large) == pytest.approx(motion_amount(clip(2)), rel=0.01)


def test_a_picture_of_one_colour_is_still_whatever_its_brightness_does() -> None:
    levels = torch.arange(9, dtype=torch.uint8) * 20
    assert motion_amount(levels[:, None, None, None].expand(9, 32, 32, 3)) == 0


def test_arrays_are_read_as_tensors_are_and_another_shape_is_refused() -> None:
    assert motion_amount(clip(2).numpy()) == motion_amount(clip(2))
    with pytest.raises(ValueError, match=r"expected frames \[T, H, W, 3\]"):
        motion_amount(np.zeros((9, 64, 64), np.uint8))
