"""The Wan family (2.1 and 2.2, text- and image-to-video) as pipelines of diffusers.

Forms of the family, told apart by the configs of a pipeline:

- one network, or two (2.2 A14B, `boundary_ratio`): `transformer` at much noise, `transformer_2` at
  little;
- a start image beside the latents as further channels (2.1, 2.2 A14B), with CLIP embeddings of it
  (2.1, `image_dim`), or in the place of the first latent frame, told its own time 0 (2.2 5B,
  `expand_timesteps`).
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import WanImageToVideoPipeline
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from formats.supervised import BadConfigError
from models_align.errors import GeneratorNotFoundError, UnusableClipError
from models_align.flow import per_sample
from models_align.generators.conditions import Condition
from models_align.generators.families import load_generator
from models_align.generators.identity import encoders_fingerprint
from models_align.generators.paths import FlowPath
from models_align.generators.pixels import frames_of, pixels_of
from models_align.generators.refusals import refuse_other_latents
from models_align.generators.trunk import WanTrunk
from models_align.generators.wan_facts import (
    IMAGE_TARGETS,
    LORA_TARGETS,
    MAX_TEXT_TOKENS,
    NATIVE_TIMESTEPS,
    native_shift,
    native_size,
    refuse_what_is_not_wan,
)
from models_align.generators.wan_networks import WanNetworks
from models_align.processes import RectifiedFlow


def load_wan(source: str | Path) -> "WanGenerator":
    """Like `load_generator`, and a generator of another family is an error."""
    generator = load_generator(source)
    if not isinstance(generator, WanGenerator):
        raise GeneratorNotFoundError(
            f"the generator {str(source)!r} is a {type(generator.pipeline).__name__}; expected a "
            "pipeline of the Wan family"
        )
    return generator


class WanGenerator:
    """A `Generator` (see base.py) around a Wan pipeline of diffusers."""

    def __init__(self, pipeline: Any, source: str):
        refuse_what_is_not_wan(pipeline, source)
        self.source = source
        self.pipeline = pipeline
        self.process = RectifiedFlow()
        self.vae = pipeline.vae.eval().requires_grad_(requires_grad=False)
        self._wan = WanNetworks(pipeline)
        for each in self.networks.values():
            each.eval().requires_grad_(requires_grad=False)
        pipeline.text_encoder.eval().requires_grad_(requires_grad=False)
        self.needs_image = isinstance(pipeline, WanImageToVideoPipeline)
        reads_clip = pipeline.transformer.config.image_dim is not None
        self.lora_targets: tuple[str, ...] = LORA_TARGETS + (IMAGE_TARGETS if reads_clip else ())
        self.native_timesteps = NATIVE_TIMESTEPS
        self.native_shift = native_shift(pipeline.scheduler)
        self.native_size = native_size(pipeline)
        self.text_tokens = min(pipeline.tokenizer.model_max_length, MAX_TEXT_TOKENS)
        # diffusers tells text from CLIP embeddings by the text having exactly this length.
        self._padded = MAX_TEXT_TOKENS if reads_clip else self.text_tokens
        self.boundary = self._wan.boundary
        self.guides_together = False
        self._first_frame_stands = self.needs_image and self._wan.expands
        self.latent_channels: int = self.vae.config.z_dim
        shape = (1, self.latent_channels, 1, 1, 1)
        self._mean = torch.tensor(self.vae.config.latents_mean).view(shape)
        # The inverse, as in diffusers: dividing would differ in the last bit.
        self._scale = 1.0 / torch.tensor(self.vae.config.latents_std).view(shape)
        if torch.cuda.is_available():
            pipeline.to("cuda")

    @property
    def transformer(self) -> Any:
        """The network at much noise; with one network, the network."""
        return self.pipeline.transformer

    @property
    def networks(self) -> Mapping[str, torch.nn.Module]:
        return self._wan.by_name

    @property
    def device(self) -> torch.device:
        device: torch.device = self.transformer.device
        return device

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """[C, t, h, w]; raises UnusableClipError where diffusers would round the size silently."""
        config, patch = self.vae.config, self.transformer.config.patch_size
        frames, pixels = config.scale_factor_temporal, config.scale_factor_spatial
        sides = (pixels * patch[1], pixels * patch[2])
        if (num_frames - 1) % frames or height % sides[0] or width % sides[1]:
            raise UnusableClipError(
                f"this generator makes clips of 1 + {frames}k frames with a height that {sides[0]} "
                f"divides and a width that {sides[1]} divides, got {num_frames} frames of "
                f"{height} x {width}"
            )
        shape = (num_frames - 1) // frames + 1, height // pixels, width // pixels
        self._refuse_other_sizes(*shape)
        return self.latent_channels, *shape

    @torch.no_grad()
    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3] -> normalised latents, the mode of the distribution, float32."""
        return self._encode(pixels_of(frames, self.device))

    @torch.no_grad()
    def encode_start(self, images: torch.Tensor, num_frames: int) -> Condition | None:
        """`latents`: the image alone [B, C, 1, h, w] where it stands as the first latent frame,
        else mask and latents of image and grey frames [B, factor + C, t, h, w]. `image`: CLIP
        embeddings [B, 257, D], where the network reads them.
        """
        if not self.needs_image:
            return None
        first = pixels_of(images[:, None], self.device)
        if self._first_frame_stands:
            return {"latents": self._encode(first)}
        grey = first.new_zeros(*first.shape[:2], num_frames - 1, *first.shape[3:])
        latents = self._encode(torch.cat([first, grey], dim=2))
        factor = self.vae.config.scale_factor_temporal
        mask = latents.new_zeros(len(latents), factor, *latents.shape[2:])
        mask[:, :, 0] = 1
        condition = {"latents": torch.cat([mask, latents], dim=1)}
        if self.transformer.config.image_dim is not None:
            pictures = list(images.cpu().numpy())
            condition["image"] = self.pipeline.encode_image(pictures, self.device).float()
        return condition

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        """[B, L, D]; behind the end of a prompt stand zeros, as in Wan."""
        text, _ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, max_sequence_length=self._padded
        )
        return text.detach()

    def text_length(self, prompt: str) -> int:
        words = self.pipeline.tokenizer(prompt_clean(prompt), truncation=False, verbose=False)
        return len(words.input_ids)

    def velocity(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        condition: Condition | None = None,
    ) -> torch.Tensor:
        """Predicted velocity in float32; networks run in the dtype they were loaded in.

        Where the start image stands as the first latent frame, that frame's velocity is known:
        it is the one that leads to the image, and nothing is learned from it.
        """
        refuse_other_latents(latents, self.latent_channels, self.source)
        prediction = self._wan.predicted(latents, t, text, condition)
        if not (self._first_frame_stands and condition):
            return prediction
        first = latents[:, :, :1].float()
        known = (first - condition["latents"].float()) / per_sample(t, first).float()
        return torch.cat([known, prediction[:, :, 1:]], dim=2)

    def trunk(self, blocks: int) -> WanTrunk:
        """A copy of the first blocks; 0 takes a quarter of them."""
        if self.needs_image or len(self.networks) > 1:
            what = "needs a start image" if self.needs_image else "has two networks"
            raise BadConfigError(
                f"the generator {self.source!r} {what}; a latent reward model is built on "
                "text-to-video generators of one network alone"
            )
        count = blocks or -(-len(self.transformer.blocks) // 4)
        return WanTrunk(self.transformer, count, self._wan.train_timesteps).float()

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Normalised latents -> uint8 frames [B, T, H, W, 3] on the CPU."""
        mean, scale = self._mean.to(latents), self._scale.to(latents)
        (pixels,) = self.vae.decode((latents / scale + mean).to(self.vae.dtype), return_dict=False)
        return frames_of(pixels)

    def finished(self, latents: torch.Tensor, condition: Condition | None) -> torch.Tensor:
        if not (self._first_frame_stands and condition):
            return latents
        return torch.cat([condition["latents"].to(latents), latents[:, :, 1:]], dim=2)

    def scheduler(self, shift: float = 0.0) -> Any:
        """A fresh copy of the pipeline's scheduler; a shift above 0 replaces its own."""
        scheduler = copy.deepcopy(self.pipeline.scheduler)
        if not shift:
            return scheduler
        key = "flow_shift" if "flow_shift" in scheduler.config else "shift"
        return type(scheduler).from_config(scheduler.config, **{key: shift})

    def path(self, steps: int, shift: float, chances: Sequence[torch.Generator]) -> FlowPath:  # noqa: ARG002
        """Its samplers add no noise."""
        return FlowPath(self.scheduler(shift), self.device, num_inference_steps=steps)

    def fingerprint(self) -> str:
        """Of the source and of what encodes clips, images and prompts."""
        form = (type(self.pipeline).__name__, self._first_frame_stands)
        return encoders_fingerprint(self.pipeline, self.source, *form)

    # Inside

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        latents = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode().float()
        return (latents - self._mean.to(latents)) * self._scale.to(latents)

    def _refuse_other_sizes(self, *shape: int) -> None:
        """A tiny network has learned vectors for the places of one size."""
        config = self.transformer.config
        own = [n * p for n, p in zip(config.get("grid", ()), config.patch_size, strict=False)]
        if own and own != list(shape):
            size = self.native_size
            raise UnusableClipError(
                f"the generator {self.source!r} makes clips of {size.num_frames} frames of "
                f"{size.height} x {size.width} alone"
            )
