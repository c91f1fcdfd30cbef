"""Each loss: its gradient in float64, and what must hold for any rewards."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models_rm.config import RewardModelConfig
from models_rm.losses import (
    bt_nll,
    btt_class_nll,
    btt_nll,
    btt_probabilities,
    btt_soft_nll,
    margin_nll,
    regression_error,
)
from models_rm.networks.network import Rewards
from models_rm.networks.thetas import Thetas
from models_rm.networks.uncertainty import gaussian_nll, probit_scale
from models_rm.preferences.data import pairs_of
from models_rm.training.objective import entry_losses
from tests.models_rm.ready_preferences import pair

LABELS = torch.tensor([[1, -1, 0], [0, 1, -1]])
NUMBERS = st.floats(-1000, 1000)
THETAS = st.floats(1.001, 100)

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Loss] = {
    "btt": lambda a, b: btt_nll(a, b, LABELS, torch.tensor([1.5, 5.0, 9.0]).double()),
    "btt soft": lambda a, b: btt_soft_nll(a, b, torch.rand(2, 3, 3).double(), 5.0),
    "bt": lambda a, b: bt_nll(a, b, LABELS),
    "margin": lambda a, b: margin_nll(a, b, LABELS, torch.linspace(-1, 2, 6).view(2, 3).double()),
    "constant margin": lambda a, b: margin_nll(a, b, LABELS, 0.57),
    "regression": lambda a, b: regression_error(a, torch.full((2, 3), 4.0)) + 0 * b,
    "uncertain": lambda a, b: btt_class_nll(a, 5.0, probit_scale(b.exp())),
    "gaussian": lambda a, b: gaussian_nll(a, b),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_gradient_is_that_of_the_differences(name: str) -> None:
    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return LOSSES[name](a, b)

    torch.manual_seed(1)
    a, b = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(loss, (a, b))


def test_the_gradient_by_a_learned_theta_is_that_of_the_differences() -> None:
    def loss(theta: torch.Tensor) -> torch.Tensor:
        gap = torch.linspace(-3, 3, 6, dtype=torch.float64).view(2, 3)
        return btt_nll(gap, torch.zeros_like(gap), LABELS, theta)

    theta = torch.tensor([1.1, 5.0, 9.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (theta,))


def test_the_gradient_by_the_logarithm_of_theta_is_that_of_the_formulas() -> None:
    d, theta = 0.8, 5.0
    log_theta = torch.tensor(math.log(theta), dtype=torch.float64, requires_grad=True)
    a_wins, tie, _ = btt_class_nll(torch.tensor(d).double(), log_theta.exp()).unbind(-1)
    by_a = torch.autograd.grad(a_wins, log_theta, retain_graph=True)[0].item()
    by_tie = torch.autograd.grad(tie, log_theta)[0].item()

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    assert by_a == pytest.approx(sigma(math.log(5) - d), abs=1e-6)
    expected = sigma(math.log(5) - d) + sigma(math.log(5) + d) - 2 * theta**2 / (theta**2 - 1)
    assert by_tie == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("uncertain", [False, True])
def test_a_step_over_all_kinds_of_loss_has_the_gradient_of_the_differences(uncertain: bool) -> None:
    kinds = ("btt", "bt", "margin", "constant_margin", "regression")
    keys = tuple("abcde")
    words = ("A", "B", "tie", "B")
    rows = [
        pair(n, dict.fromkeys(keys, word), scores_a={"c": 4.0, "e": 2.0}, scores_b={"c": 3.5})
        for n, word in enumerate(words)
    ]
    pairs = pairs_of(rows, keys)
    config = RewardModelConfig(
        loss=dict(zip(keys, kinds, strict=True)), learn_theta=True, dimension_weights={"b": 2.0}
    )
    theta = Thetas([5.0] * 5, learned=True).double()

    def loss(*given: torch.Tensor) -> torch.Tensor:
        a, b, spread_a, spread_b, _ = given
        outputs = (Rewards(a, spread_a), Rewards(b, spread_b)) if uncertain else (
            Rewards(a), Rewards(b)
        )  # fmt: skip
        return entry_losses(*outputs, pairs, np.arange(4), config, theta)[0]

    torch.manual_seed(0)
    given_ = [torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(loss, (*given_, theta.raw))


@given(d=NUMBERS, theta=THETAS)
@settings(deadline=None)
def test_probabilities_sum_to_one_and_mirror_when_a_and_b_change_places(
    d: float, theta: float
) -> None:
    gap = torch.tensor(d, dtype=torch.float64)
    found, swapped = btt_probabilities(gap, theta), btt_probabilities(-gap, theta)
    assert found.sum().item() == pytest.approx(1, abs=1e-9)
    assert torch.equal(found.flip(-1), swapped)


@given(d=NUMBERS, theta=THETAS, variance=st.floats(0, 1e4))
@settings(deadline=None)
def test_losses_and_gradients_are_finite_and_mirrored(
    d: float, theta: float, variance: float
) -> None:
    gap = torch.tensor(d, dtype=torch.float32, requires_grad=True)
    scale = probit_scale(torch.tensor(variance))
    nll = btt_class_nll(gap, theta, scale)
    nll.sum().backward()
    assert torch.isfinite(nll).all()
    assert torch.isfinite(gap.grad).all()
    assert torch.equal(btt_class_nll(-gap, theta, scale), nll.flip(-1))


@given(d=st.floats(-20, 20))
@settings(deadline=None)
def test_theta_towards_one_is_bradley_terry(d: float) -> None:
    gap = torch.tensor([[d]], dtype=torch.float64)
    for label in (1, -1):
        said = torch.tensor([[label]])
        nearly = btt_nll(gap, torch.zeros_like(gap), said, 1 + 1e-9)
        plain = bt_nll(gap, torch.zeros_like(gap), said)
        assert nearly.item() == pytest.approx(plain.item(), abs=1e-6)


def test_the_gradient_of_a_tie_is_odd_and_pulls_towards_equality() -> None:
    gap = torch.tensor([-1000.0, -2.0, 0.0, 2.0, 1000.0], dtype=torch.float64, requires_grad=True)
    btt_class_nll(gap, 5.0)[:, 1].sum().backward()
    assert torch.allclose(gap.grad, -gap.grad.flip(0))
    assert gap.grad[2] == 0
    assert gap.grad[4].item() == pytest.approx(1)


def test_the_margins_are_those_of_the_formula() -> None:
    a, b = torch.tensor([[1.0, 1.0, 1.0]]).double(), torch.zeros(1, 3).double()
    said = torch.tensor([[1, -1, 0]])
    # softplus(-0.43) = 0.501084, softplus(1.57) = 1.759004, and a tie says nothing.
    found = margin_nll(a, b, said, 0.57)[0].tolist()
    assert found == pytest.approx([0.501084, 1.759004, 0.0], abs=1e-6)
