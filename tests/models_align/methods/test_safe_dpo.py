"""Loser-safe Flow-DPO: its signs, its first-order promise, and where descent ends."""

import math
from typing import Any

import pytest
import torch

from models_align.config import AlignmentConfig
from models_align.methods.flow_dpo import flow_dpo_loss
from models_align.methods.safe_dpo import loser_share, safe_dpo_loss
from models_align.objective import Errors, pair_losses, readings

pytestmark = pytest.mark.one_engine

DOUBLE = torch.float64


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def test_the_share_is_the_bound_of_the_paper():
    # (1 - caution) e_w / overlap, at most 1; where the residuals do not agree, all of the loser.
    share = loser_share(double(1, 1, 1, 1), double(1, 1, 1, 1), double(2, 0.5, 0, -3))
    assert share.tolist() == [0.5, 1.0, 1.0, 1.0]
    cautious = loser_share(double(1, 1), double(1, 1), double(2, 0.5), caution=0.4)
    assert cautious.tolist() == pytest.approx([0.3, 1.0])


def test_the_loser_is_let_go_where_the_winner_is_worse_than_its_reference():
    error, reference, overlap = double(1.1, 0.9, 1.0), double(1, 1, 1), double(-1, -1, -1)
    assert loser_share(error, reference, overlap).tolist() == [0.0, 1.0, 1.0]
    assert loser_share(error, reference, overlap, hold=False).tolist() == [1.0, 1.0, 1.0]


def test_the_value_is_that_of_flow_dpo_and_ln_2_at_the_start():
    w, l, ref_w, ref_l = double(0.9, 0.7), double(1.2, 0.7), double(1.0, 0.7), double(1.1, 0.7)  # noqa: E741
    safe = safe_dpo_loss(w, l, ref_w, ref_l, 50.0, double(0.3, 0.0))
    assert torch.equal(safe, flow_dpo_loss(w, l, ref_w, ref_l, 50.0))
    assert safe[1].item() == pytest.approx(math.log(2), abs=1e-12)


def test_the_winner_pulls_as_in_flow_dpo_and_the_loser_by_its_share():
    w, l = double(0.9, 0.9).requires_grad_(), double(1.2, 1.2).requires_grad_()  # noqa: E741
    loss = safe_dpo_loss(w, l, double(1, 1), double(1.1, 1.1), 50.0, double(0.25, 0))
    loss.sum().backward()
    # z = -25 (-0.1 - 0.1) = 5, and dL/de_w = 25 sigmoid(-5)
    pull = 25 / (1 + math.exp(5))
    assert w.grad.tolist() == pytest.approx([pull, pull])
    assert l.grad.tolist() == pytest.approx([-pull / 4, 0])


def step_of(share: float | None, winner: torch.Tensor, loser: torch.Tensor) -> float:
    """By how much a small step raises the winner's error; one prediction stands for both sides."""
    prediction = torch.zeros_like(winner, requires_grad=True)
    errors = [(prediction - each).square().mean()[None] for each in (winner, loser)]
    if share is None:
        overlap = ((prediction - winner) * (prediction - loser)).mean()[None]
        used = loser_share(errors[0], errors[0], overlap)
    else:
        used = double(share)
    loss = safe_dpo_loss(*errors, *(each.detach() for each in errors), 10.0, used)
    (gradient,) = torch.autograd.grad(loss.sum(), prediction)
    moved = prediction.detach() - 1e-6 * gradient
    return ((moved - winner).square().mean() - errors[0]).item()


def test_a_step_never_raises_the_winner_where_the_whole_loser_would():
    chance = torch.Generator().manual_seed(3)
    whole, safe = [], []
    for _ in range(200):
        winner, loser = torch.randn(2, 12, generator=chance, dtype=DOUBLE)
        loser = loser + 2 * winner  # on the winner's side and further out
        whole.append(step_of(1.0, winner, loser))
        safe.append(step_of(None, winner, loser))
    assert max(whole) > 1e-8
    assert max(safe) < 1e-11  # what is left is of second order


def where_descent_ends(method: str, settings: dict[str, object], *, apart: float) -> float:
    """How far the winner's error ends above its reference, the reference being midway at 0.

    One number is learned and stands for both sides; `apart` is what winner and loser have for
    themselves and nothing can be learned about, in directions of their own.
    """
    config = AlignmentConfig.from_json({"method": method, "settings": settings})
    learned = torch.zeros(1, dtype=DOUBLE, requires_grad=True)
    own = apart * torch.eye(2, dtype=DOUBLE)
    reference = double(1 + apart**2)
    batch: Any = None
    for _ in range(300):
        residuals = torch.cat([(learned - double(1, -1))[:, None], own], 1)
        policy = residuals.square().sum(1)
        overlap = residuals.detach().prod(0).sum()[None]
        errors = Errors(*policy.split(1), reference, reference, overlap)
        (gradient,) = torch.autograd.grad(pair_losses(config, batch, errors).sum(), learned)
        learned.data -= 0.3 * gradient
    return float((policy[:1].detach() - reference).item())


def test_flow_dpo_leaves_its_winners_and_the_bound_keeps_it_there():
    assert where_descent_ends("flow_dpo", {"beta": 1.0}, apart=0) > 1
    assert where_descent_ends("safe_dpo", {"beta": 1.0, "hold": False}, apart=0) < -0.99


def test_where_the_residuals_share_little_the_brake_holds_alone():
    ends = {
        name: where_descent_ends("safe_dpo", {"beta": 1.0, **settings}, apart=3)
        for name, settings in {
            "free": {"hold": False},
            "held": {},
            "cautious": {"hold": False, "caution": 0.97},
        }.items()
    }
    assert ends["free"] > 1
    assert ends["held"] < 0.1
    # With a third of the loser or less, descent ends within twice the way to the winner.
    assert ends["cautious"] < 0


def test_safe_dpo_without_an_overlap_is_an_error_and_with_one_is_read():
    config = AlignmentConfig.from_json({"method": "safe_dpo"})
    errors = Errors(double(1.0), double(1.0), double(1.0), double(1.0))
    batch: Any = None
    with pytest.raises(ValueError, match="needs the overlap of the residuals"):
        pair_losses(config, batch, errors)
    found = readings(config, batch, errors._replace(overlap=double(2.0)))
    assert found["loser_share"] == 0.5
    assert found["implicit_accuracy"] == 0.5
