"""The errors of the policy and of its reference on a batch of pairs: one network for both.

Winner and loser go through the network in one forward. The reference is the same network with the
adapter switched off, so no second copy of it exists.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import nn

from models_align.adapters import without_adapter
from models_align.data import Batch
from models_align.flow import velocity_error
from models_align.generators.base import Generator
from models_align.generators.conditions import Condition, joined
from models_align.objective import Errors

Predict = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, Condition | None], torch.Tensor
]  # x_t, t, text, condition -> prediction


class Policy(nn.Module):
    """The generator's prediction as one module: what several processes wrap to share gradients."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator
        self.networks = nn.ModuleDict(dict(generator.networks))

    def forward(
        self,
        x_t: torch.Tensor,  # [B, C, t, h, w]
        t: torch.Tensor,  # [B]
        text: torch.Tensor,  # [B, L, D]
        condition: Condition | None = None,
    ) -> torch.Tensor:  # [B, C, t, h, w], float32
        return self.generator.velocity(x_t, t, text, condition)


def both_errors(generator: Generator, batch: Batch, predict: Predict | None = None) -> Errors:
    """Errors of the policy, with a graph, and of the reference, cached or computed; see `Errors`.

    `predict` is what goes in the place of the generator's own prediction (several processes).
    """
    noised = _Noised.of(generator, batch)
    # First, so that what it needs is free again before the policy keeps its activations.
    reference_w, reference_l = batch.reference or reference_errors(generator, batch)
    prediction = (predict or generator.velocity)(*noised.asked)
    policy_w, policy_l = velocity_error(prediction, noised.target).chunk(2)
    of_winner, of_loser = (prediction.detach() - noised.target).chunk(2)
    overlap = (of_winner * of_loser).flatten(1).mean(1)
    return Errors(policy_w, policy_l, reference_w, reference_l, overlap)


@torch.no_grad()
def reference_errors(generator: Generator, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Of winner and loser with the adapter switched off: [B], [B]."""
    noised = _Noised.of(generator, batch)
    with without_adapter(generator):
        found = velocity_error(generator.velocity(*noised.asked), noised.target)
    winner, loser = found.chunk(2)
    return winner, loser


class _Noised(NamedTuple):
    """Winners and losers, one behind the other, as the network is asked about them."""

    asked: tuple[torch.Tensor, torch.Tensor, torch.Tensor, Condition | None]  # x_t, t, text, start
    target: torch.Tensor

    @classmethod
    def of(cls, generator: Generator, batch: Batch) -> Self:
        data = torch.cat([batch.winners, batch.losers])
        noise, t = torch.cat([batch.noise] * 2), torch.cat([batch.t] * 2)
        process = generator.process
        x_t, text = process.noised(data, noise, t), torch.cat([batch.text] * 2)
        condition = joined(batch.condition, batch.condition_l)
        return cls((x_t, t, text, condition), process.target(data, noise, t))
