"""The public door of a latent reward model: rewards of noised latents, with a gradient."""

from pathlib import Path
from typing import Self

import torch

from formats.supervised import BadConfigError
from models_align.generators.base import Generator
from models_align.generators.trunks import described
from models_align.latent_reward.checkpoints import LatentRewardCard, build_network, load_folder
from models_align.latent_reward.network import LatentRewardNetwork


class LatentRewardModel:
    """A trained latent reward model; its weights are frozen."""

    def __init__(self, network: LatentRewardNetwork, card: LatentRewardCard):
        self.network = network
        self.card = card

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Load a verified folder; FormatError, in one sentence, where anything does not fit."""
        network, card = load_folder(Path(path))
        network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(network, card)

    def untrained(self, seed: int = 0) -> Self:
        """The same network with random weights: a control that has learned nothing."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            trunk = described(self.card.trunk)
            network = build_network(trunk, self.card.dimensions, self.card.config)
        network.to(next(self.network.parameters()).device)
        return type(self)(network.requires_grad_(requires_grad=False).eval(), self.card)

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.network.keys

    def reward(
        self,
        x_t: torch.Tensor,  # [B, C, t, h, w], normalised latents as the generator has them
        t: torch.Tensor,  # [B] in [0, 1]
        text_embedding: torch.Tensor,  # [B, L, D]
    ) -> torch.Tensor:  # float32 [B, D]
        """Raw rewards, differentiable in x_t. Differences are log-odds of being preferred."""
        return self.network(x_t, t, text_embedding)

    def refuse_other_generator(self, generator: Generator) -> None:
        """Latents of another generator have the same shape and mean something else."""
        if not self.card.generator.is_of(generator.source):
            raise BadConfigError(
                f"the latent reward model was trained on the latents of "
                f"{self.card.generator.source!r}, got the generator {generator.source!r}"
            )
