"""What a training will need of memory, before it runs: counted from its config and its base.

Weights as they are loaded; gradients and both moments of Adam for what learns; and what is kept for
the backward pass, by layer and token. It is a rough count: `models_rm.networks.memory` counts
exactly, but needs torch. The memory that earlier runs took corrects it (pipelines.earlier_runs).
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_jsonl
from formats.outcome import OutputKind
from formats.records import PreferenceRecord
from pipelines import trainer_configs
from pipelines.models import Artifact, BaseModel, Run
from pipelines.registry import path_of
from pipelines.tensor_headers import Tensor, tensors_in

Source = Artifact | BaseModel | Run
Inputs = Mapping[str, Source]
# Per number that a linear layer puts out, so many are kept: inputs, norms, activations. In half
# precision more: copies that autocast makes (tests/models_rm/networks holds the rough count).
_KEPT: Final = {4: 4 / 3, 2: 2.2}
_TEXT: Final = 200  # tokens of a rating text and a prompt
_SECONDS: Final = 5.0  # of a clip, where none can be looked at
_BLOCK: Final = re.compile(r"(?:^|[./])(?:layers|blocks|transformer_blocks)\.\d+\.")
_VISION: Final = re.compile(r"(?:^|[./])(?:visual|vision)")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes of one process; `activations` is None where the size of the clips is not known."""

    weights: int
    learning: int  # gradients and moments
    activations: int | None

    @property
    def fixed(self) -> int:
        return self.weights + self.learning


def estimate(kind: str, config: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
    """None for a kind that is not counted, or where the base is not on this machine."""
    count = _COUNTS.get(kind)
    return None if count is None else count(config, inputs)


# Reward models.


def _reward_model(config: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
    folder = folder_of(inputs.get("backbone"))
    tensors = tensors_in(folder) if folder else ()
    if folder is None or not tensors:
        return None
    size = 2 if config["dtype"] == "bfloat16" else 4
    vision = [each for each in tensors if _VISION.search(each.name)]
    language = [each for each in tensors if not _VISION.search(each.name)]
    targets = config["lora_vision_targets"] or ("qkv", "proj", "fc1", "fc2")
    learned = [
        _learned(language, config["language"], config["lora_targets"], config["lora_r"]),
        _learned(vision, config["vision"], targets, config["lora_r"]),
    ]
    visual, patches = _seen(config, folder, inputs)
    clips = 2 * config["pairs_per_step"] / (config["accumulation"] * config["processes"])
    again = config["gradient_checkpointing"]
    kept = _activations(language, (visual + _TEXT) * clips, size, again=again)
    if config["vision"] != "frozen":
        kept += _activations(vision, patches * clips, size, again=again)
    shards = config["processes"] if config["sharding"] == "fsdp" else 1
    hows = (config["language"], config["vision"])
    whole = sum(count for how, count in zip(hows, learned, strict=True) if how == "full")
    weights = _loaded(tensors, size, whole=whole, added=sum(learned) - whole)
    return Estimate(weights // shards, 12 * sum(learned) // shards, round(kept))


def _loaded(tensors: Iterable[Tensor], size: int, *, whole: int, added: int) -> int:
    """What learns is in full precision whatever the rest is: whole parts, and added adapters."""
    numbers = sum(each.numbers for each in tensors)
    return (numbers - whole) * size + 4 * (whole + added)


def _learned(tensors: Iterable[Tensor], how: str, targets: Iterable[str], rank: int) -> int:
    if how == "full":
        return sum(each.numbers for each in tensors)
    if how != "lora":
        return 0
    names = tuple(f".{target}.weight" for target in targets)
    return sum(
        rank * sum(each.shape)
        for each in tensors
        if len(each.shape) == 2 and each.name.endswith(names)
    )


def _activations(tensors: Iterable[Tensor], tokens: float, size: int, *, again: bool) -> float:
    """With checkpoints (`again`) each block keeps its input, and one at a time is whole."""
    outs: dict[str, int] = {}
    width = 0
    for each in tensors:
        found = _BLOCK.search(each.name)
        if found and len(each.shape) == 2:
            outs[each.name[: found.end()]] = outs.get(each.name[: found.end()], 0) + each.shape[0]
            width = max(width, min(each.shape))
    numbers = sum(outs.values())
    if again and outs:
        numbers = len(outs) * width + max(outs.values())
    return _KEPT[size] * numbers * tokens * size


def _seen(config: Mapping[str, Any], folder: Path, inputs: Inputs) -> tuple[float, float]:
    """(tokens, patches) of one clip."""
    vision = _json(folder / "config.json").get("vision_config", {})
    patch, merge = vision.get("patch_size", 14), vision.get("spatial_merge_size", 2)
    frames = _clip_seconds(inputs.get("snapshot")) * config["fps"]
    frames = min(max(frames, config["min_frames"]), config["max_frames"])
    depth = max(1.0, math.ceil(frames / vision.get("temporal_patch_size", 2)))
    patches = depth * config["max_pixels"] / patch**2
    return patches / merge**2, patches


def _clip_seconds(snapshot: Source | None) -> float:
    """Of the first clip of the snapshot: those of a campaign are mostly alike."""
    if not isinstance(snapshot, Artifact) or snapshot.kind != OutputKind.SNAPSHOT:
        return _SECONDS
    try:
        rows = read_jsonl(path_of(snapshot) / "preferences.jsonl", PreferenceRecord.SCHEMA)
        first = next(iter(rows))[1]["video_a"]
        return float(first["num_frames"] / first["fps"])
    except (FormatError, OSError, StopIteration, KeyError, TypeError, ZeroDivisionError):
        return _SECONDS


def _learning_curve(config: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
    return _reward_model(trainer_configs.reward_model(config.get("model", {})), inputs)


# Generators.


def _alignment(config: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
    tensors, folder = _generator(inputs)
    if folder is None or not tensors:
        return None
    size = 2 if config["precision"] == "bfloat16" else 4
    network = [each for each in tensors if each.name.startswith("transformer")]
    lora = config["lora"]
    # Without targets the family chooses, and all choose the attention.
    targets = lora["targets"] or ("to_q", "to_k", "to_v", "to_out.0")
    learned = _learned(network, "lora", targets, lora["r"])
    together = config["pairs_per_step"] // config["processes"]
    clips = 2 * min(config["micro_pairs"] or together, together)
    tokens = _grid_tokens(folder)
    kept = None
    if tokens is not None:
        again = config["gradient_checkpointing"]
        kept = round(_activations(network, tokens * clips, size, again=again))
    shards = config["processes"] if config["sharding"] == "fsdp" else 1
    weights = _loaded(tensors, size, whole=0, added=learned)
    return Estimate(weights // shards, 12 * learned // shards, kept)


def _inference(role: str) -> Callable[[Mapping[str, Any], Inputs], Estimate | None]:
    """Weights alone: what a forward without gradients needs besides is known from earlier runs."""

    def count(config: Mapping[str, Any], inputs: Inputs) -> Estimate | None:
        folder = folder_of(inputs.get(role))
        tensors = tensors_in(folder) if folder else ()
        half = "bfloat16" in (config.get("dtype"), config.get("precision"))
        numbers = sum(each.numbers for each in tensors)
        return Estimate(numbers * (2 if half else 4), 0, None) if numbers else None

    return count


def _generator(inputs: Inputs) -> tuple[tuple[Tensor, ...], Path | None]:
    folder = folder_of(inputs.get("generator"))
    return (tensors_in(folder) if folder else ()), folder


def _grid_tokens(folder: Path) -> float | None:
    """Tokens of one clip, of a network that was made for one size; None for all others."""
    config = _json(folder / "transformer" / "config.json")
    grid, patch = config.get("grid"), config.get("patch_size")
    if not (isinstance(grid, list) and isinstance(patch, list) and len(grid) == len(patch)):
        return None
    return float(math.prod(grid))


def folder_of(source: Source | None) -> Path | None:
    """Where the weights lie; None for a public id, and for what a run will leave."""
    if isinstance(source, BaseModel):
        if source.artifact is not None:
            return path_of(source.artifact)
        return Path(source.source) if source.source.startswith("/") else None
    return path_of(source) if isinstance(source, Artifact) else None


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def corrected(found: Estimate, factor: float) -> Estimate:
    """With activations as earlier runs had them."""
    if found.activations is None:
        return found
    return replace(found, activations=round(found.activations * factor))


_COUNTS: Final[dict[str, Callable[[Mapping[str, Any], Inputs], Estimate | None]]] = {
    "reward_model": _reward_model,
    "learning_curve": _learning_curve,
    "alignment": _alignment,
    "latent_reward": _inference("generator"),
    "generation": _inference("generator"),
    "guidance_cells": _inference("generator"),
    "scoring": _inference("backbone"),
    "reward_evaluation": _inference("backbone"),
    "reward_benchmark": _inference("backbone"),
}
