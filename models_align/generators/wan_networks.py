"""One or two networks of Wan behind one prediction: who is asked, what it sees, what it is told."""

from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from models_align.generators.conditions import Condition, rows


class WanNetworks:
    """The networks of a Wan pipeline. `boundary`: below this t the second one predicts."""

    def __init__(self, pipeline: Any):
        self._pipeline = pipeline
        self.boundary = float(pipeline.config.get("boundary_ratio") or 0.0)
        self.expands = bool(pipeline.config.expand_timesteps)
        self.train_timesteps: int = pipeline.scheduler.config.num_train_timesteps

    @property
    def first(self) -> Any:
        return self._pipeline.transformer

    @property
    def second(self) -> Any:
        return getattr(self._pipeline, "transformer_2", None)

    @property
    def by_name(self) -> dict[str, torch.nn.Module]:
        found = {"transformer": self.first, "transformer_2": self.second}
        return {name: each for name, each in found.items() if each is not None}

    def predicted(
        self, x: torch.Tensor, t: torch.Tensor, text: torch.Tensor, condition: Condition | None
    ) -> torch.Tensor:
        """Each sample by the network that its t belongs to."""
        steps = (t.double() * self.train_timesteps).float()
        much = steps >= self.boundary * self.train_timesteps
        sliced = isinstance(self.second, FSDPModule)
        if self.second is None or (bool(much.all()) and not sliced):
            return self._by(self.first, x, steps, text, condition)
        found = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
        for network, chosen in ((self.first, much), (self.second, ~much)):
            asked = chosen.nonzero()[:, 0]
            idle = not len(asked)
            if idle and not sliced:
                continue
            # The slices of a network are put together by all processes at once, also by one that
            # has nothing to ask it: that one asks for a sample and takes nothing of the answer.
            where = asked.new_zeros(1) if idle else asked
            part = rows(condition, where)
            predicted = self._by(network, x[where], steps[where], text[where], part)
            found = found + 0 * predicted.sum() if idle else found.index_put((where,), predicted)
        return found

    def _by(
        self,
        network: Any,
        x: torch.Tensor,
        steps: torch.Tensor,
        text: torch.Tensor,
        condition: Condition | None,
    ) -> torch.Tensor:
        dtype = network.dtype
        given = condition or {}
        seen, told = self._seen(x, steps, given)
        image = given.get("image")
        (prediction,) = network(
            hidden_states=seen.to(dtype),
            timestep=told,
            encoder_hidden_states=text.to(dtype),
            encoder_hidden_states_image=None if image is None else image.to(dtype),
            return_dict=False,
        )
        found: torch.Tensor = prediction.float()
        return found

    def _seen(
        self, x: torch.Tensor, steps: torch.Tensor, given: Condition
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a network reads as latents, and the timestep that it is told: [B] or [B, tokens]."""
        if not self.expands:
            return (torch.cat([x, given["latents"]], dim=1) if given else x), steps
        free = x.new_ones(1, 1, *x.shape[2:])  # 0 where the start image stands
        if given:
            free[:, :, 0] = 0
            x = (1 - free) * given["latents"] + free * x
        _, down, across = self.first.config.patch_size
        per_token = free[0, 0, :, ::down, ::across] * steps.view(-1, 1, 1, 1)
        return x, per_token.flatten(1)
