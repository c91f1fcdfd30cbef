"""The identities of rectified flow (ML.md 4.1) and the distributions of t."""

import pytest
import torch

from models_align.config import TimestepSettings
from models_align.flow import (
    draw_timesteps,
    interpolate,
    predicted_data,
    predicted_noise,
    shifted,
    velocity_error,
    velocity_target,
)


@pytest.fixture
def flow() -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(1)
    data, noise = torch.randn(2, 3, 2, 4, 4, 4, generator=chance)
    return {"data": data, "noise": noise, "t": torch.tensor([0.2, 0.5, 0.9])}


def test_the_true_velocity_leads_back_to_data_and_noise(flow):
    x_t = interpolate(flow["data"], flow["noise"], flow["t"])
    v = velocity_target(flow["data"], flow["noise"])
    assert torch.allclose(predicted_data(x_t, v, flow["t"]), flow["data"], atol=1e-6)
    assert torch.allclose(predicted_noise(x_t, v, flow["t"]), flow["noise"], atol=1e-6)


def test_noise_error_is_the_velocity_error_times_one_minus_t_squared(flow):
    x_t = interpolate(flow["data"], flow["noise"], flow["t"])
    v = velocity_target(flow["data"], flow["noise"])
    wrong = v + 0.3
    noise_error = velocity_error(predicted_noise(x_t, wrong, flow["t"]), flow["noise"])
    assert torch.allclose(noise_error, (1 - flow["t"]) ** 2 * velocity_error(wrong, v), atol=1e-6)


def test_an_error_is_a_mean_and_not_a_sum():
    # Off by 2 in every element: 4, whatever the size.
    for size in (3, 300):
        assert velocity_error(torch.full((1, size), 2.0), torch.zeros(1, size)).tolist() == [4.0]


def test_half_precision_is_raised_before_it_is_squared():
    tiny = torch.full((1, 8), 1e-4, dtype=torch.float16)
    assert velocity_error(tiny, torch.zeros_like(tiny)).item() == pytest.approx(1e-8, rel=1e-2)


def test_shift_moves_t_towards_noise():
    # 3 * 0.5 / (1 + 2 * 0.5) = 0.75
    assert shifted(torch.tensor([0.0, 0.5, 1.0]), 3.0).tolist() == [0.0, 0.75, 1.0]
    assert shifted(torch.tensor([0.3]), 1.0).item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("times", "mean"),
    [
        (TimestepSettings(), 0.5),
        (TimestepSettings("logit_normal"), 0.5),
        # E[3u / (1 + 2u)] = 1.5 - 0.75 ln 3
        (TimestepSettings("shifted", shift=3.0), 0.6760),
    ],
)
def test_timesteps_follow_their_distribution(times, mean):
    t = draw_timesteps(20_000, times, torch.Generator().manual_seed(0))
    assert t.mean().item() == pytest.approx(mean, abs=0.01)
    assert ((t > 0) & (t < 1)).all()


def test_shift_zero_takes_that_of_the_generator():
    def draw(settings: TimestepSettings, native: float) -> torch.Tensor:
        chance = torch.Generator().manual_seed(0)
        return draw_timesteps(10, settings, chance, native_shift=native)

    own = draw(TimestepSettings("shifted"), 3.0)
    assert torch.equal(own, draw(TimestepSettings("shifted", shift=3.0), 1.0))
