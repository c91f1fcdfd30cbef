"""The losses against the table of ML.md 1.2 and the properties of 1.1."""

import math

import pytest
import torch

from models_rm.losses import (
    bt_loss,
    btt_loss,
    btt_nll,
    btt_probabilities,
    btt_soft_nll,
    regression_loss,
)

# d, P(A), P(B), P(tie), loss A, loss B, loss tie, at theta 5.
TABLE = [
    (0.0, 0.166667, 0.166667, 0.666667, 1.791759, 1.791759, 0.405465),
    (0.5, 0.247976, 0.108183, 0.643841, 1.394425, 2.223932, 0.440303),
    (1.0, 0.352187, 0.068533, 0.579279, 1.043592, 2.680433, 0.545971),
    (math.log(5), 0.500000, 0.038462, 0.461538, 0.693147, 3.258097, 0.773190),
    (2.0, 0.596418, 0.026354, 0.377228, 0.516814, 3.636145, 0.974905),
    (4.0, 0.916105, 0.003650, 0.080245, 0.087625, 5.613094, 2.522665),
]
LABELS = torch.tensor([[1, -1, 0]])


def rewards(difference: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A pair with three dimensions that all differ by `difference`."""
    lower = torch.tensor([[0.25, -3.0, 10.0]], dtype=torch.float64)
    return lower + difference, lower


@pytest.mark.parametrize(("d", "p_a", "p_b", "p_tie", "loss_a", "loss_b", "loss_tie"), TABLE)
def test_probabilities_and_losses_are_those_of_the_table(
    d: float, p_a: float, p_b: float, p_tie: float, loss_a: float, loss_b: float, loss_tie: float
) -> None:
    found = btt_probabilities(torch.tensor(d, dtype=torch.float64), 5.0)
    assert found.tolist() == pytest.approx([p_a, p_tie, p_b], abs=5e-7)
    losses = btt_nll(*rewards(d), LABELS, 5.0)
    assert losses[0].tolist() == pytest.approx([loss_a, loss_b, loss_tie], abs=5e-7)


@pytest.mark.parametrize("theta", [1.0001, 1.5, 5.0, 40.0])
def test_the_three_probabilities_sum_to_one(theta: float) -> None:
    gaps = torch.linspace(-8, 8, 33, dtype=torch.float64)
    sums = btt_probabilities(gaps, theta).sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-9)


def test_equal_rewards_tie_with_theta_minus_one_over_theta_plus_one() -> None:
    for theta in (1.5, 2.0, 5.0):
        tie = btt_probabilities(torch.tensor(0.0, dtype=torch.float64), theta)[1]
        assert tie.item() == pytest.approx((theta - 1) / (theta + 1))


def test_theta_near_one_is_plain_bradley_terry() -> None:
    a, b = rewards(0.7)
    nearly = btt_nll(a, b, torch.ones(1, 3), 1 + 1e-9)
    # softplus(-0.7) = log(1 + e^-0.7) = 0.403186
    assert nearly[0].tolist() == pytest.approx([0.403186] * 3, abs=1e-6)


def test_swapping_a_and_b_mirrors_the_label() -> None:
    a, b = rewards(1.3)
    assert torch.equal(btt_nll(a, b, LABELS, 5.0), btt_nll(b, a, -LABELS, 5.0))


def test_huge_differences_stay_finite() -> None:
    for difference in (1000.0, -1000.0):
        a, b = (each.float().requires_grad_() for each in rewards(difference))
        loss = btt_loss(a, b, LABELS, torch.ones(1, 3, dtype=torch.bool), 5.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(a.grad).all()


def test_gradients_are_those_of_the_formulas() -> None:
    d, log_theta = 0.8, math.log(5)

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    a, b = (each.requires_grad_() for each in rewards(d))
    btt_nll(a, b, LABELS, 5.0).sum().backward()
    expected = [
        -sigma(log_theta - d),
        sigma(log_theta + d),
        sigma(log_theta + d) - sigma(log_theta - d),
    ]
    assert a.grad[0].tolist() == pytest.approx(expected)
    assert b.grad[0].tolist() == pytest.approx([-each for each in expected])


def test_masked_entries_change_neither_loss_nor_gradient() -> None:
    a, b = rewards(1.0)
    valid = torch.tensor([[True, False, True]])
    poisoned = a.clone()
    poisoned[0, 1] = math.inf
    poisoned.requires_grad_()
    loss = btt_loss(poisoned, b, LABELS, valid, 5.0)
    # The mean over the two valid entries, not over three: (1.043592 + 0.545971) / 2
    assert loss.item() == pytest.approx(0.794781, abs=1e-6)
    loss.backward()
    assert poisoned.grad[0, 1] == 0


def test_no_valid_entry_gives_zero_with_a_graph() -> None:
    a, b = rewards(1.0)
    a.requires_grad_()
    loss = btt_loss(a, b, LABELS, torch.zeros(1, 3, dtype=torch.bool), 5.0)
    loss.backward()
    assert loss.item() == 0
    assert a.grad.abs().sum() == 0


def test_theta_may_differ_per_dimension() -> None:
    a, b = rewards(0.0)
    losses = btt_nll(a, b, torch.zeros(1, 3), torch.tensor([2.0, 5.0, 9.0]))
    # At equal rewards: minus the log of (theta - 1) over (theta + 1).
    assert losses[0].tolist() == pytest.approx(
        [math.log(3), math.log(1.5), math.log(1.25)], abs=1e-6
    )


@pytest.mark.parametrize("theta", [1.0, 0.5, torch.tensor([5.0, 1.0, 5.0])])
def test_a_theta_that_is_not_above_one_is_refused(theta: float | torch.Tensor) -> None:
    with pytest.raises(ValueError, match="theta must be above 1"):
        btt_nll(*rewards(0.0), LABELS, theta)


def test_a_one_hot_posterior_is_a_label() -> None:
    a, b = rewards(0.6)
    posterior = torch.eye(3, dtype=torch.float64)[[0, 2, 1]][None]  # A, B, tie
    soft, hard = btt_soft_nll(a, b, posterior, 5.0), btt_nll(a, b, LABELS, 5.0)
    assert torch.allclose(soft, hard)


def test_half_precision_is_raised_and_double_is_kept() -> None:
    a, b = rewards(1.0)
    assert btt_nll(a.bfloat16(), b.bfloat16(), LABELS, 5.0).dtype == torch.float32
    assert btt_nll(a, b, LABELS, 5.0).dtype == torch.float64


def test_plain_bradley_terry_leaves_ties_out() -> None:
    a, b = rewards(1.0)
    everything = torch.ones(1, 3, dtype=torch.bool)
    # A: log(1 + e^-1) = 0.313262; B: log(1 + e^1) = 1.313262; the tie is masked
    assert bt_loss(a, b, LABELS, everything).item() == pytest.approx(0.813262, abs=1e-6)
    ties = torch.zeros(1, 3)
    assert bt_loss(a, b, ties, everything).item() == 0


def test_regression_shifts_scores_to_minus_two_up_to_two() -> None:
    reward = torch.tensor([[0.0, 2.0]])
    score = torch.tensor([[3.0, 4.0]])
    # The errors are 0 and 1.
    assert regression_loss(reward, score, torch.ones(1, 2, dtype=torch.bool)).item() == 0.5
