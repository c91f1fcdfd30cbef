"""Wan's transformer with a learned embedding of absolute places, for generators trained in minutes.

Rotary embeddings tell a token its distance to others and never where it is: at t = 1, where all
tokens are noise, nothing breaks that symmetry. A large Wan learns to agree on places over millions
of clips; a tiny one draws specks everywhere instead of one figure. Everything else is Wan's.
"""

from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config


class PlacedPatches(torch.nn.Conv3d):
    """Wan's patch embedding, [B, C, t, h, w] -> [B, D, t', h', w'], plus one vector per place."""

    def __init__(self, grid: tuple[int, int, int], *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.place = torch.nn.Parameter(0.02 * torch.randn(1, self.out_channels, *grid))

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return super().forward(input) + self.place


class PlacedWanTransformer(WanTransformer3DModel):
    """Makes clips of one size: `grid` is the number of patches along time, height and width."""

    @register_to_config
    def __init__(
        self,
        grid: tuple[int, int, int] = (3, 4, 4),
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 4,
        attention_head_dim: int = 32,
        in_channels: int = 32,
        out_channels: int = 32,
        text_dim: int = 64,
        freq_dim: int = 64,
        ffn_dim: int = 256,
        num_layers: int = 4,
        cross_attn_norm: bool = True,  # noqa: FBT001, FBT002  the signature is Wan's
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 64,
        pos_embed_seq_len: int | None = None,
    ):
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=num_layers,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        width = num_attention_heads * attention_head_dim
        self.patch_embedding = PlacedPatches(
            grid, in_channels, width, kernel_size=tuple(patch_size), stride=tuple(patch_size)
        )
