"""Schedulers of diffusers as a way from noise to a clip."""

from collections.abc import Sequence
from typing import Any

import torch


class FlowPath:
    """A flow-matching scheduler (Euler, UniPC): `times` are what the network is told.

    UniPC rounds its timesteps to whole numbers; the network sees them as the pipeline shows them.
    `timing` is what the scheduler is told: `num_inference_steps`, or `sigmas` of a family's own.
    """

    def __init__(self, scheduler: Any, device: torch.device, **timing: Any):
        scheduler.set_timesteps(device=device, **timing)
        self._scheduler = scheduler
        self.times = scheduler.timesteps.double() / scheduler.config.num_train_timesteps

    def moved(self, x: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        t = self._scheduler.timesteps[step]
        moved: torch.Tensor = self._scheduler.step(prediction, t, x, return_dict=False)[0]
        return moved


class DiffusionPath:
    """A scheduler of training timesteps 0 ... N - 1 (DDIM): timestep k is t = (k + 1) / N."""

    def __init__(self, scheduler: Any, steps: int, device: torch.device):
        scheduler.set_timesteps(steps, device=device)
        self._scheduler = scheduler
        self.times = (scheduler.timesteps.double() + 1) / scheduler.config.num_train_timesteps

    def moved(self, x: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        t = self._scheduler.timesteps[step]
        moved: torch.Tensor = self._scheduler.step(prediction, t, x, return_dict=False)[0]
        return moved


class StochasticPath(DiffusionPath):
    """CogVideoX's DPM solver: it remembers the clip of the step before, and adds noise.

    The noise of a clip comes from its own chance, so what else is in the batch changes nothing.
    """

    def __init__(
        self, scheduler: Any, steps: int, device: torch.device, chances: Sequence[torch.Generator]
    ):
        super().__init__(scheduler, steps, device)
        self._chances = list(chances)
        self._clip: torch.Tensor | None = None

    def moved(self, x: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        """Frames first, as the pipeline steps: the order in which noise is drawn."""
        timesteps = self._scheduler.timesteps
        before = timesteps[step - 1] if step else None
        moved, self._clip = self._scheduler.step(
            prediction.transpose(1, 2), self._clip, timesteps[step], before, x.transpose(1, 2),
            generator=self._chances, return_dict=False,
        )  # fmt: skip
        found: torch.Tensor = moved.transpose(1, 2)
        return found
