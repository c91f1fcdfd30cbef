"""Qwen2.5-VL (arXiv 2502.13923): attention in windows, temporal positions in seconds."""

from typing import Any, Final

import torch

from models_rm.backbones.adapter import Adapter, Row, rope_index
from models_rm.backbones.families import CLIP_MEAN, CLIP_STD, Family


def _family(config: Any) -> Family:
    vision = config.vision_config
    return Family(
        name="qwen2_5_vl",
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal_patch=vision.temporal_patch_size,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        timestamps=False,
        seconds_per_grid=True,
    )


def _positions(backbone: Any, row: Row) -> torch.Tensor:  # [3, L]
    # Without it the library takes one second per grid, whatever the frame rate was.
    return rope_index(backbone, row, second_per_grid_ts=row.seconds[None])


QWEN2_5_VL: Final = Adapter(
    model_type="qwen2_5_vl",
    vision="visual",
    language="language_model",
    mergers=("visual.merger",),
    vision_lora_targets=("qkv", "proj", "gate_proj", "up_proj", "down_proj"),
    family=_family,
    positions=_positions,
)
