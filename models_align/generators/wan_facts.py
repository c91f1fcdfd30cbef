"""What is known of the Wan family beside its weights: what learns, what it was trained on."""

from typing import Any, Final

from diffusers import WanImageToVideoPipeline, WanPipeline

from models_align.config import TimestepSettings
from models_align.errors import GeneratorNotFoundError
from models_align.generators.base import NativeSize

# The projections of self- and cross-attention (arXiv 2501.13918, Table 10).
LORA_TARGETS: Final = ("to_q", "to_k", "to_v", "to_out.0")
# Those that look at the CLIP embeddings; diffusers expects them in an adapter of 2.1's I2V.
IMAGE_TARGETS: Final = ("add_k_proj", "add_v_proj")
# The text length that Wan was trained with; a tokenizer may set a shorter one.
MAX_TEXT_TOKENS: Final = 512
# Wan (arXiv 2503.20314, section 4.2) draws t from a logit-normal distribution.
NATIVE_TIMESTEPS: Final = TimestepSettings("logit_normal")


def native_shift(scheduler: Any) -> float:
    config = scheduler.config
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def native_size(pipeline: Any) -> NativeSize:
    """Of a tiny network its grid of places; else what the model cards of the family recommend."""
    config, vae = pipeline.transformer.config, pipeline.vae.config
    if "grid" in config:
        sides = [n * p for n, p in zip(config.grid, config.patch_size, strict=True)]
        pixels = vae.scale_factor_spatial
        frames = (sides[0] - 1) * vae.scale_factor_temporal + 1
        return NativeSize(frames, sides[1] * pixels, sides[2] * pixels, 8)
    if pipeline.config.expand_timesteps:
        return NativeSize(121, 704, 1280, 24)
    return NativeSize(81, 480, 832, 16)


def refuse_what_is_not_wan(pipeline: Any, source: str) -> None:
    """One sentence before anything else fails on it."""
    if not isinstance(pipeline, WanPipeline | WanImageToVideoPipeline):
        raise GeneratorNotFoundError(
            f"the generator {source!r} is a {type(pipeline).__name__}; expected a pipeline of the "
            "Wan family"
        )
    if pipeline.transformer is None:
        raise GeneratorNotFoundError(
            f"the generator {source!r} has no part 'transformer', which predicts at much noise"
        )
