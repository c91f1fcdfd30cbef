"""The first blocks of a CogVideoX transformer as a network of its own; see trunk.py."""

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from diffusers import CogVideoXTransformer3DModel

from formats.supervised import BadConfigError
from models_align.generators.cogvideo_places import rotary_places
from models_align.generators.trunk import plain_config


class CogVideoXTrunk(torch.nn.Module):
    """x_t, t, text -> tokens of the clip behind the last of the copied blocks."""

    def __init__(self, transformer: Any, blocks: int, train_timesteps: int):
        super().__init__()
        depth = len(transformer.transformer_blocks)
        if not 1 <= blocks <= depth:
            raise BadConfigError(
                f"blocks must be between 1 and {depth}, the depth of this generator, got {blocks}"
            )
        self.transformer_config = {**plain_config(transformer.config), "num_layers": blocks}
        self.train_timesteps = train_timesteps
        self.config = transformer.config
        self.width: int = (
            transformer.config.num_attention_heads * transformer.config.attention_head_dim
        )
        self.patch_embed = copy.deepcopy(transformer.patch_embed)
        self.time_proj = transformer.time_proj
        self.time_embedding = copy.deepcopy(transformer.time_embedding)
        self.blocks = copy.deepcopy(transformer.transformer_blocks[:blocks])

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> Self:
        """The trunk that `describe` spoke of, with random weights."""
        transformer = CogVideoXTransformer3DModel.from_config(dict(description["config"]))
        blocks = len(transformer.transformer_blocks)
        return cls(transformer, blocks, int(description["train_timesteps"]))

    def describe(self) -> dict[str, Any]:
        return {
            "transformer": CogVideoXTransformer3DModel.__name__,
            "config": self.transformer_config,
            "train_timesteps": self.train_timesteps,
        }

    def forward(
        self,
        x_t: torch.Tensor,  # [B, C, t, h, w]
        t: torch.Tensor,  # [B] in [0, 1]
        text: torch.Tensor,  # [B, L, D]
    ) -> torch.Tensor:  # [B, N, width]
        """As CogVideoXTransformer3DModel.forward goes, up to the last copied block.

        A clean clip, t = 0, is told the least noise that the network knows.
        """
        told = ((t.double() * self.train_timesteps).round().long() - 1).clamp(min=0)
        time = self.time_embedding(self.time_proj(told).to(x_t.dtype))
        tokens = self.patch_embed(text, x_t.transpose(1, 2))
        words, clip = tokens.split([text.shape[1], tokens.shape[1] - text.shape[1]], dim=1)
        size = (x_t.shape[2], x_t.shape[3], x_t.shape[4])
        places = rotary_places(self.config, size, x_t.device)
        for block in self.blocks:
            clip, words = block(
                hidden_states=clip,
                encoder_hidden_states=words,
                temb=time,
                image_rotary_emb=places,
            )
        found: torch.Tensor = clip
        return found
