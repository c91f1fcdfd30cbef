"""A reward model as a folder: safetensors and JSON, verified as one unit, never a pickle.

model.json            the card for machines: everything that decides what a score means
README.md             the card for people
weights.safetensors   what was learned; the whole backbone too where `embedded` says so
tokenizer/            as the backbone brought it
backbone/config.json  only where the backbone is embedded
manifest.json         hashes
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from formats.checkpoints import verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from models_rm.backbones.loading import empty_backbone, load_backbone
from models_rm.backbones.preparing import prepare_for_training
from models_rm.calibration import Calibration
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.errors import CheckpointMismatchError
from models_rm.network import RewardNetwork
from models_rm.prompts import RatingTemplate
from models_rm.thetas import Thetas
from models_rm.video import FrameRule

SCHEMA: Final = "reward_model/1"
LIBRARIES: Final = ("torch", "transformers", "peft", "tokenizers", "av", "numpy")


@dataclass(frozen=True, slots=True)
class BackboneRef:
    """Where the backbone came from. `sha256` is of its manifest.json, empty for a hub id."""

    source: str
    sha256: str
    model_type: str
    embedded: bool


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What model.json says."""

    dimensions: DimensionSet
    theta: dict[str, float]
    config: RewardModelConfig
    backbone: BackboneRef
    template_sha256: str
    frame_rule: FrameRule
    calibration: Calibration
    snapshot_sha256: str
    evaluation: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "config": self.config.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        _refuse_other_keys(value, cls, "the card")
        return cls(
            dimensions=DimensionSet.from_json(value["dimensions"]),
            theta=dict(value["theta"]),
            config=RewardModelConfig.from_json(value["config"]),
            backbone=_strict(BackboneRef, value["backbone"], "backbone"),
            template_sha256=value["template_sha256"],
            frame_rule=_strict(FrameRule, value["frame_rule"], "frame_rule"),
            calibration=_strict(Calibration, value["calibration"], "calibration"),
            snapshot_sha256=value["snapshot_sha256"],
            evaluation=dict(value["evaluation"]),
            libraries=dict(value["libraries"]),
        )


def fill_folder(folder: Path, network: RewardNetwork, tokenizer: Any, card: ModelCard) -> None:
    """Write the files of a reward model; to be used inside `formats.checkpoints.commit_folder`."""
    write_json(folder / "model.json", SCHEMA, card.to_json())
    (folder / "README.md").write_text(card_for_people(card), encoding="utf-8")
    tokenizer.save_pretrained(folder / "tokenizer")
    weights = learned_weights(network)
    if card.backbone.embedded:
        weights = dict(network.state_dict())
        network.backbone.config.save_pretrained(folder / "backbone")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
        folder / "weights.safetensors",
    )


def learned_weights(network: RewardNetwork) -> dict[str, torch.Tensor]:
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def load_folder(
    folder: Path, *, backbone: str | None = None, dtype: str = "float32"
) -> tuple[RewardNetwork, Any, ModelCard]:
    """(network, tokenizer, card). `backbone` says where the backbone lies now, if it has moved."""
    card = read_card(folder)
    network, tokenizer = _network_of(folder, card, backbone, dtype)
    try:
        weights = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatchError(
            f"cannot be read: {error}", path=folder / "weights.safetensors"
        ) from error
    embedded = card.backbone.embedded
    wanted = network.state_dict() if embedded else learned_weights(network)
    different = sorted(set(wanted) ^ set(weights))
    if different:
        raise CheckpointMismatchError(
            f"the weights do not fit the card: {len(different)} differ, {different[0]!r} first",
            path=folder / "weights.safetensors",
        )
    for name, tensor in weights.items():
        if wanted[name].shape != tensor.shape:
            raise CheckpointMismatchError(
                f"{name} has shape {list(tensor.shape)}, the card wants {list(wanted[name].shape)}",
                path=folder / "weights.safetensors",
            )
    network.load_state_dict(weights, strict=embedded)
    return network.requires_grad_(requires_grad=False).eval(), tokenizer, card


def read_card(folder: Path) -> ModelCard:
    verify_folder(folder)
    path = folder / "model.json"
    try:
        card = ModelCard.from_json(read_json(path, SCHEMA))
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointMismatchError(
            f"not the card of a reward model: {error}", path=path
        ) from error
    template = RatingTemplate.of(card.dimensions, card.config.template)
    if template.sha256() != card.template_sha256:
        raise CheckpointMismatchError(
            "the rating text of this version differs from the one that the model was trained with",
            path=path,
        )
    return card


def build_network(
    backbone: Any, dimensions: DimensionSet, config: RewardModelConfig
) -> tuple[RewardNetwork, RatingTemplate]:
    template = RatingTemplate.of(dimensions, config.template)
    network = RewardNetwork(
        backbone,
        dimensions.keys,
        template.keys,
        shared_head=config.shared_head,
        rope_mode=config.rope_mode,
        thetas=Thetas(config.theta_of(dimensions.keys), learned=config.learn_theta),
        uncertainty=config.uncertainty,
    )
    prepare_for_training(network, config)
    return network, template


def refuse_other_dimensions(card: ModelCard, keys: tuple[str, ...], what: str) -> None:
    if card.dimensions.keys != keys:
        raise CheckpointMismatchError(
            f"the reward model judges {', '.join(card.dimensions.keys)}; "
            f"{what} has {', '.join(keys)}"
        )


def backbone_sha256(source: str) -> str:
    """The hash of a backbone folder's manifest, or nothing for a hub id or a plain folder."""
    manifest = Path(source) / "manifest.json"
    return sha256_of(manifest) if manifest.is_file() else ""


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _network_of(
    folder: Path, card: ModelCard, backbone: str | None, dtype: str
) -> tuple[RewardNetwork, Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    if card.backbone.embedded:
        body = empty_backbone(folder / "backbone", dtype)
    else:
        source = backbone or card.backbone.source
        found = backbone_sha256(source)
        if card.backbone.sha256 and found != card.backbone.sha256:
            raise CheckpointMismatchError(
                f"the reward model was trained on the backbone {card.backbone.source} with sha256 "
                f"{card.backbone.sha256[:12]}…, found {found[:12] or 'none'}",
                path=source,
            )
        body, _ = load_backbone(source, dtype)
    network, _ = build_network(body, card.dimensions, card.config)
    return network, tokenizer


def _strict(kind: Any, value: Mapping[str, Any], what: str) -> Any:
    _refuse_other_keys(value, kind, what)
    return kind(**value)


def _refuse_other_keys(value: Mapping[str, Any], kind: Any, what: str) -> None:
    known = {each.name for each in fields(kind)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise FormatError(f"{what} has an unknown key {unknown[0]!r}")
    required = {
        each.name
        for each in fields(kind)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(value))
    if missing:
        raise FormatError(f"{what} lacks the key {missing[0]!r}")


def card_for_people(card: ModelCard) -> str:
    """README.md of the folder."""
    config, backbone, calibration = card.config, card.backbone, card.calibration
    versions = ", ".join(f"{name} {number}" for name, number in card.libraries.items())
    head = f"""\
# Reward model: {card.dimensions.title}

Backbone `{backbone.source}` ({backbone.model_type}), loss `{config.loss}`, {config.steps} steps of
{config.pairs_per_step} pairs of the snapshot `{card.snapshot_sha256}`.

Raw rewards have no zero of their own. Scores are (reward - mean) / std with the values of the
{calibration.source} split ({calibration.clips} clips); they hold at {card.frame_rule.fps:g} frames
per second only.

| dimension | theta | mean | std | accuracy without ties | with ties | always tie |
| --- | --- | --- | --- | --- | --- | --- |
"""
    rows = "\n".join(_card_row(card, key) for key in card.dimensions.keys)
    return f"{head}{rows}\n\nPositions: `{config.rope_mode}`. Libraries: {versions}.\n"


def _card_row(card: ModelCard, key: str) -> str:
    test = card.evaluation.get("test", {}).get(key, {})
    names = ("accuracy_without_ties", "accuracy_with_ties", "baseline_always_tie")
    figures = [card.theta[key], card.calibration.mean[key], card.calibration.std[key]]
    figures += [test.get(name) for name in names]
    return " | ".join([f"| {key}", *map(_figure, figures)]) + " |"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
