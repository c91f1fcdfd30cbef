"""Clips by plain diffusers: knows nothing of this repository but the folders that it is given.

    python bench/align_families_plain.py JOBS.json

Each job names a pipeline's folder, an adapter's folder or nothing, and what is asked; its latents
are written beside it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file


class _Decided:
    """Latents of a start image that are their distribution's mode, not a draw from it."""

    def __init__(self, latents: torch.Tensor):
        self.latents = latents


def main() -> None:
    torch.set_num_threads(1)
    for job in json.loads(Path(sys.argv[1]).read_text()):
        pipeline = DiffusionPipeline.from_pretrained(job["pipeline"], local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        if job["adapter"]:
            pipeline.load_lora_weights(job["adapter"])
            second = Path(job["adapter"]) / "transformer_2"
            if second.is_dir():
                pipeline.load_lora_weights(str(second), load_into_transformer_2=True)
        save_file({"latents": latents(pipeline, job)}, job["answer"])


@torch.no_grad()
def latents(pipeline: Any, job: dict[str, Any]) -> torch.Tensor:  # [1, C, t, h, w]
    frames_first = type(pipeline).__name__.startswith("CogVideoX")
    noise = load_file(job["noise"])["noise"]
    more: dict[str, Any] = {}
    if job["image"]:
        more["image"] = Image.open(job["image"])
        if frames_first:
            encode = pipeline.vae.encode
            pipeline.vae.encode = lambda x: _Decided(encode(x).latent_dist.mode())
    found = pipeline(
        **job["asked"],
        latents=noise.transpose(1, 2) if frames_first else noise,
        output_type="latent",
        **more,
    ).frames
    return (found.transpose(1, 2) if frames_first else found).contiguous()


if __name__ == "__main__":
    main()
