"""Qwen3-VL (arXiv 2511.21631): timestamps as text, and features of early layers beside the last."""

from typing import Any, Final

from models_rm.backbones.adapter import Adapter, rope_index
from models_rm.backbones.families import Family

_HALF: Final = (0.5, 0.5, 0.5)


def _family(config: Any) -> Family:
    vision = config.vision_config
    return Family(
        name="qwen3_vl",
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal_patch=vision.temporal_patch_size,
        mean=_HALF,
        std=_HALF,
        timestamps=True,
        seconds_per_grid=False,
    )


QWEN3_VL: Final = Adapter(
    model_type="qwen3_vl",
    vision="visual",
    language="language_model",
    mergers=("visual.merger", "visual.deepstack_merger_list"),
    vision_lora_targets=("qkv", "proj", "linear_fc1", "linear_fc2"),
    family=_family,
    positions=rope_index,
)
