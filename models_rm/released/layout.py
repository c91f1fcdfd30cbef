"""Where things lie in a released VideoReward folder, and what its model_config.json says.

    model_config.json                data_config, model_config, peft_lora_config, inference_config
    checkpoint-11352/model.pth       every weight; or instead of it
    checkpoint-11352/adapter_model.safetensors and non_lora_state_dict.pth

What this code cannot carry over exactly is refused with a sentence, never approximated.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models_rm.errors import CheckpointMismatchError

FULL: Final = "model.pth"
ADAPTER: Final = "adapter_model.safetensors"
REST: Final = "non_lora_state_dict.pth"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class ReleasedConfig:
    """The settings that decide what a score means."""

    keys: tuple[str, ...]  # of the dimensions, in the order of the release
    fps: float
    max_pixels: int
    outputs: int  # of the head: 1 for all tokens, or one for each
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    mean: dict[str, float] | None  # of raw rewards, if the release says them
    std: dict[str, float] | None
    backbone: str  # the name that the release gives it


@dataclass(frozen=True, slots=True)
class Source:
    """A released checkpoint as it lies on disk."""

    folder: Path  # with model.pth, or with the adapter and the rest
    config: ReleasedConfig
    config_file: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The files with weights."""
        if (self.folder / FULL).is_file():
            return (self.folder / FULL,)
        return (self.folder / ADAPTER, self.folder / REST)


def find_source(root: Path, step: int | None = None) -> Source:
    """`root` holds model_config.json and checkpoints, or is one of them."""
    folders = [root, root.parent] if _CHECKPOINT.fullmatch(root.name) else [root]
    config_file = next(
        (each / "model_config.json" for each in folders if (each / "model_config.json").is_file()),
        None,
    )
    if config_file is None:
        raise CheckpointMismatchError("the folder has no model_config.json", path=root)
    folder = _checkpoint(root, step)
    source = Source(folder, read_config(config_file), config_file)
    for path in source.files:
        if not path.is_file():
            raise CheckpointMismatchError(
                f"the checkpoint has neither {FULL} nor both {ADAPTER} and {REST}", path=folder
            )
    return source


def _checkpoint(root: Path, step: int | None) -> Path:
    """The released loader takes the newest where the wanted one is missing; this one does not."""
    names = {each: _CHECKPOINT.fullmatch(each.name) for each in root.iterdir()}
    found = {int(match[1]): each for each, match in names.items() if match}
    if step is not None:
        if step not in found:
            known = ", ".join(map(str, sorted(found))) or "none"
            raise CheckpointMismatchError(
                f"there is no checkpoint of step {step}; found {known}", path=root
            )
        return found[step]
    if len(found) > 1:
        known = ", ".join(map(str, sorted(found)))
        raise CheckpointMismatchError(
            f"there are checkpoints of several steps, {known}: say which one with --step", path=root
        )
    return next(iter(found.values()), root)


def read_config(path: Path) -> ReleasedConfig:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return _config(path, value)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise CheckpointMismatchError(
            f"not the config of a released VideoReward: {error!r}", path=path
        ) from error


def _config(path: Path, value: Mapping[str, Any]) -> ReleasedConfig:
    data, model, lora = value["data_config"], value["model_config"], value["peft_lora_config"]
    eval_dim = data["eval_dim"]
    keys = (eval_dim,) if isinstance(eval_dim, str) else tuple(eval_dim)
    for wrong, sentence in _refusals(data, model, lora, keys):
        if wrong:
            raise CheckpointMismatchError(sentence, path=path)
    mean, std = _calibration(path, value.get("inference_config"), keys)
    return ReleasedConfig(
        keys=keys,
        fps=float(data["fps"]),
        max_pixels=int(data["max_frame_pixels"]),
        outputs=int(model["output_dim"]),
        lora_r=int(lora["lora_r"]),
        lora_alpha=int(lora["lora_alpha"]),
        lora_dropout=float(lora["lora_dropout"]),
        mean=mean,
        std=std,
        backbone=str(model["model_name_or_path"]),
    )


def _refusals(
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    lora: Mapping[str, Any],
    keys: tuple[str, ...],
) -> list[tuple[bool, str]]:
    special = model.get("use_special_tokens") and model.get("reward_token", "special") == "special"
    outputs = model["output_dim"]
    return [
        (not special, "its rewards are not read at tokens of their own, so there are none to keep"),
        (
            outputs not in (1, len(keys)),
            f"its head has {outputs} outputs for {len(keys)} dimensions; expected 1 or {len(keys)}",
        ),
        (not lora.get("lora_enable"), "its language part was not trained through LoRA"),
        (bool(lora.get("use_rslora")), "its LoRA is scaled by the root of the rank (use_rslora)"),
        (bool(lora.get("lora_modules_to_save")), "its LoRA saves whole modules beside"),
        (data.get("num_frames") is not None, "it takes a number of frames and not a frame rate"),
        (
            data.get("sample_type", "uniform") != "uniform",
            f"its frames are sampled in the way {data.get('sample_type')!r}; expected 'uniform'",
        ),
    ]


def _calibration(
    path: Path, inference: Mapping[str, Any] | None, keys: tuple[str, ...]
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    if not inference:
        return None, None
    mean = {key: float(inference[f"{key}_mean"]) for key in keys}
    std = {key: float(inference[f"{key}_std"]) for key in keys}
    if min(std.values()) <= 0:
        raise CheckpointMismatchError(
            "a deviation of its inference_config is not above 0", path=path
        )
    return mean, std
