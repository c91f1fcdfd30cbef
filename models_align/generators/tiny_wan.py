"""Wan's transformer with two additions for generators that are trained in minutes, not months.

Places. Rotary embeddings tell a token its distance to others and never where it is: at t = 1, where
all tokens are noise, nothing breaks that symmetry. A large Wan learns to agree on places over
millions of clips; a tiny one draws specks everywhere. So each place gets a learned vector.

A straight path. If latents were independent normal numbers of variance 1, the best velocity would
be x_t (2t - 1) / ((1 - t)^2 + t^2). The network adds to that, and starts at adding nothing; else
most of a short training goes into carrying the noise through four layers. (The idea is the
preconditioning of Karras et al., arXiv 2206.00364, for rectified flow.) Where there is a start
image, the numbers are taken to lie around the clip that holds it still, so that what must be
learned is what moves and not what stands.
"""

from typing import Any

import torch
from diffusers import ModelMixin, WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput

# diffusers looks for the base class ModelMixin in the module of a part that it loads.
__all__ = ["ModelMixin", "PlacedPatches", "TinyWanTransformer", "gaussian_velocity"]

TRAIN_TIMESTEPS = 1000


def gaussian_velocity(
    x_t: torch.Tensor,  # [B, C, t, h, w]
    t: torch.Tensor,  # [B]
    around: torch.Tensor | None = None,  # [B, C, 1, h, w]
) -> torch.Tensor:  # [B, C, t, h, w]
    """E[eps - x_0 | x_t] for x_0 of independent normal numbers of variance 1 and mean `around`, or
    0."""
    per_sample = (-1, *[1] * (x_t.ndim - 1))
    slope = (2 * t - 1) / ((1 - t).square() + t.square())
    slope = slope.view(per_sample).to(x_t.dtype)
    if around is None:
        return slope * x_t
    rest = x_t - (1 - t).view(per_sample).to(x_t.dtype) * around
    return slope * rest - around


class PlacedPatches(torch.nn.Conv3d):
    """Wan's patch embedding, [B, C, t, h, w] -> [B, D, t', h', w'], plus one vector per place."""

    def __init__(self, grid: tuple[int, int, int], *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.place = torch.nn.Parameter(0.5 * torch.randn(1, self.out_channels, *grid))

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return super().forward(input) + self.place


class TinyWanTransformer(WanTransformer3DModel):
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
        torch.nn.init.zeros_(self.proj_out.weight)
        torch.nn.init.zeros_(self.proj_out.bias)

    def forward(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        *args: Any,
        return_dict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Wan's output plus the straight path; arguments as in Wan, one timestep per sample.

        Image-to-video: behind x_t stand a mask and the latents of the start image, as in Wan.
        """
        (correction,) = super().forward(
            hidden_states, timestep, encoder_hidden_states, *args, return_dict=False, **kwargs
        )
        channels = self.config.out_channels
        x_t, behind = hidden_states[:, :channels], hidden_states[:, channels:]
        start = behind[:, -channels:, :1] if behind.shape[1] else None
        velocity = correction + gaussian_velocity(x_t, timestep / TRAIN_TIMESTEPS, start)
        return Transformer2DModelOutput(sample=velocity) if return_dict else (velocity,)
