"""Vision-language models small enough for a CPU: Qwen2-VL, Qwen2.5-VL, Qwen3-VL from a config.

They are the real classes of `transformers` with few and narrow layers, so everything that works
on them works on the released weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

# The frequencies of height and width are the lowest ones. On a grid of 2 x 2 tokens the 10,000 of
# large models would turn them by 0.003 radians: left and right would look the same.
ROPE_THETA: Final = 10.0


@dataclass(frozen=True, slots=True)
class TinySize:
    """Widths and depths. The default has about 1.2 million parameters as Qwen2-VL."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vision_width: int = 96
    vision_layers: int = 3
    vision_heads: int = 4


def tiny_vlm(family: str, tokenizer: Any, *, size: TinySize | None = None, seed: int = 0) -> Any:
    """A model with random weights for `AutoModelForImageTextToText`; `family` as in FAMILIES."""
    torch.manual_seed(seed)
    model = FAMILIES[family](size or TinySize(), tokenizer)
    return model.float()


def _text(size: TinySize, tokenizer: Any, **rope: Any) -> dict[str, Any]:
    half = size.hidden // size.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": sections, **rope
        },
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip


def _token_ids(tokenizer: Any) -> dict[str, int]:
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def _qwen2_vl(size: TinySize, tokenizer: Any) -> Any:
    vision = {
        "depth": size.vision_layers, "embed_dim": size.vision_width, "hidden_size": size.hidden,
        "num_heads": size.vision_heads, "mlp_ratio": 2, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    config = Qwen2VLConfig(
        text_config=_text(size, tokenizer), vision_config=vision, **_token_ids(tokenizer)
    )
    return Qwen2VLForConditionalGeneration(config)


def _qwen2_5_vl(size: TinySize, tokenizer: Any) -> Any:
    vision = {
        "depth": size.vision_layers, "hidden_size": size.vision_width,
        "intermediate_size": 2 * size.vision_width, "num_heads": size.vision_heads,
        "out_hidden_size": size.hidden, "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "window_size": 56, "tokens_per_second": 2,
        "fullatt_block_indexes": [size.vision_layers - 1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=_text(size, tokenizer), vision_config=vision, **_token_ids(tokenizer)
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def _qwen3_vl(size: TinySize, tokenizer: Any) -> Any:
    vision = {
        "depth": size.vision_layers, "hidden_size": size.vision_width,
        "intermediate_size": 2 * size.vision_width, "num_heads": size.vision_heads,
        "out_hidden_size": size.hidden, "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 64,
        "deepstack_visual_indexes": list(range(size.vision_layers - 1)),
    }  # fmt: skip
    text = _text(size, tokenizer, mrope_interleaved=True)
    config = Qwen3VLConfig(
        text_config={**text, "head_dim": size.hidden // size.heads},
        vision_config=vision,
        **_token_ids(tokenizer),
    )
    return Qwen3VLForConditionalGeneration(config)


FAMILIES: Final[dict[str, Callable[[TinySize, Any], Any]]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
}
