"""Flow-NRG as arithmetic: sign, strength, clamp, norm clip, both processes, and the control."""

import math
from itertools import pairwise

import pytest
import torch

from models_align.config import ConfigError, GuidanceSettings
from models_align.generators.tiny_wan import gaussian_velocity
from models_align.guidance import Guide, as_long_as, guided_velocity, norm_clipped, reward_shift
from models_align.processes import VPrediction

pytestmark = pytest.mark.one_engine

NOTHING = torch.zeros(1)


class Toy:
    """A reward that is a formula of x_t and t, one dimension."""

    dimensions = ("x",)

    def __init__(self, formula):
        self.formula = formula

    def reward(self, x_t, t, text_embedding):
        return self.formula(x_t, t)


def standard_normal(count=4000, width=1):
    chance = torch.Generator().manual_seed(0)
    return torch.randn(count, width, generator=chance, dtype=torch.float64)


def sampled_by_flow(weight: float, steps: int = 400) -> float:
    """The mean of guided samples of a standard normal; the gradient of log E[exp(x_0) | x_t]."""
    x = standard_normal()
    for now, then in pairwise(torch.linspace(1, 0, steps + 1, dtype=torch.float64)):
        t = now.expand(len(x))
        gradient = torch.ones_like(x) * (1 - now) / ((1 - now).square() + now.square())
        velocity = guided_velocity(gaussian_velocity(x, t), gradient, t, weight, 1000.0)
        x = x - (now - then) * velocity
    return x.mean().item()


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_the_mean_moves_by_the_weight_and_the_other_sign_mirrors_it(weight):
    """p exp(w x) of a standard normal is a normal around w (ML.md 4.5)."""
    start = sampled_by_flow(0.0)
    assert sampled_by_flow(weight) - start == pytest.approx(weight, abs=0.02)
    assert sampled_by_flow(-weight) - start == pytest.approx(-weight, abs=0.02)


def sampled_by_v_prediction(weight: float, steps: int = 500) -> float:
    """DDIM on a cosine schedule. The v of a standard normal is 0 everywhere, its posterior mean
    alpha x_t, so log E[exp(x_0) | x_t] has the gradient alpha."""
    grid = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    process = VPrediction((grid * math.pi / 2).cos().square())
    guide = Guide.of(
        Toy(lambda x_t, t: x_t * process.noised(torch.ones(1, 1), torch.zeros(1, 1), t[:1])),
        GuidanceSettings(weight=weight, max_factor=1000.0),
        process,
    )
    x = standard_normal()
    for now, then in pairwise([*grid.flip(0), torch.tensor(0.0)]):
        t, later = now.expand(len(x)), then.expand(len(x))
        v = guide.applied(torch.zeros_like(x), x, t, NOTHING)
        data, noise = process.predicted_data(x, v, t), process.predicted_noise(x, v, t)
        x = process.noised(data, noise, later).double()
    return x.mean().item()


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_v_prediction_is_guided_by_its_own_noise_to_signal(weight):
    start = sampled_by_v_prediction(0.0)
    assert sampled_by_v_prediction(weight) - start == pytest.approx(weight, abs=0.03)


def test_weight_0_gives_the_velocity_itself():
    velocity, gradient = torch.randn(2, 3), torch.full((2, 3), torch.inf)
    assert guided_velocity(velocity, gradient, 0.5, 0.0, 10.0) is velocity


def test_the_factor_is_clamped_also_where_it_is_infinite():
    gradient = torch.ones(4, 1)
    t = torch.tensor([0.0, 0.5, 0.9, 1.0], dtype=torch.float64)
    moved = -guided_velocity(torch.zeros(4, 1), gradient, t, 2.0, 5.0)
    assert moved[:, 0].tolist() == [0.0, 2.0, 10.0, 10.0]
    ratio = torch.tensor([0.25, torch.inf])
    assert reward_shift(gradient[:2], ratio, 1.0, 3.0)[:, 0].tolist() == [0.25, 3.0]


def test_a_shift_longer_than_its_share_of_the_velocity_is_shortened_and_no_other():
    velocity = torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    shift = torch.tensor([[6.0, 8.0], [0.3, 0.4], [0.0, 0.0], [1.0, 0.0]])
    clipped = norm_clipped(shift, velocity, 0.5)
    # 10 is cut to half of 5; 0.5 is short enough; where nothing moves, nothing is added.
    assert torch.allclose(clipped[0], torch.tensor([1.5, 2.0]))
    assert torch.equal(clipped[1:3], shift[1:3])
    assert clipped[3].tolist() == [0.0, 0.0]
    assert norm_clipped(shift, velocity, 0.0) is shift


def test_the_norm_is_that_of_the_whole_sample_and_of_that_sample_alone():
    velocity, shift = torch.randn(3, 2, 4, 4), 100 * torch.randn(3, 2, 4, 4)
    clipped = norm_clipped(shift, velocity, 0.2)
    shares = clipped.flatten(1).norm(dim=1) / velocity.flatten(1).norm(dim=1)
    assert shares.tolist() == pytest.approx([0.2] * 3)
    assert torch.equal(norm_clipped(shift[1:2], velocity[1:2], 0.2), clipped[1:2])


def test_a_guide_clamps_first_and_clips_then():
    """At t = 0.9 the factor 9 becomes 2: the shift 2 x 2 = 4 exceeds half of 4, and becomes 2."""
    toy = Toy(lambda x_t, _: x_t)
    velocity, x, t = torch.tensor([[4.0]]), torch.tensor([[1.0]]), torch.tensor([0.9])
    settings = GuidanceSettings(weight=2.0, max_factor=2.0)
    assert Guide.of(toy, settings).applied(velocity, x, t, NOTHING).item() == 0.0
    clipped = GuidanceSettings(weight=2.0, max_factor=2.0, max_norm=0.5)
    assert Guide.of(toy, clipped).applied(velocity, x, t, NOTHING).item() == 2.0


def test_the_control_pushes_as_hard_and_somewhere_else():
    model = Toy(lambda x_t, _: 3 * x_t[:, :1])
    control = Toy(lambda x_t, _: 0.01 * x_t[:, 1:])
    x, t = torch.randn(2, 2), torch.full((2,), 0.5)
    guide = Guide.of(model, GuidanceSettings(weight=1.0, untrained=1), control=control)
    shift = -guide.applied(torch.zeros(2, 2), x, t, NOTHING)
    assert torch.allclose(shift, torch.tensor([[0.0, 3.0], [0.0, 3.0]]))
    assert as_long_as(torch.zeros(1, 2), torch.ones(1, 2)).tolist() == [[0.0, 0.0]]


def test_settings_of_the_clip_are_read_and_checked():
    assert GuidanceSettings.from_json({"max_norm": 1}).max_norm == 1.0
    with pytest.raises(ConfigError, match="max_norm must be 0 \\(no clip\\) or more, got -1"):
        GuidanceSettings.from_json({"max_norm": -1})
    with pytest.raises(ConfigError, match="untrained must be 0 \\(the model\\) or more, got -1"):
        GuidanceSettings.from_json({"untrained": -1})
