"""Judged pairs as batches of noised latents: one noise and one t for both clips of a pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models_align.chance import indices_of_step, stream
from models_align.encoding import ClipEncoder
from models_align.generators.base import draw_times
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.judgements import Judgements


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pairs, on the network's device. Sides A and B share t and noise."""

    noised_a: torch.Tensor  # [B, C, t, h, w]
    noised_b: torch.Tensor  # [B, C, t, h, w]
    t: torch.Tensor  # [B]
    text: torch.Tensor  # [B, L, D]
    preference: torch.Tensor  # int64 [B, K]
    valid: torch.Tensor  # bool [B, K]

    def part(self, rows: slice) -> "Batch":
        return Batch(
            self.noised_a[rows],
            self.noised_b[rows],
            self.t[rows],
            self.text[rows],
            self.preference[rows],
            self.valid[rows],
        )


class LatentPairs:
    """What a run trains on and is examined on."""

    def __init__(self, encoder: ClipEncoder, config: LatentRewardConfig, device: torch.device):
        self.encoder = encoder
        self.config = config
        self.device = device
        self.process = encoder.generator.process

    def batch(self, pairs: Judgements, step: int) -> Batch:
        """The pairs of a step with their timesteps and noise: a function of (seed, step)."""
        config = self.config
        chosen = indices_of_step(len(pairs), config.pairs_per_step, step, config.seed)
        chance = stream(config.seed, "step", step)
        t = draw_times(self.encoder.generator, len(chosen), config.timesteps, chance)
        a, b = self._latents(pairs, pairs.a[chosen]), self._latents(pairs, pairs.b[chosen])
        noise = torch.randn(a.shape, generator=chance)
        if config.noise == "none":
            t = torch.zeros_like(t)
        return Batch(
            noised_a=self.process.noised(a, noise, t).to(self.device),
            noised_b=self.process.noised(b, noise, t).to(self.device),
            t=t.to(self.device),
            text=self._texts([pairs.prompts[index] for index in chosen]),
            preference=torch.from_numpy(pairs.preference[chosen]).to(self.device),
            valid=torch.from_numpy(pairs.valid[chosen]).to(self.device),
        )

    def examined(
        self, pairs: Judgements, rows: slice, t: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(x_t, t, text) of some rows at a fixed t, always with the same noise.

        All clips of a prompt share their noise, so both sides of each pair do, and a clip that many
        pairs share is looked at once.
        """
        chosen = pairs.rows[rows]
        latents = torch.stack([self.encoder.clip(ref)["latents"] for ref, _ in chosen])
        noise = torch.stack(
            [
                torch.randn(latents.shape[1:], generator=stream(0, "examination", prompt, f"{t:g}"))
                for _, prompt in chosen
            ]
        )
        times = torch.full((len(chosen),), t)
        x_t = self.process.noised(latents, noise, times).to(self.device)
        return x_t, times.to(self.device), self._texts([prompt for _, prompt in chosen])

    def _latents(self, pairs: Judgements, rows: np.ndarray) -> torch.Tensor:
        return torch.stack([self.encoder.clip(pairs.rows[row][0])["latents"] for row in rows])

    def _texts(self, prompts: Sequence[str]) -> torch.Tensor:
        return torch.stack([self.encoder.text(each) for each in prompts]).to(self.device)
