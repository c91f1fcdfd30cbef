"""Qwen2-VL (arXiv 2409.12191): the backbone of VideoReward."""

from typing import Any, Final

from models_rm.backbones.adapter import Adapter, rope_index
from models_rm.backbones.families import CLIP_MEAN, CLIP_STD, Family


def _family(config: Any) -> Family:
    vision = config.vision_config
    return Family(
        name="qwen2_vl",
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal_patch=vision.temporal_patch_size,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        timestamps=False,
        seconds_per_grid=False,
    )


QWEN2_VL: Final = Adapter(
    model_type="qwen2_vl",
    vision="visual",
    language="language_model",
    mergers=("visual.merger",),
    vision_lora_targets=("qkv", "proj", "fc1", "fc2"),
    family=_family,
    positions=rope_index,
)
