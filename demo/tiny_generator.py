"""Wan pipelines of about a million parameters, built from nothing but configs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline, WanPipeline

from models_align.generators.dct_vae import DctVideoVAE
from models_align.generators.tiny_text import text_encoder, train_tokenizer
from models_align.generators.tiny_wan import TinyWanTransformer

GRID = (3, 4, 4)  # 9 frames of 64 x 64 pixels, in latent patches
HEAD = 32  # channels of an attention head; Wan's rotary embedding splits them in three


@dataclass(frozen=True, slots=True)
class TinySize:
    """How large the transformer is. `shift` is that of the noise schedule."""

    z_dim: int = 32
    heads: int = 5
    layers: int = 4
    ffn: int = 320
    text_dim: int = 64
    text_tokens: int = 24
    shift: float = 1.0


def build_pipeline(
    size: TinySize, corpus: Sequence[str], seed: int, *, start_image: bool = False
) -> Any:
    """Tokenizer of the corpus, random text encoder (it stays frozen), random transformer.

    A WanPipeline; with `start_image` a WanImageToVideoPipeline, whose transformer also reads a mask
    and the latents of the start image, as that of Wan 2.2 does.
    """
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(corpus, size.text_tokens)
    vae = DctVideoVAE(z_dim=size.z_dim)
    behind = vae.config.scale_factor_temporal + size.z_dim if start_image else 0
    transformer = TinyWanTransformer(
        grid=GRID,
        patch_size=(1, 2, 2),
        num_attention_heads=size.heads,
        attention_head_dim=HEAD,
        in_channels=size.z_dim + behind,
        out_channels=size.z_dim,
        text_dim=size.text_dim,
        freq_dim=64,
        ffn_dim=size.ffn,
        num_layers=size.layers,
        rope_max_seq_len=64,
    )
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": text_encoder(tokenizer, size.text_dim),
        "vae": vae,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=size.shift),
        "transformer": transformer,
    }
    return WanImageToVideoPipeline(**parts) if start_image else WanPipeline(**parts)
