"""What the families of backbones want of a clip: patches, colours, timestamps.

The numbers are those of the library's own processors; `transformers` cannot be asked for them,
because its video processors need torchvision. Each family says its own in `backbones`.
"""

from dataclasses import dataclass
from typing import Final

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)


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


# As released; a config may differ, so trainers ask the adapter of the backbone.
QWEN2_VL: Final = Family(
    "qwen2_vl", 14, 2, 2, CLIP_MEAN, CLIP_STD, timestamps=False, seconds_per_grid=False
)
