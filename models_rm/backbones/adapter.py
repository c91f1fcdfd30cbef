"""What a family of backbones must say of itself to become a reward model.

A new family is one file with one `Adapter`, entered in `registry`. Everything else (collator,
network, preparing, checkpoints, description) asks the adapter and knows no family by name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from models_rm.backbones.families import Family


class Row(NamedTuple):
    """One clip with its text, without padding."""

    input_ids: torch.Tensor  # [L]
    types: torch.Tensor  # [L], 2 at video tokens
    grid: torch.Tensor  # [3]: temporal patches, height and width in patches
    seconds: torch.Tensor  # scalar, seconds per temporal patch


@dataclass(frozen=True, slots=True)
class Adapter:
    """A family of backbones. Names of modules are dotted names below the backbone.

    The backbone is the model without its language head: it takes `input_ids`, `position_ids`,
    `pixel_values_videos`, `video_grid_thw` and gives `last_hidden_state`.
    """

    model_type: str  # of its `transformers` config
    vision: str  # the vision tower
    language: str  # the decoder
    mergers: tuple[str, ...]  # parts of the tower that bring its width to that of the text
    vision_lora_targets: tuple[str, ...]  # last names of the linear layers that get an adapter
    family: Callable[[Any], Family]  # (config) -> how a clip becomes patches and tokens
    positions: Callable[[Any, Row], torch.Tensor]  # (backbone, row) -> M-RoPE positions [3, L]

    def vision_of(self, backbone: Any) -> nn.Module:
        module: nn.Module = backbone.get_submodule(self.vision)
        return module

    def language_of(self, backbone: Any) -> nn.Module:
        module: nn.Module = backbone.get_submodule(self.language)
        return module

    def mergers_of(self, backbone: Any) -> Iterator[nn.Module]:
        for name in self.mergers:
            yield backbone.get_submodule(name)


def rope_index(backbone: Any, row: Row, **extra: torch.Tensor) -> torch.Tensor:  # [3, L]
    """The positions that the library itself gives a row."""
    positions, _ = backbone.get_rope_index(
        row.input_ids[None],
        mm_token_type_ids=row.types[None],
        video_grid_thw=row.grid[None],
        **extra,
    )
    result: torch.Tensor = positions[:, 0]
    return result


def flat_positions(length: int, device: torch.device) -> torch.Tensor:  # [3, L]
    """One position on all axes, as the released VideoReward has it."""
    return torch.arange(length, device=device).expand(3, length)
