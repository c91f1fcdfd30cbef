"""What the families of backbones want of a clip: patches, colours, timestamps.

The numbers are those of the library's own processors; `transformers` cannot be asked for them,
because its video processors need torchvision.
"""

from dataclasses import dataclass
from typing import Any, Final

from models_rm.errors import BackboneMissingError

_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_HALF: Final = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Family:
    """How a clip becomes patches and tokens for one backbone."""

    name: str
    patch: int  # pixels
    merge: int  # patches per token and side
    temporal_patch: int  # frames
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    timestamps: bool  # Qwen3-VL writes the time before each pair of frames
    seconds_per_grid: bool  # Qwen2.5-VL turns seconds into temporal positions

    @property
    def side_factor(self) -> int:
        """Each side of a frame is a multiple of this many pixels."""
        return self.patch * self.merge


def family_of(config: Any) -> Family:
    """The family of a backbone, from its `transformers` config."""
    name = config.model_type
    if name not in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        raise BackboneMissingError(
            f"backbone type {name!r} is not supported; expected qwen2_vl, qwen2_5_vl or qwen3_vl"
        )
    vision = config.vision_config
    third = name == "qwen3_vl"
    return Family(
        name=name,
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        temporal_patch=vision.temporal_patch_size,
        mean=_HALF if third else _CLIP_MEAN,
        std=_HALF if third else _CLIP_STD,
        timestamps=third,
        seconds_per_grid=name == "qwen2_5_vl",
    )


# As released; a config may differ, so trainers ask `family_of`.
QWEN2_VL: Final = Family(
    "qwen2_vl", 14, 2, 2, _CLIP_MEAN, _CLIP_STD, timestamps=False, seconds_per_grid=False
)
