"""`python -m models_rm describe NAME`: what a reward model on a backbone would be and would need.

The whole network is built on the meta device: every layer and adapter is there, no number is. So a
7B model is described in a second on a laptop, before anybody rents a GPU for it.
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForImageTextToText

from formats.dimensions import BUILT_IN, DimensionSet
from formats.outcome import ExitCode
from formats.supervised import BadConfigError
from models_rm.backbones.shapes import SHAPES, config_of
from models_rm.clips.video import FrameRule, frame_count, smart_resize
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.networks.memory import Memory, Work, training_memory
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.checkpoints import build_network

# English text has about four characters in a token of these tokenizers.
_CHARACTERS: Final = 4
_PROMPT: Final = 240  # characters of a usual prompt
_ABOUT_CHAT: Final = 20  # tokens of the chat template around it
_TIMESTAMP: Final = 8  # tokens before each pair of frames, where a family writes the time


@dataclass(frozen=True, slots=True)
class ClipSize:
    """A clip as a generator leaves it."""

    height: int = 720
    width: int = 1280
    seconds: float = 5.0
    fps: float = 24.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network sees of one clip."""

    frames: int
    height: int
    width: int
    patches: int
    visual_tokens: int
    text_tokens: int


@dataclass(frozen=True, slots=True)
class Description:
    """Numbers of parameters by part, what learns, and the memory of one process."""

    name: str
    parameters: dict[str, int]  # vision, language, adapters, reward
    learning: dict[str, int]
    seen: Seen
    clips: int  # in one forward
    plain: Memory
    checkpointed: Memory


def describe(
    name: str,
    config: RewardModelConfig,
    *,
    dimensions: DimensionSet = BUILT_IN["videoalign"],
    clip: ClipSize | None = None,
) -> Description:
    """BackboneMissingError for a backbone that is not known."""
    network, template = meta_network(config_of(name), config, dimensions)
    seen = what_is_seen(network, config, template, clip or ClipSize())
    clips = 2 * config.pairs_per_step // (config.accumulation * config.processes)
    tokens = clips * (seen.visual_tokens + seen.text_tokens)
    work = Work(clips, clips * seen.patches, tokens)
    return Description(
        name=name,
        parameters=_parameters(network, learning=False),
        learning=_parameters(network, learning=True),
        seen=seen,
        clips=clips,
        plain=training_memory(network, replace(config, gradient_checkpointing=False), work),
        checkpointed=training_memory(network, replace(config, gradient_checkpointing=True), work),
    )


def meta_network(
    backbone_config: Any, config: RewardModelConfig, dimensions: DimensionSet
) -> tuple[RewardNetwork, RatingTemplate]:
    """The network as a run would train it, without a number in it."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of adapters whose start values go nowhere
        dtype = getattr(torch, config.dtype)
        model = AutoModelForImageTextToText.from_config(backbone_config, dtype=dtype)
        return build_network(model.model, dimensions, config)


def what_is_seen(
    network: RewardNetwork, config: RewardModelConfig, template: RatingTemplate, clip: ClipSize
) -> Seen:
    family = network.family
    rule = FrameRule(
        fps=config.fps,
        min_frames=config.min_frames,
        max_frames=config.max_frames,
        min_pixels=config.min_pixels,
        max_pixels=config.max_pixels,
        side_factor=family.side_factor,
    )
    frames = frame_count(clip.seconds, round(clip.seconds * clip.fps), rule)
    height, width = smart_resize(clip.height, clip.width, rule)
    grids = -(-frames // family.temporal_patch)
    patches = grids * (height // family.patch) * (width // family.patch)
    text = len(template.text("x" * _PROMPT)) // _CHARACTERS + _ABOUT_CHAT
    text += grids * _TIMESTAMP if family.timestamps else 0
    return Seen(frames, height, width, patches, patches // family.merge**2, text)


def _parameters(network: RewardNetwork, *, learning: bool) -> dict[str, int]:
    """By part: the two of the backbone, LoRA, and what is ours (tokens, heads, thetas)."""
    adapter = network.adapter
    parts = {f"backbone.{adapter.vision}.": "vision", f"backbone.{adapter.language}.": "language"}
    counts = dict.fromkeys(("vision", "language", "adapters", "reward"), 0)
    for name, parameter in network.named_parameters():
        part = next((part for prefix, part in parts.items() if name.startswith(prefix)), "reward")
        if parameter.requires_grad or not learning:
            counts["adapters" if ".lora_" in name else part] += parameter.numel()
    return counts


# The command.


def main(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(list(words))
    config = _config(arguments.config)
    clip = ClipSize(arguments.height, arguments.width, arguments.seconds, arguments.fps)
    dimensions = BUILT_IN[arguments.dimensions]
    names = list(SHAPES) if arguments.name == "all" else [arguments.name]
    for name in names:
        print(told(describe(name, config, dimensions=dimensions, clip=clip), config))
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models_rm describe",
        description="Parameters and memory of a reward model on a backbone, without its weights.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "name", metavar="NAME", help=f"a folder with config.json, all, or of {', '.join(SHAPES)}"
    )
    parser.add_argument("--config", type=Path, help="config.json of a run; else the defaults")
    parser.add_argument("--dimensions", choices=sorted(BUILT_IN), default="videoalign")
    parser.add_argument("--height", type=int, default=720, help="of the clips, in pixels")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the clips are")
    parser.add_argument("--fps", type=float, default=24.0, help="their frames per second")
    return parser


def _config(path: Path | None) -> RewardModelConfig:
    """The defaults are those of the paper in bfloat16 (arXiv 2501.13918, table 11)."""
    if path is None:
        return RewardModelConfig(dtype="bfloat16", accumulation=16)
    try:
        return RewardModelConfig.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ConfigError, TypeError) as error:
        raise BadConfigError(f"{path}: {error}") from error


def told(found: Description, config: RewardModelConfig) -> str:
    """The table for people."""
    return "\n".join([*_told_parameters(found), *_told_memory(found, config)])


def _told_parameters(found: Description) -> list[str]:
    of_backbone = found.parameters["vision"] + found.parameters["language"]
    learning = _short(sum(found.learning.values()))
    lines = [f"{found.name}: backbone of {_short(of_backbone)} parameters; {learning} learn"]
    for part, count in found.parameters.items():
        lines.append(f"  {part:<24}{_short(count):>9}  learns {_short(found.learning[part]):>9}")
    return lines


def _told_memory(found: Description, config: RewardModelConfig) -> list[str]:
    seen = found.seen
    frames = f"{seen.frames} frames of {seen.height}x{seen.width}"
    lines = [
        f"  a clip: {frames}, {seen.visual_tokens} visual tokens, about {seen.text_tokens} of text",
        f"  GiB of one process, {config.dtype}, {found.clips} clips in one forward",
        f"  {'':<24}{'plain':>9}{'checkpointed':>16}",
    ]
    for name in ("weights", "gradients", "optimizer", "activations", "working", "total"):
        plain, less = getattr(found.plain, name), getattr(found.checkpointed, name)
        lines.append(f"  {name:<24}{_gibibytes(plain):>9}{_gibibytes(less):>16}")
    return lines


def _short(count: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)


def _gibibytes(count: int) -> str:
    return f"{count / 2**30:.2f}"
