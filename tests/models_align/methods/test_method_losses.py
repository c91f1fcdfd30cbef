"""The vectors and signs of ML.md 4.2, 4.3, 4.5 and 5.1."""

import itertools
import math

import pytest
import torch

from models_align.guidance import guided_velocity
from models_align.methods.flow_dpo import flow_dpo_loss, squared_schedule
from models_align.methods.gapo import gap_factor, gapo_loss, normalised
from models_align.methods.rwr import effective_sample_size, rwr_loss, rwr_weights
from models_align.methods.sft import sft_loss
from models_align.processes import VPrediction

SAME = torch.tensor([0.7, 1.3], dtype=torch.float64)


def test_flow_dpo_is_ln_2_where_policy_equals_reference():
    loss = flow_dpo_loss(SAME, SAME + 1, SAME, SAME + 1, 500.0)
    assert loss.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-12)


def test_flow_dpo_gives_the_sigmoid_of_z():
    # e_w falls by 1e-3 and e_l stays: z = -0.5 * 500 * (-1e-3) = 0.25
    w, reference = torch.tensor([0.999]), torch.tensor([1.0])
    loss = flow_dpo_loss(w, reference, reference, reference, 500.0)
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.25))), abs=1e-4)


def test_flow_dpo_pulls_the_winner_down_and_pushes_the_loser_up():
    w, l = SAME.clone().requires_grad_(), (SAME + 1).requires_grad_()  # noqa: E741
    flow_dpo_loss(w, l, SAME, SAME + 1, 500.0).sum().backward()
    # dL/de_w = beta/2 * sigmoid(-z) = 500/2 * 1/2
    assert w.grad.tolist() == [125.0, 125.0]
    assert l.grad.tolist() == [-125.0, -125.0]


def test_flow_dpo_takes_beta_per_sample():
    better, reference = torch.tensor([0.9, 0.9]), torch.tensor([1.0, 1.0])
    loss = flow_dpo_loss(better, reference, reference, reference, torch.tensor([0.0, 20.0]))
    # z = 0 and 0.5 * 20 * 0.1 = 1
    assert loss.tolist() == pytest.approx([math.log(2), math.log1p(math.exp(-1))], abs=1e-6)


def test_flow_dpo_stays_finite_far_out():
    loss = flow_dpo_loss(
        torch.tensor([1e3]), torch.tensor([0.0]), torch.zeros(1), torch.zeros(1), 1e3
    )
    assert loss.item() == pytest.approx(5e5)


def test_the_squared_schedule_ends_at_beta_and_begins_at_nothing():
    t = torch.tensor([0.0, 0.5, 1.0])
    assert squared_schedule(500.0, t).tolist() == [500.0, 125.0, 0.0]


@pytest.mark.parametrize(
    ("alpha", "rewards", "factor"),
    [
        (2.0, (0.85, 0.60), 0.2868),
        (2.0, (0.30, 0.05), 0.1959),
        (2.0, (0.70, 0.69), 0.0112),
        (2.0, (1.0, 0.0), 1.0),
        (3.0, (0.85, 0.60), 0.6110),
        (3.0, (0.30, 0.05), 0.3339),
    ],
)
def test_the_gap_factor_of_gapo(alpha, rewards, factor):
    w, l = (torch.tensor([each], dtype=torch.float64) for each in rewards)  # noqa: E741
    assert gap_factor(w, l, alpha).item() == pytest.approx(factor, abs=1e-4)


def test_gapo_weighs_each_pair_before_any_mean():
    # Factors .287 and .011, losses .2 and 1.5: 0.0370 on average; the mean first would give 0.1266.
    target = torch.tensor([0.2, 1.5], dtype=torch.float64)
    z = -torch.log(torch.expm1(target))  # softplus(-z) = loss
    zero = torch.zeros(2, dtype=torch.float64)
    reward_w = torch.log2(torch.tensor([1.287, 1.011], dtype=torch.float64))
    loss = gapo_loss(-z, zero, zero, zero, 2.0, gap_factor(reward_w, zero))
    assert loss.mean().item() == pytest.approx(0.0370, abs=1e-4)


def test_gapo_at_the_start_is_the_factor_times_ln_2():
    w, l = torch.tensor([0.85, 0.30]), torch.tensor([0.60, 0.05])  # noqa: E741
    loss = gapo_loss(SAME, SAME, SAME, SAME, 500.0, gap_factor(w, l))
    assert loss.tolist() == pytest.approx([0.2868 * math.log(2), 0.1959 * math.log(2)], abs=1e-4)


@pytest.mark.parametrize(("w", "l"), [(0.5, 0.5), (0.4, 0.6), (1.2, 0.1), (0.5, -0.1)])
def test_gapo_refuses_rewards_that_make_no_pair(w, l):  # noqa: E741
    with pytest.raises(ValueError, match="reward"):
        gap_factor(torch.tensor([w]), torch.tensor([l]))


def test_the_error_of_v_is_that_of_the_clip_as_the_released_code_weighs_it():
    """ML.md 5.1: the squared error of x_0 over 1 - abar is the squared error of v."""
    process = VPrediction(torch.tensor([0.9, 0.5, 0.02], dtype=torch.float64))
    t = torch.tensor([1, 2, 3], dtype=torch.float64) / 3
    chance = torch.Generator().manual_seed(0)
    data, noise, off = torch.randn(3, 3, 40, generator=chance, dtype=torch.float64)
    x_t, target = process.noised(data, noise, t), process.target(data, noise, t)
    of_v = off.square().mean(1)
    x_0 = process.predicted_data(x_t, target + off, t)
    weighted = (x_0 - data).square().mean(1) / torch.tensor([0.1, 0.5, 0.98]).double()
    assert torch.allclose(weighted, of_v, rtol=1e-5)


@pytest.mark.parametrize("sides", [(1.0, 1.0), (0.7, 1.4)])
def test_gradients_are_those_of_the_formulas_in_float64(sides):
    given = [torch.full((2,), each, dtype=torch.float64, requires_grad=True) for each in sides]
    factor = torch.tensor([0.3, 1.0], dtype=torch.float64)
    for loss in (
        lambda w, l: flow_dpo_loss(w, l, SAME, SAME, 3.0),  # noqa: E741
        lambda w, l: gapo_loss(w, l, SAME, SAME, 3.0, factor),  # noqa: E741
        lambda w, l: rwr_loss(w, factor) + rwr_loss(l, 1 - factor),  # noqa: E741
        lambda w, _: sft_loss(w),
    ):
        assert torch.autograd.gradcheck(loss, given)


def test_one_pair_loses_the_same_alone_and_among_many():
    chance = torch.Generator().manual_seed(1)
    four = torch.rand(4, 6, generator=chance, dtype=torch.float64)
    factor = torch.rand(6, generator=chance, dtype=torch.float64)
    together = gapo_loss(*four, 40.0, factor)
    alone = [gapo_loss(*four[:, n : n + 1], 40.0, factor[n : n + 1]) for n in range(6)]
    assert torch.equal(together, torch.cat(alone))


def test_the_factor_carries_no_gradient_and_its_mean_can_be_one():
    w = torch.tensor([0.9, 0.5], requires_grad=True)
    factor = gap_factor(w, torch.zeros(2))
    assert not factor.requires_grad
    assert normalised(factor).mean().item() == pytest.approx(1.0)


def test_the_example_of_rwr():
    # exp([.2, -1, 1.5, .4]) / mean = .6460, .1946, 2.3704, .7890; ESS 2.389
    weights = rwr_weights([0.2, -1.0, 1.5, 0.4], None, 1.0, 5.0)
    assert weights.tolist() == pytest.approx([0.6460, 0.1946, 2.3704, 0.7890], abs=1e-4)
    assert effective_sample_size(weights).item() == pytest.approx(2.389, abs=1e-3)


def test_rwr_weights_have_mean_one_within_each_group():
    rewards = torch.tensor([1.0, 0.0, 500.0, 501.0], dtype=torch.float64)
    weights = rwr_weights(rewards, [7, 7, 3, 3], 0.5, 5.0)
    # softmax([2, 0]) * 2 and softmax([0, 2]) * 2: a shift of a whole group changes nothing.
    assert weights.tolist() == pytest.approx([1.7616, 0.2384, 0.2384, 1.7616], abs=1e-4)


def test_rwr_weights_are_cut_and_temperature_is_checked():
    assert rwr_weights([100.0, *[0.0] * 9], None, 1.0, 5.0).max().item() == 5.0
    with pytest.raises(ValueError, match="temperature must be above 0"):
        rwr_weights([1.0], None, 0.0, 5.0)
    with pytest.raises(ValueError, match="one group per reward"):
        rwr_weights([1.0, 2.0], [0], 1.0, 5.0)


def test_rwr_weighs_and_sft_leaves_the_error():
    error = torch.tensor([2.0, 3.0])
    assert rwr_loss(error, torch.tensor([0.5, 2.0])).tolist() == [1.0, 6.0]
    assert sft_loss(error) is error


def test_guidance_with_weight_zero_is_the_velocity_bit_for_bit():
    velocity = torch.randn(2, 3)
    assert torch.equal(
        guided_velocity(velocity, torch.full((2, 3), torch.nan), 0.5, 0.0, 10.0), velocity
    )


@pytest.mark.parametrize(
    ("t", "factor"), [(0.5, 1.0), (0.9, 9.0), (0.99, 10.0), (1.0, 10.0), (0.0, 0.0)]
)
def test_guidance_subtracts_the_clamped_factor_times_the_gradient(t, factor):
    shift = guided_velocity(torch.zeros(1, 4), torch.ones(1, 4), t, 2.0, 10.0)
    assert shift[0, 0].item() == pytest.approx(-2.0 * factor, rel=1e-6)


def test_guidance_takes_a_time_per_sample():
    shift = guided_velocity(
        torch.zeros(2, 1, 2), torch.ones(2, 1, 2), torch.tensor([0.5, 0.75]), 1.0, 10.0
    )
    assert shift[:, 0, 0].tolist() == pytest.approx([-1.0, -3.0])


def test_guidance_moves_a_gaussian_to_the_tilted_mean():
    """Data N(0, 1), reward r(x) = x: the target exp(w x) N(0, 1) has mean w (ML.md 4.5)."""
    t_grid = torch.linspace(1, 0, 201, dtype=torch.float64)
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for now, later in itertools.pairwise(t_grid):
        variance = (1 - now) ** 2 + now**2
        velocity = x * (now - (1 - now)) / variance  # E[eps - x0 | x_t]
        # The reward of the data that x_t leads to: E[x0 | x_t] = (1-t) x_t / variance.
        gradient = torch.full_like(x, (1 - now) / variance)
        x = x - (now - later) * guided_velocity(velocity, gradient, now, 0.5, 1e9)
    assert x.mean().item() == pytest.approx(0.5, abs=0.03)
