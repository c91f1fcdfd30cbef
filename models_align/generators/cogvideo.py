"""The CogVideoX family (1.0 and 1.5, text- and image-to-video) as pipelines of diffusers.

Its networks predict v of a diffusion (`VPrediction`), not of a flow; GAPO (arXiv 2504.10044) was
made on this family. Forms, told apart by the configs of a pipeline:

- places by sines added to the tokens (2B), rotary (5B), or rotary and learned (5B image-to-video,
  which makes one size only);
- two latent frames to a patch (1.5, `patch_size_t`): latents carry copies of the first frame in
  front, which are dropped before decoding;
- a start image beside the latents as further channels; 1.5 also reads `ofs`, a constant.
"""

import copy
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from diffusers import (
    CogVideoXDPMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
)

from formats.supervised import BadConfigError
from models_align.config import TimestepSettings
from models_align.errors import GeneratorNotFoundError, UnusableClipError
from models_align.generators.base import NativeSize
from models_align.generators.cogvideo_places import rotary_places
from models_align.generators.cogvideo_trunk import CogVideoXTrunk
from models_align.generators.conditions import Condition
from models_align.generators.identity import encoders_fingerprint
from models_align.generators.one_network import OneNetwork
from models_align.generators.paths import DiffusionPath, StochasticPath
from models_align.generators.pixels import frames_of, pixels_of
from models_align.generators.refusals import refuse_other_latents
from models_align.processes import VPrediction

# Text and clip share their attention, so these are all its projections.
LORA_TARGETS: Final = ("to_q", "to_k", "to_v", "to_out.0")
# What diffusers' pipeline tells the 1.5 image-to-video network.
OFS: Final = 2.0


class CogVideoXGenerator(OneNetwork):
    """A `Generator` (see base.py) around a CogVideoX pipeline of diffusers."""

    def __init__(self, pipeline: Any, source: str):
        _refuse_what_is_not_cogvideox(pipeline, source)
        self.source = source
        self.pipeline = pipeline
        self.process = VPrediction(pipeline.scheduler.alphas_cumprod)
        self.vae = pipeline.vae
        self._freeze()
        self.needs_image = isinstance(pipeline, CogVideoXImageToVideoPipeline)
        self.lora_targets: tuple[str, ...] = LORA_TARGETS
        # Uniform over the training timesteps (arXiv 2408.06072, section 3.2).
        self.native_timesteps = TimestepSettings("uniform")
        self.native_shift = 1.0
        self.native_size = _native_size(pipeline)
        self.latent_channels: int = self.vae.config.latent_channels
        # The network adds places behind a text of exactly this length.
        self.text_tokens: int = pipeline.transformer.config.max_text_seq_length
        self._places = lru_cache(maxsize=8)(partial(rotary_places, pipeline.transformer.config))

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """[C, t, h, w], with the copies of the first frame that 1.5 needs in front."""
        frames, pixels = self._compression()
        side = pixels * self.transformer.config.patch_size
        count = (num_frames - 1) // frames + 1
        if (num_frames - 1) % frames or height % side or width % side:
            raise UnusableClipError(
                f"this generator makes clips of 1 + {frames}k frames with sides that {side} "
                f"divides, got {num_frames} frames of {height} x {width}"
            )
        if (count - 1) % (self._copies + 1):
            every = frames * (self._copies + 1)
            raise UnusableClipError(
                f"this generator makes clips of 1 + {every}k frames, got {num_frames}"
            )
        self._refuse_other_sizes(height, width)
        return (
            self.vae.config.latent_channels,
            count + self._copies,
            height // pixels,
            (width // pixels),
        )

    @torch.no_grad()
    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3] -> scaled latents, the mode of the distribution, float32."""
        latents = self._encode(pixels_of(frames, self.device)) * self.vae.config.scaling_factor
        copies = latents[:, :, :1].expand(-1, -1, self._copies, -1, -1)
        return torch.cat([copies, latents], dim=2)

    @torch.no_grad()
    def encode_start(self, images: torch.Tensor, num_frames: int) -> Condition | None:  # noqa: ARG002
        """`latents` of the image alone, [B, C, 1, h, w], or None; behind it stand zeros."""
        if not self.needs_image:
            return None
        latents = self._encode(pixels_of(images[:, None], self.device))
        scale = self.vae.config.scaling_factor
        # Some were trained with the inverse: diffusers says so in the config.
        inverse = self.vae.config.invert_scale_latents
        return {"latents": (1 / scale if inverse else scale) * latents}

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        """[B, L, D]"""
        text, _ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, max_sequence_length=self.text_tokens
        )
        found: torch.Tensor = text.detach()
        return found

    def velocity(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        condition: Condition | None = None,
    ) -> torch.Tensor:
        """Predicted v in float32; the network runs in the dtype it was loaded in."""
        refuse_other_latents(latents, self.latent_channels, self.source)
        dtype = self.transformer.dtype
        x = latents
        if condition is not None:
            start = condition["latents"]
            behind = (0, 0, 0, 0, 0, x.shape[2] - start.shape[2])
            x = torch.cat([x, F.pad(start, behind)], dim=1)
        config = self.transformer.config
        ofs = None if config.ofs_embed_dim is None else x.new_full((1,), OFS, dtype=dtype)
        size = (x.shape[2], x.shape[3], x.shape[4])
        (prediction,) = self.transformer(
            hidden_states=x.to(dtype).transpose(1, 2),
            encoder_hidden_states=text.to(dtype),
            timestep=(t.double() * self.process.steps).round().long() - 1,
            ofs=ofs,
            image_rotary_emb=self._places(size, x.device),
            return_dict=False,
        )
        found: torch.Tensor = prediction.float().transpose(1, 2)
        return found

    def trunk(self, blocks: int) -> CogVideoXTrunk:
        """A copy of the first blocks; 0 takes a quarter of them."""
        if self.needs_image:
            raise BadConfigError(
                f"the generator {self.source!r} needs a start image; a latent reward model is "
                "built on text-to-video generators alone"
            )
        count = blocks or -(-len(self.transformer.transformer_blocks) // 4)
        return CogVideoXTrunk(self.transformer, count, self.process.steps).float()

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Scaled latents -> uint8 frames [B, T, H, W, 3] on the CPU."""
        raw = 1 / self.vae.config.scaling_factor * latents[:, :, self._copies :]
        return frames_of(self.vae.decode(raw.to(self.vae.dtype)).sample)

    def scheduler(self, shift: float = 0.0) -> Any:
        """A fresh copy of the pipeline's scheduler; its noise is what the network learned."""
        if shift:
            raise BadConfigError(
                f"shift must be 0 (native) for the generator {self.source!r}: the noise of each "
                f"timestep of CogVideoX is fixed by its training, got {shift:g}"
            )
        return copy.deepcopy(self.pipeline.scheduler)

    def path(
        self, steps: int, shift: float, chances: Sequence[torch.Generator]
    ) -> DiffusionPath | StochasticPath:
        scheduler = self.scheduler(shift)
        if isinstance(scheduler, CogVideoXDPMScheduler):
            return StochasticPath(scheduler, steps, self.device, chances)
        return DiffusionPath(scheduler, steps, self.device)

    def fingerprint(self) -> str:
        """Of the source and of what encodes clips, images and prompts."""
        return encoders_fingerprint(
            self.pipeline, self.source, type(self.pipeline).__name__, self._copies
        )

    # Inside

    @property
    def _copies(self) -> int:
        """Latent frames in front that fill the first patch along time."""
        return (self.transformer.config.patch_size_t or 1) - 1

    def _compression(self) -> tuple[int, int]:
        config = self.vae.config
        return config.temporal_compression_ratio, 2 ** (len(config.block_out_channels) - 1)

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode()
        return latents.float()

    def _refuse_other_sizes(self, height: int, width: int) -> None:
        config, (_, pixels) = self.transformer.config, self._compression()
        own = (config.sample_height * pixels, config.sample_width * pixels)
        if config.use_learned_positional_embeddings and (height, width) != own:
            raise UnusableClipError(
                f"the generator {self.source!r} learned its places for clips of {own[0]} x "
                f"{own[1]} alone, got {height} x {width}"
            )
        if config.patch_size_t is not None and (height > own[0] or width > own[1]):
            raise UnusableClipError(
                f"the places of the generator {self.source!r} reach to {own[0]} x {own[1]}, got "
                f"{height} x {width}"
            )


def _native_size(pipeline: Any) -> NativeSize:
    """Of 1.0 by its config; 1.5 has there how far its places reach, and a model card that says."""
    config, vae = pipeline.transformer.config, pipeline.vae.config
    pixels = 2 ** (len(vae.block_out_channels) - 1)
    sides = (config.sample_height * pixels, config.sample_width * pixels)
    if config.patch_size_t is None:
        return NativeSize(config.sample_frames, *sides, 8)
    return NativeSize(config.sample_frames, min(sides[0], 768), min(sides[1], 1360), 16)


def _refuse_what_is_not_cogvideox(pipeline: Any, source: str) -> None:
    if not isinstance(pipeline, CogVideoXPipeline | CogVideoXImageToVideoPipeline):
        raise GeneratorNotFoundError(
            f"the generator {source!r} is a {type(pipeline).__name__}; expected a pipeline of the "
            "CogVideoX family"
        )
    prediction = pipeline.scheduler.config.prediction_type
    if prediction != "v_prediction":
        raise GeneratorNotFoundError(
            f"the scheduler of the generator {source!r} says that its network predicts "
            f"{prediction!r}; networks of CogVideoX predict 'v_prediction'"
        )
