"""Named configs of reward models, each with its source. Standard library only: the web reads this.

A preset is a start, not a mode: what it gives is a whole config, and every entry can be changed.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from models_rm.config import ConfigError, RewardModelConfig

_VIDEOALIGN: Final = "Improving Video Generation with Human Feedback, arXiv 2501.13918"
_ANIME: Final = "Aligning Anime Video Generation with Human Feedback, arXiv 2504.10044"


@dataclass(frozen=True, slots=True)
class Preset:
    """`changes` are entries of `RewardModelConfig`; the others have their defaults."""

    name: str
    title: str
    source: str
    note: str
    changes: Mapping[str, Any]

    def config(self) -> RewardModelConfig:
        return RewardModelConfig.from_json(self.changes)


# Tables 10 and 11: the vision tower learns whole, the language model by LoRA, 32 pairs per step,
# two epochs at a constant rate after a warm-up, 2 frames per second of at most 448x448. One linear
# layer for all dimensions, as the paper's text has it (the released script has one for each).
_VIDEOREWARD: Final[dict[str, Any]] = {
    "loss": "btt", "theta": 5.0, "template": "guideline", "shared_head": True,
    "language": "lora", "vision": "full", "lora_r": 64, "lora_alpha": 128, "lora_dropout": 0.0,
    "epochs": 2.0, "pairs_per_step": 32, "accumulation": 32,
    "learning_rate": 2e-6, "vision_learning_rate": 2e-6, "head_learning_rate": 2e-6,
    "schedule": "constant", "warmup": 0.05,
    "fps": 2.0, "min_pixels": 128 * 28 * 28, "max_pixels": 256 * 28 * 28,
    "dtype": "bfloat16",
}  # fmt: skip

_TINY: Final[dict[str, Any]] = {
    "loss": "btt", "theta": 3.0, "template": "brief", "language": "full", "vision": "full",
    "learning_rate": 5e-4, "vision_learning_rate": 5e-4, "head_learning_rate": 2e-3,
    "weight_decay": 0.1, "schedule": "cosine", "warmup": 0.1, "labels": "posterior",
    "fps": 8.0, "min_pixels": 3136, "max_pixels": 3136, "embed_backbone": True,
    "steps": 300, "pairs_per_step": 64, "log_every": 5, "eval_every": 50, "save_every": 50,
}  # fmt: skip

_ALL: Final = (
    Preset(
        "videoreward-2b",
        "VideoReward: Bradley-Terry with ties on Qwen2-VL-2B",
        f"{_VIDEOALIGN}, tables 10 and 11",
        "One pair at a time, for one GPU. The paper had 8 GPUs: processes 8, accumulation 4.",
        _VIDEOREWARD,
    ),
    Preset(
        "videoreward-2b-one-token",
        "VideoReward without separate tokens",
        f"{_VIDEOALIGN}, table 6",
        "The row of the ablation before the last: one reward token for all dimensions.",
        {**_VIDEOREWARD, "template": "guideline_one_token", "shared_head": False},
    ),
    Preset(
        "videoreward-2b-bt",
        "VideoReward with plain Bradley-Terry",
        f"{_VIDEOALIGN}, table 6",
        "Ties are left out, so that nothing keeps equal clips together.",
        {**_VIDEOREWARD, "loss": "bt"},
    ),
    Preset(
        "videoreward-2b-regression",
        "VideoReward as regression on scores",
        f"{_VIDEOALIGN}, table 6 and figure 2",
        "Needs 1-5 scores of clips. Below Bradley-Terry at every amount of data in the paper.",
        {**_VIDEOREWARD, "loss": "regression"},
    ),
    Preset(
        "animereward",
        "AnimeReward: a regression head for each dimension",
        _ANIME,
        "Needs 1-5 scores. The paper gives neither rate nor epochs: they are those of VideoReward."
        " For a backbone of its own per dimension, train one run for each and compose them."
        " Where prompts have start images, set start_image to prepend.",
        {**_VIDEOREWARD, "loss": "regression", "shared_head": False},
    ),
    Preset(
        "tiny",
        "Tiny: the demo world on two CPU cores",
        "the demo of this project (demo/presets)",
        "For backbones of about a million parameters that the demo pretrains.",
        _TINY,
    ),
)

PRESETS: Final[Mapping[str, Preset]] = {each.name: each for each in _ALL}


def preset(name: str) -> Preset:
    """ConfigError with the nearest name for one that is not there."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(PRESETS)}"
    raise ConfigError(f"there is no preset {name!r}; {hint}")
