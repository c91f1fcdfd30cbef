"""What the tests of generator families share: clips of the tiny size, and plain pipelines."""

from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from formats.records import PromptRecord
from models_align.config import AlignmentConfig, GenerationConfig, LoraSettings
from models_align.denoising import Task, clip_noise
from models_align.generators.base import Generator
from models_align.generators.tiny import SIZE

PROMPT = "a red circle moving left"
CONFIG = GenerationConfig(
    steps=2, guidance_scale=3.0, num_frames=SIZE[0], height=SIZE[1], width=SIZE[2], fps=8
)
ALIGNMENT = AlignmentConfig(lora=LoraSettings(r=2, alpha=8.0))
TASK = Task(PromptRecord("p", PROMPT), seed=0)


def some_clips(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth noise, uint8 [count, *SIZE, 3]."""
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 3, 4, 4, generator=chance) * 255
    smooth = torch.nn.functional.interpolate(coarse, SIZE, mode="trilinear")
    return smooth.permute(0, 2, 3, 4, 1).to(torch.uint8)


def plain_pipeline(folder: Path) -> Any:
    """As somebody loads it who has never heard of us."""
    pipeline = DiffusionPipeline.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain_frames(pipeline: Any, ours: Generator) -> torch.Tensor:
    """uint8 [1, T, H, W, 3], as somebody writes them into a file who has the pipeline's numbers."""
    levels = torch.as_tensor(_plain(pipeline, ours, output_type="np")) * 255
    return levels.round().to(torch.uint8)


def plain_latents(pipeline: Any, ours: Generator, **more: Any) -> torch.Tensor:
    """[1, C, t, h, w]."""
    found = _plain(pipeline, ours, output_type="latent", **more)
    return found.transpose(1, 2) if _frames_first(pipeline) else found


def _frames_first(pipeline: Any) -> bool:
    return type(pipeline).__name__.startswith("CogVideoX")


def _plain(pipeline: Any, ours: Generator, **more: Any) -> Any:
    """A clip of PROMPT by the pipeline itself, from the noise that ours starts from.

    `ours` says sizes alone. CogVideoX's pipeline draws the latents of a start image from their
    distribution; here its mode takes the place of the draw.
    """
    more.setdefault("num_inference_steps", CONFIG.steps)
    noise = clip_noise(PROMPT, 0, ours.latent_shape(*SIZE))[None]
    if ours.needs_image:
        more["image"] = Image.fromarray(some_clips(1)[0, 0].numpy())
    frames_first = _frames_first(pipeline)
    if frames_first and ours.needs_image:
        encode = type(pipeline.vae).encode.__get__(pipeline.vae)
        pipeline.vae.encode = lambda x: _Drawn(encode(x).latent_dist.mode())
    with torch.no_grad():
        return pipeline(
            prompt=[PROMPT],
            negative_prompt=[""],
            height=SIZE[1],
            width=SIZE[2],
            num_frames=SIZE[0],
            guidance_scale=CONFIG.guidance_scale,
            latents=noise.transpose(1, 2) if frames_first else noise,
            max_sequence_length=ours.encode_prompts([PROMPT]).shape[1],
            **more,
        ).frames


class _Drawn:
    """What `retrieve_latents` of diffusers takes for latents that are decided already."""

    def __init__(self, latents: torch.Tensor):
        self.latents = latents
