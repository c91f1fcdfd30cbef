"""The Wan family (2.1 and 2.2 with one transformer) through diffusers, by hub id or by path."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline, WanImageToVideoPipeline, WanPipeline

# diffusers finds the classes that a folder names only in modules that we imported.
import models_align.generators.dct_vae
import models_align.generators.tiny_wan  # noqa: F401
from formats.supervised import BadConfigError
from models_align.errors import GeneratorNotFoundError, UnusableClipError
from models_align.generators.trunk import WanTrunk

# The projections of self- and cross-attention (arXiv 2501.13918, Table 10).
LORA_TARGETS: Final = ("to_q", "to_k", "to_v", "to_out.0")
# The text length that Wan was trained with; a tokenizer may set a shorter one.
MAX_TEXT_TOKENS: Final = 512


def load_wan(source: str | Path) -> "WanGenerator":
    """Load a folder, or a hub id (`org/name` or `org/name@revision`) from the local cache.

    Nothing is downloaded here and no pickled weight is read. What cannot be loaded is a
    GeneratorNotFoundError.
    """
    name, _, revision = str(source).partition("@")
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            name, revision=revision or None, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise GeneratorNotFoundError(
            f"the generator {str(source)!r} cannot be loaded: expected the folder of a diffusers "
            f"pipeline, or an id that is in the local model cache ({_first_sentence(error)})"
        ) from error
    return WanGenerator(pipeline, str(source))


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


class WanGenerator:
    """A `Generator` (see base.py) around a Wan pipeline of diffusers.

    Image-to-video is the Wan 2.1/2.2 form that appends a mask and the encoded start image to the
    latent channels; forms that need CLIP embeddings, a second transformer or per-token timesteps
    are refused.
    """

    def __init__(self, pipeline: Any, source: str):
        _refuse_other_forms(pipeline, source)
        self.source = source
        self.pipeline = pipeline
        self.vae = pipeline.vae.eval().requires_grad_(requires_grad=False)
        self.transformer = pipeline.transformer.eval().requires_grad_(requires_grad=False)
        pipeline.text_encoder.eval().requires_grad_(requires_grad=False)
        self.needs_image = isinstance(pipeline, WanImageToVideoPipeline)
        self.lora_targets: tuple[str, ...] = LORA_TARGETS
        self.train_timesteps: int = pipeline.scheduler.config.num_train_timesteps
        self.native_shift = _native_shift(pipeline.scheduler)
        self.text_tokens = min(pipeline.tokenizer.model_max_length, MAX_TEXT_TOKENS)
        shape = (1, self.vae.config.z_dim, 1, 1, 1)
        self._mean = torch.tensor(self.vae.config.latents_mean).view(shape)
        self._std = torch.tensor(self.vae.config.latents_std).view(shape)
        if torch.cuda.is_available():
            pipeline.to("cuda")

    @property
    def device(self) -> torch.device:
        return self.transformer.device

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
        return config.z_dim, (num_frames - 1) // frames + 1, height // pixels, width // pixels

    @torch.no_grad()
    def encode_clips(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3] -> normalised latents, the mode of the distribution, float32."""
        return self._encode(self._pixels(frames))

    @torch.no_grad()
    def encode_start(self, frames: torch.Tensor) -> torch.Tensor | None:
        """Mask and latents of the first frame, then grey: [B, factor + C, t, h, w], or None."""
        if not self.needs_image:
            return None
        pixels = self._pixels(frames)
        pixels[:, :, 1:] = 0
        latents = self._encode(pixels)
        mask = latents.new_zeros(
            len(latents), self.vae.config.scale_factor_temporal, *latents.shape[2:]
        )
        mask[:, :, 0] = 1
        return torch.cat([mask, latents], dim=1)

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        """[B, L, D]; behind the end of a prompt stand zeros, as in Wan."""
        text, _ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, max_sequence_length=self.text_tokens
        )
        return text.detach()

    def velocity(
        self,
        latents: torch.Tensor,
        t: torch.Tensor,
        text: torch.Tensor,
        condition: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted velocity in float32; the network runs in the dtype it was loaded in."""
        x = latents if condition is None else torch.cat([latents, condition], dim=1)
        dtype = self.transformer.dtype
        (prediction,) = self.transformer(
            hidden_states=x.to(dtype),
            timestep=t * self.train_timesteps,
            encoder_hidden_states=text.to(dtype),
            return_dict=False,
        )
        return prediction.float()

    def trunk(self, blocks: int) -> WanTrunk:
        """A copy of the first blocks; 0 takes a quarter of them."""
        if self.needs_image:
            raise BadConfigError(
                f"the generator {self.source!r} needs a start image; a latent reward model is "
                "built on text-to-video generators alone"
            )
        count = blocks or -(-len(self.transformer.blocks) // 4)
        return WanTrunk(self.transformer, count, self.train_timesteps).float()

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Normalised latents -> uint8 frames [B, T, H, W, 3] on the CPU."""
        mean, std = self._mean.to(latents), self._std.to(latents)
        (pixels,) = self.vae.decode((latents * std + mean).to(self.vae.dtype), return_dict=False)
        levels = (pixels.float().clamp(-1, 1) + 1) * 127.5
        return levels.round().to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous().cpu()

    def scheduler(self, shift: float = 0.0) -> Any:
        """A fresh copy of the pipeline's scheduler; a shift above 0 replaces its own."""
        scheduler = copy.deepcopy(self.pipeline.scheduler)
        if not shift:
            return scheduler
        key = "flow_shift" if "flow_shift" in scheduler.config else "shift"
        return type(scheduler).from_config(scheduler.config, **{key: shift})

    def fingerprint(self) -> str:
        """Of the source and the configs of what encodes clips and prompts."""
        parts = [self.source, dict(self.vae.config), self.pipeline.text_encoder.config.to_dict()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def _pixels(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.to(self.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        latents = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.mode().float()
        return (latents - self._mean.to(latents)) / self._std.to(latents)


def _native_shift(scheduler: Any) -> float:
    config = scheduler.config
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def _refuse_other_forms(pipeline: Any, source: str) -> None:
    """One sentence for what this adapter cannot do, before anything else fails on it."""
    if not isinstance(pipeline, WanPipeline | WanImageToVideoPipeline):
        raise GeneratorNotFoundError(
            f"the generator {source!r} is a {type(pipeline).__name__}; expected a pipeline of the "
            "Wan family"
        )
    config = pipeline.config
    unsupported = {
        "two transformers (boundary_ratio)": config.get("boundary_ratio") is not None,
        "a timestep per token (expand_timesteps)": bool(config.get("expand_timesteps")),
        "CLIP image embeddings (image_dim)": pipeline.transformer is not None
        and pipeline.transformer.config.image_dim is not None,
    }
    for what, present in unsupported.items():
        if present:
            raise GeneratorNotFoundError(
                f"the generator {source!r} needs {what}, which is not supported yet"
            )
