"""The first blocks of a Wan transformer as a network of its own: what a latent reward model is on.

Everything up to block k is copied with its weights (patches, time and text embedders, blocks); the
rest of the transformer is left behind. So a trunk can be trained without touching its generator,
and is rebuilt from its description without it.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final, Self

import torch
from diffusers import WanTransformer3DModel

from formats.supervised import BadConfigError
from models_align.generators.tiny_wan import TinyWanTransformer

TRANSFORMERS: Final = {each.__name__: each for each in (WanTransformer3DModel, TinyWanTransformer)}


class WanTrunk(torch.nn.Module):
    """x_t, t, text -> tokens behind the last of the copied blocks."""

    def __init__(self, transformer: torch.nn.Module, blocks: int, train_timesteps: int):
        super().__init__()
        depth = len(transformer.blocks)
        if not 1 <= blocks <= depth:
            raise BadConfigError(
                f"blocks must be between 1 and {depth}, the depth of this generator, got {blocks}"
            )
        self.transformer_class = type(transformer).__name__
        self.transformer_config = {**plain_config(transformer.config), "num_layers": blocks}
        self.train_timesteps = train_timesteps
        self.width: int = transformer.config.num_attention_heads * (
            transformer.config.attention_head_dim
        )
        self.rope = copy.deepcopy(transformer.rope)
        self.patch_embedding = copy.deepcopy(transformer.patch_embedding)
        self.condition_embedder = copy.deepcopy(transformer.condition_embedder)
        self.blocks = copy.deepcopy(transformer.blocks[:blocks])

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> Self:
        """The trunk that `describe` spoke of, with random weights."""
        network = TRANSFORMERS[description["transformer"]]
        transformer = network.from_config(dict(description["config"]))
        return cls(transformer, len(transformer.blocks), int(description["train_timesteps"]))

    def describe(self) -> dict[str, Any]:
        return {
            "transformer": self.transformer_class,
            "config": self.transformer_config,
            "train_timesteps": self.train_timesteps,
        }

    def forward(
        self,
        x_t: torch.Tensor,  # [B, C, t, h, w]
        t: torch.Tensor,  # [B] in [0, 1]
        text: torch.Tensor,  # [B, L, D]
    ) -> torch.Tensor:  # [B, N, width]
        """As WanTransformer3DModel.forward goes, up to the last copied block."""
        places = self.rope(x_t)
        tokens = self.patch_embedding(x_t).flatten(2).transpose(1, 2).contiguous()
        _, modulation, text, _ = self.condition_embedder(t * self.train_timesteps, text)
        modulation = modulation.unflatten(1, (6, -1))
        for block in self.blocks:
            tokens = block(tokens, text, modulation, places)
        return tokens


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of diffusers without what it says of itself (`_class_name`, `_name_or_path`)."""
    return {name: value for name, value in config.items() if not name.startswith("_")}
