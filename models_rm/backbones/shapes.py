"""The shapes of the released backbones: the numbers of their public config.json files.

With them a full-size backbone is built on the meta device, without weights and without a hub.
`parameters` is what the hub says of the published weights, language head included; a test builds
each and counts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import AutoConfig, Qwen2_5_VLConfig, Qwen2VLConfig, Qwen3VLConfig

from models_rm.errors import BackboneMissingError


@dataclass(frozen=True, slots=True)
class Shape:
    """One released backbone."""

    name: str
    hub_id: str
    parameters: int
    config: Any  # of `transformers`


def _rope(theta: float, sections: list[int], **more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta, "mrope_section": sections, **more}


def _text(width: int, layers: int, heads: tuple[int, int], rise: int) -> dict[str, Any]:
    """`heads`: of queries, and of keys and values; `rise`: the width inside the feed-forward."""
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "intermediate_size": rise,
        "vocab_size": 151936,
        "rms_norm_eps": 1e-6,
    }


def _qwen2(text: dict[str, Any], *, tied: bool) -> Any:
    vision = {
        "depth": 32, "embed_dim": 1280, "hidden_size": text["hidden_size"], "num_heads": 16,
        "mlp_ratio": 4, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    rope = _rope(1e6, [16, 24, 24])
    text = {**text, "max_position_embeddings": 32768, "rope_parameters": rope}
    return Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def _qwen2_5(text: dict[str, Any], *, tied: bool) -> Any:
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "out_hidden_size": text["hidden_size"], "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "window_size": 112, "tokens_per_second": 2,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip
    rope = _rope(1e6, [16, 24, 24])
    text = {**text, "max_position_embeddings": 128000, "rope_parameters": rope}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def _qwen3(text: dict[str, Any], tower: tuple[int, int, int, list[int]], *, tied: bool) -> Any:
    """`tower`: its depth, width, width inside the feed-forward, and the layers of deepstack."""
    depth, width, rise, early = tower
    vision = {
        "depth": depth, "hidden_size": width, "intermediate_size": rise, "num_heads": 16,
        "out_hidden_size": text["hidden_size"], "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 2304,
        "deepstack_visual_indexes": early,
    }  # fmt: skip
    rope = _rope(5e6, [24, 20, 20], mrope_interleaved=True)
    text = {**text, "head_dim": 128, "max_position_embeddings": 262144, "rope_parameters": rope}
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied)


_LARGER_VOCABULARY: Final = {"vocab_size": 152064}
_SMALL_TOWER: Final = (24, 1024, 4096, [5, 11, 17])
_LARGE_TOWER: Final = (27, 1152, 4304, [8, 16, 24])

SHAPES: Final[dict[str, Shape]] = {
    each.name: each
    for each in (
        Shape(
            "Qwen2-VL-2B",
            "Qwen/Qwen2-VL-2B-Instruct",
            2_208_985_600,
            _qwen2(_text(1536, 28, (12, 2), 8960), tied=True),
        ),
        Shape(
            "Qwen2-VL-7B",
            "Qwen/Qwen2-VL-7B-Instruct",
            8_291_375_616,
            _qwen2(_text(3584, 28, (28, 4), 18944) | _LARGER_VOCABULARY, tied=False),
        ),
        Shape(
            "Qwen2.5-VL-3B",
            "Qwen/Qwen2.5-VL-3B-Instruct",
            3_754_622_976,
            _qwen2_5(_text(2048, 36, (16, 2), 11008), tied=True),
        ),
        Shape(
            "Qwen2.5-VL-7B",
            "Qwen/Qwen2.5-VL-7B-Instruct",
            8_292_166_656,
            _qwen2_5(_text(3584, 28, (28, 4), 18944) | _LARGER_VOCABULARY, tied=False),
        ),
        Shape(
            "Qwen3-VL-2B",
            "Qwen/Qwen3-VL-2B-Instruct",
            2_127_532_032,
            _qwen3(_text(2048, 28, (16, 8), 6144), _SMALL_TOWER, tied=True),
        ),
        Shape(
            "Qwen3-VL-4B",
            "Qwen/Qwen3-VL-4B-Instruct",
            4_437_815_808,
            _qwen3(_text(2560, 36, (32, 8), 9728), _SMALL_TOWER, tied=True),
        ),
        Shape(
            "Qwen3-VL-8B",
            "Qwen/Qwen3-VL-8B-Instruct",
            8_767_123_696,
            _qwen3(_text(4096, 36, (32, 8), 12288), _LARGE_TOWER, tied=False),
        ),
    )
}


def config_of(name: str) -> Any:
    """The `transformers` config of a released backbone by its name or hub id, or of a folder."""
    for shape in SHAPES.values():
        if name.casefold() in (shape.name.casefold(), shape.hub_id.casefold()):
            return shape.config
    if (Path(name) / "config.json").is_file():
        return AutoConfig.from_pretrained(name)
    raise BackboneMissingError(
        f"no backbone {name!r} is known; expected a folder with config.json or one of "
        f"{', '.join(SHAPES)}"
    )
