"""Two processes behind one interface: identities that hold for both, and each one's own numbers."""

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from models_align.config import TimestepSettings
from models_align.flow import interpolate, velocity_target
from models_align.processes import Process, RectifiedFlow, VPrediction


def cogvideo_schedule() -> CogVideoXDDIMScheduler:
    return CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0
    )


PROCESSES = [RectifiedFlow(), VPrediction(cogvideo_schedule().alphas_cumprod)]
T = torch.tensor([0.001, 0.25, 0.7, 0.999])


def data_and_noise() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, 3, 4, 4, generator=chance), torch.randn(
        4, 2, 3, 4, 4, generator=chance
    )


@pytest.mark.parametrize("process", PROCESSES, ids=lambda each: each.name)
def test_the_right_prediction_leads_back_to_clip_and_noise(process: Process):
    data, noise = data_and_noise()
    x_t, target = process.noised(data, noise, T), process.target(data, noise, T)
    assert torch.allclose(process.predicted_data(x_t, target, T), data, atol=1e-5)
    assert torch.allclose(process.predicted_noise(x_t, target, T), noise, atol=1e-5)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda each: each.name)
def test_a_shift_of_the_score_is_that_shift_of_the_prediction_times_the_noise_to_signal(
    process: Process,
):
    """score = -eps / sigma. If the score gains g, eps loses sigma g; the prediction then loses
    noise_to_signal(t) g, whatever the process."""
    data, noise = data_and_noise()
    gradient = torch.randn(data.shape, generator=torch.Generator().manual_seed(1))
    x_t, target = process.noised(data, noise, T), process.target(data, noise, T)
    factor = process.noise_to_signal(T).float().view(-1, 1, 1, 1, 1)
    moved = process.predicted_noise(x_t, target - factor * gradient, T)
    sigma = process.noised(torch.zeros_like(data), torch.ones_like(data), T)
    assert torch.allclose(moved, noise - sigma * gradient, atol=1e-4)


def test_a_rectified_flow_is_what_it_was():
    data, noise = data_and_noise()
    process = RectifiedFlow()
    assert torch.equal(process.noised(data, noise, T), interpolate(data, noise, T))
    assert torch.equal(process.target(data, noise, T), velocity_target(data, noise))
    # 0.25 / 0.75 = 1/3
    assert process.noise_to_signal(torch.tensor(0.25)).item() == pytest.approx(1 / 3)


def test_v_prediction_is_that_of_the_schedule_of_diffusers():
    schedule = cogvideo_schedule()
    process = VPrediction(schedule.alphas_cumprod)
    data, noise = data_and_noise()
    steps = torch.tensor([0, 249, 700, 999])
    t = (steps + 1) / 1000
    assert torch.allclose(
        process.noised(data, noise, t), schedule.add_noise(data, noise, steps), atol=1e-6
    )
    assert torch.allclose(
        process.target(data, noise, t), schedule.get_velocity(data, noise, steps), atol=1e-6
    )


def test_v_prediction_knows_both_ends():
    data, noise = data_and_noise()
    process = VPrediction(cogvideo_schedule().alphas_cumprod)
    assert torch.equal(process.noised(data, noise, torch.zeros(4)), data)
    # Zero terminal signal: the last step is noise alone, and the ratio infinite.
    assert torch.allclose(process.noised(data, noise, torch.ones(4)), noise, atol=1e-6)
    assert process.noise_to_signal(torch.ones(1)).item() == float("inf")
    assert process.noise_to_signal(torch.zeros(1)).item() == 0


def test_draws_of_v_prediction_lie_on_its_grid_and_cover_it():
    process = VPrediction(torch.linspace(0.9, 0.1, 4))
    t = process.draw(400, TimestepSettings(), torch.Generator().manual_seed(0))
    found, counts = t.unique(return_counts=True)
    assert found.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert counts.min() > 70


def test_both_draw_from_the_same_chance():
    settings = TimestepSettings(distribution="logit_normal")
    u = RectifiedFlow().draw(8, settings, torch.Generator().manual_seed(3))
    grid = PROCESSES[1].draw(8, settings, torch.Generator().manual_seed(3))
    assert ((grid - u) >= 0).all()
    assert ((grid - u) <= 0.001 + 1e-6).all()


def test_a_schedule_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected one number per timestep"):
        VPrediction(torch.ones(2, 2))
