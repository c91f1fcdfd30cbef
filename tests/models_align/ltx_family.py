"""A third family, LTX-Video, entered from outside as CONTRIBUTING says; and a tiny pipeline of it.

Its network reads packed tokens, and its text comes with a mask: here the mask travels as one more
column of the text.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)

from models_align.config import TimestepSettings
from models_align.generators.base import NativeSize
from models_align.generators.conditions import Condition
from models_align.generators.identity import encoders_fingerprint
from models_align.generators.one_network import OneNetwork
from models_align.generators.paths import FlowPath
from models_align.generators.pixels import frames_of, pixels_of
from models_align.generators.tiny_text import text_encoder, train_tokenizer
from models_align.processes import RectifiedFlow

FPS = 25


class LtxGenerator(OneNetwork):
    def __init__(self, pipeline: Any, source: str):
        self.pipeline, self.source = pipeline, source
        self.process = RectifiedFlow()
        self.native_timesteps = TimestepSettings("logit_normal")
        self.native_shift = 1.0
        self.native_size = NativeSize(161, 512, 704, FPS)
        self.lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
        self.latent_channels = pipeline.vae.config.latent_channels
        self.text_tokens = min(pipeline.tokenizer.model_max_length, 128)
        self._freeze()

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        time = self.pipeline.vae_temporal_compression_ratio
        space = self.pipeline.vae_spatial_compression_ratio
        return self.latent_channels, (num_frames - 1) // time + 1, height // space, width // space

    @torch.no_grad()
    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents = vae.encode(pixels_of(frames, self.device)).latent_dist.mode()
        return self.pipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std)

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        text, mask, *_ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, max_sequence_length=self.text_tokens
        )
        return torch.cat([text, mask[..., None].to(text)], dim=-1)

    def velocity(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        condition: Condition | None = None,
    ) -> torch.Tensor:
        size = tuple(latents.shape[2:])
        time = self.pipeline.vae_temporal_compression_ratio
        space = self.pipeline.vae_spatial_compression_ratio
        (packed,) = self.transformer(
            hidden_states=self.pipeline._pack_latents(latents),
            encoder_hidden_states=text[..., :-1],
            timestep=(t.double() * 1000).float(),
            encoder_attention_mask=text[..., -1].bool(),
            num_frames=size[0], height=size[1], width=size[2],
            rope_interpolation_scale=(time / FPS, space, space),
            return_dict=False,
        )  # fmt: skip
        return self.pipeline._unpack_latents(packed, *size).float()

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        raw = self.pipeline._denormalize_latents(latents, vae.latents_mean, vae.latents_std)
        return frames_of(vae.decode(raw, None, return_dict=False)[0])

    def scheduler(self, shift: float = 0.0) -> Any:
        scheduler = copy.deepcopy(self.pipeline.scheduler)
        return type(scheduler).from_config(scheduler.config, shift=shift) if shift else scheduler

    def path(self, steps: int, shift: float, chances: Sequence[torch.Generator]) -> FlowPath:
        sigmas = np.linspace(1.0, 1 / steps, steps)
        return FlowPath(self.scheduler(shift), self.device, sigmas=sigmas)

    def fingerprint(self) -> str:
        return encoders_fingerprint(self.pipeline, self.source)


def tiny_ltx(corpus: Sequence[str]) -> LTXPipeline:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(corpus, 16)
    four, five = (True, True, False, False), (1, 1, 1, 1, 1)
    vae = AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=five,
        decoder_layers_per_block=five,
        spatio_temporal_scaling=four,
        decoder_spatio_temporal_scaling=four,
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        patch_size=2,
        patch_size_t=1,
    )
    network = LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=12,
        cross_attention_dim=24,
        num_layers=2,
        caption_channels=16,
    )
    torch.nn.init.normal_(network.proj_out.weight, std=0.2)
    return LTXPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder(tokenizer, 16, kind="t5"),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=network,
    )
