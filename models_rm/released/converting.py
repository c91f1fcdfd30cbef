"""A released VideoReward checkpoint becomes a reward model of ours.

    python -m models_rm convert SOURCE TARGET --backbone FOLDER_OR_ID --template FILE

The embedding rows of its reward tokens become our free vectors, its head the rows of ours, its
adapters and its vision tower keep their values. Every tensor of the source is used, found equal to
that of the backbone, or named in the card as left out; anything else is an error.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from formats.checkpoints import commit_folder
from formats.dimensions import BUILT_IN, DimensionSet
from formats.files import sha256_of
from formats.outcome import ExitCode
from models_rm.backbones.adapter import Adapter
from models_rm.backbones.loading import load_backbone
from models_rm.backbones.registry import adapter_of
from models_rm.clips.video import FrameRule
from models_rm.config import CARRIED, RewardModelConfig
from models_rm.errors import CheckpointMismatchError
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate, RewardToken
from models_rm.released.filling import Filling, Report
from models_rm.released.layout import Source, find_source
from models_rm.released.rating_text import read_rating_text
from models_rm.released.tensors import SourceTensors, read_tensors
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.checkpoints import (
    BackboneRef,
    ModelCard,
    backbone_sha256,
    build_network,
    fill_folder,
    library_versions,
)

# The released code does not put this into model_config.json: VIDEO_MIN_PIXELS of its
# vision_process.py, and frames between FPS_MIN_FRAMES and FPS_MAX_FRAMES.
MIN_PIXELS: Final = 128 * 28 * 28
MIN_FRAMES: Final = 4
MAX_FRAMES: Final = 768
THETA: Final = 5.0  # a constant inside the released loss


def main(words: Sequence[str]) -> int:
    arguments = _parser().parse_args(list(words))
    report = convert(
        arguments.source,
        arguments.target,
        backbone=arguments.backbone,
        template=arguments.template,
        step=arguments.step,
        embed_backbone=arguments.embed_backbone,
    )
    print(f"{arguments.target}: {report.used} tensors used, {report.equal} equal to the backbone's")
    for name, reason in report.left_out.items():
        print(f"left out: {name} ({reason})")
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models_rm convert",
        description="A released VideoReward checkpoint becomes a reward model of this project. "
        "Its files are opened as tensors only; nothing in them is ever run.",
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="with model_config.json")
    parser.add_argument("target", metavar="TARGET", type=Path, help="a folder that is not there")
    parser.add_argument("--backbone", required=True, help="folder or hub id of the one it was on")
    parser.add_argument(
        "--template",
        type=Path,
        required=True,
        metavar="FILE",
        help="the rating text: prompt_template.py of the released code, or a text file with it",
    )
    parser.add_argument("--step", type=int, help="which checkpoint, if there are several")
    parser.add_argument(
        "--embed-backbone", action="store_true", help="store the whole backbone with the model"
    )
    return parser


def convert(
    root: Path,
    target: Path,
    *,
    backbone: str,
    template: Path,
    step: int | None = None,
    embed_backbone: bool = False,
) -> Report:
    """Write the folder `target`. CheckpointMismatchError where anything does not fit."""
    source = find_source(root, step)
    dimensions = _dimensions(source)
    text = read_rating_text(template, source.config.keys)
    _refuse_another_order(dimensions, text, template)
    tensors = read_tensors(source.files)
    # What was frozen is compared, and perhaps stored, in the type that the release has.
    body, tokenizer = load_backbone(backbone, _dtype(tensors))
    config = _config(source, tensors, adapter_of(body.config), embed_backbone=embed_backbone)
    network, _ = build_network(body, dimensions, config, text)
    filling = Filling(network, tensors, source, embed_backbone=embed_backbone)
    filling.tokens(_token_ids(source, tokenizer, text), len(tokenizer))
    filling.heads(text.keys)
    filling.backbone()
    report = filling.report()
    card = _card(source, network, config, dimensions, text, (backbone, report))
    commit_folder(
        target,
        lambda folder: fill_folder(folder, network, tokenizer, card),
        {"kind": "reward_model", "dimensions": list(dimensions.keys)},
    )
    return report


def _dimensions(source: Source) -> DimensionSet:
    keys = source.config.keys
    for known in BUILT_IN.values():
        if sorted(known.keys) == sorted(keys):
            return known
    raise CheckpointMismatchError(
        f"no set of dimensions has the keys {', '.join(keys)}", path=source.config_file
    )


def _refuse_another_order(dimensions: DimensionSet, text: RatingTemplate, path: Path) -> None:
    """What a dimension may depend on is part of what it means."""
    for each in dimensions.dimensions:
        if text.sees_prompt(each.key) != each.sees_prompt:
            word = "behind" if each.sees_prompt else "before"
            raise CheckpointMismatchError(
                f"the token of {each.key} must stand {word} the prompt, in this text it does not",
                path=path,
            )


def _token_ids(source: Source, tokenizer: Any, text: RatingTemplate) -> dict[str, int]:
    """The released code adds the tokens to the vocabulary in the order of its dimensions."""
    expected = {key: len(tokenizer) + n for n, key in enumerate(source.config.keys)}
    saved = _saved_token_ids(source)
    for key in text.keys:
        word = RewardToken(key).text
        if saved and saved.get(word) != expected[key]:
            raise CheckpointMismatchError(
                f"{word} has the id {saved.get(word)} in the checkpoint, with the tokenizer of the "
                f"backbone it would be {expected[key]}: it was trained on another one",
                path=source.folder / "tokenizer",
            )
    return expected


def _saved_token_ids(source: Source) -> dict[str, int]:
    """Words that were added, from the tokenizer that may lie in the checkpoint."""
    path = source.folder / "tokenizer" / "added_tokens.json"
    if path.is_file():
        return {str(word): int(index) for word, index in json.loads(path.read_text()).items()}
    return {}


def _config(
    source: Source, tensors: SourceTensors, adapter: Adapter, *, embed_backbone: bool
) -> RewardModelConfig:
    released, names = source.config, tensors.backbone
    adapted = [name.split(".lora_")[0] for name in names if ".lora_" in name]
    in_tower = f"{adapter.vision}."
    text_layers = {name.rpartition(".")[2] for name in adapted if not name.startswith(in_tower)}
    tower_layers = {name.rpartition(".")[2] for name in adapted if name.startswith(in_tower)}
    if not text_layers:
        raise CheckpointMismatchError(
            "the checkpoint has no LoRA weights of the language part", path=source.files[0]
        )
    whole = any(name.startswith(in_tower) for name in names)
    return RewardModelConfig(
        loss="btt",
        theta=THETA,
        template=CARRIED,
        shared_head=released.outputs == 1,
        language="lora",
        vision="lora" if tower_layers else "full" if whole else "frozen",
        lora_r=released.lora_r,
        lora_alpha=released.lora_alpha,
        lora_dropout=released.lora_dropout,
        lora_targets=tuple(sorted(text_layers)),
        lora_vision_targets=tuple(sorted(tower_layers)),
        fps=released.fps,
        min_frames=MIN_FRAMES,
        max_frames=MAX_FRAMES,
        min_pixels=MIN_PIXELS,
        max_pixels=released.max_pixels,
        rope_mode="flat",
        dtype=_dtype(tensors),
        embed_backbone=embed_backbone,
    )


def _dtype(tensors: SourceTensors) -> str:
    kinds = {tensor.dtype for tensor in tensors.backbone.values()}
    return "bfloat16" if kinds == {torch.bfloat16} else "float32"


def _card(
    source: Source,
    network: RewardNetwork,
    config: RewardModelConfig,
    dimensions: DimensionSet,
    text: RatingTemplate,
    origin: tuple[str, Report],
) -> ModelCard:
    backbone, report = origin
    keys, released = dimensions.keys, source.config
    return ModelCard(
        dimensions=dimensions,
        theta=dict.fromkeys(keys, THETA),
        config=config,
        backbone=BackboneRef(
            source=backbone,
            sha256=backbone_sha256(backbone),
            model_type=network.family.name,
            embedded=config.embed_backbone,
        ),
        template_sha256=text.sha256(),
        frame_rule=FrameRule(
            fps=config.fps,
            min_frames=config.min_frames,
            max_frames=config.max_frames,
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
            side_factor=network.family.side_factor,
        ),
        calibration=Calibration(
            source="released" if released.mean else "none",
            clips=0,
            mean=released.mean or dict.fromkeys(keys, 0.0),
            std=released.std or dict.fromkeys(keys, 1.0),
            threshold=dict.fromkeys(keys),
        ),
        snapshot_sha256="",
        libraries=library_versions(),
        template=text,
        converted={
            "from": "VideoReward as released (arXiv 2501.13918)",
            "checkpoint": source.folder.name,
            "backbone": released.backbone,
            "sha256": {each.name: sha256_of(each) for each in (source.config_file, *source.files)},
            "left_out": report.left_out,
        },
    )
