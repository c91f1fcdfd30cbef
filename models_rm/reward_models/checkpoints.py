"""A reward model as a folder: safetensors and JSON, verified as one unit, never a pickle.

model.json            the card for machines: everything that decides what a score means
card.json, README.md  data, figures, probes and limits: for tools and for people
weights.safetensors   what was learned; the whole backbone too where `embedded` says so
tokenizer/            as the backbone brought it
backbone/config.json  only where the backbone is embedded
manifest.json         hashes
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Self

import torch
from transformers import AutoTokenizer

from formats.checkpoints import verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json
from formats.supervised import BadConfigError
from models_rm.backbones.loading import empty_backbone, load_backbone
from models_rm.backbones.preparing import prepare_for_training
from models_rm.clips.video import FrameRule
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.errors import CheckpointMismatchError
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import ALL, RatingTemplate
from models_rm.networks.thetas import Thetas
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.card_facts import Facts
from models_rm.reward_models.cards import write_cards
from models_rm.reward_models.fingerprint import check_fingerprint, fingerprint
from models_rm.reward_models.libraries import check_libraries, library_versions
from models_rm.reward_models.weights import read_weights, write_weights

__all__ = ["library_versions"]

SCHEMA: Final = "reward_model/1"


@dataclass(frozen=True, slots=True)
class BackboneRef:
    """Where the backbone came from. `sha256` is of its manifest.json, empty for a hub id."""

    source: str
    sha256: str
    model_type: str
    embedded: bool


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What model.json says.

    `template` is the rating text itself, so that a model keeps its text when ours changes;
    `fingerprint` is what a reference clip becomes; `converted` says from what, for a model that was
    trained elsewhere. Cards of before have none of the three.
    """

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
    template: RatingTemplate | None = None
    fingerprint: dict[str, Any] = field(default_factory=dict)
    converted: dict[str, Any] = field(default_factory=dict)

    @property
    def rating_text(self) -> RatingTemplate:
        """The text that the model was trained with."""
        if self.template is not None:
            return self.template
        start_image = self.config.start_image == "prepend"
        return RatingTemplate.of(self.dimensions, self.config.template, start_image=start_image)

    def to_json(self) -> dict[str, Any]:
        template = self.template.to_json() if self.template else None
        return {**asdict(self), "config": self.config.to_json(), "template": template}

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
            template=_template(value.get("template")),
            fingerprint=dict(value.get("fingerprint", {})),
            converted=dict(value.get("converted", {})),
        )


def fill_folder(
    folder: Path,
    network: RewardNetwork,
    tokenizer: Any,
    card: ModelCard,
    facts: Facts | None = None,
) -> None:
    """Write the files of a reward model; to be used inside `formats.checkpoints.commit_folder`.

    The rating text and the fingerprint are put into the card here; `facts` are what the cards for
    people and tools say beyond it.
    """
    text = card.rating_text
    card = replace(
        card,
        template=text,
        fingerprint=fingerprint(network, tokenizer, text, card.frame_rule),
    )
    write_json(folder / "model.json", SCHEMA, card.to_json())
    write_cards(folder, card.to_json(), facts)
    tokenizer.save_pretrained(folder / "tokenizer")
    weights = learned_weights(network)
    if card.backbone.embedded:
        weights = dict(network.state_dict())
        network.backbone.config.save_pretrained(folder / "backbone")
    write_weights(folder, weights)


def learned_weights(network: RewardNetwork) -> dict[str, torch.Tensor]:
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def load_folder(
    folder: Path,
    *,
    backbone: str | None = None,
    dtype: str = "float32",
    accept_other_libraries: bool = False,
) -> tuple[RewardNetwork, Any, ModelCard]:
    """(network, tokenizer, card). `backbone` says where the backbone lies now, if it has moved.

    Errors, each in one sentence: CheckpointMismatchError for a damaged or foreign folder,
    OtherLibrariesError for versions that may score differently (unless they are accepted, which
    leaves a warning), FingerprintError where a reference clip becomes another input than it was.
    """
    card = read_card(folder)
    check_libraries(card.libraries, folder / "model.json", accept=accept_other_libraries)
    network, tokenizer = _network_of(folder, card, backbone, dtype)
    here = fingerprint(network, tokenizer, card.rating_text, card.frame_rule)
    check_fingerprint(card.fingerprint, here, folder / "model.json")
    embedded = card.backbone.embedded
    wanted = network.state_dict() if embedded else learned_weights(network)
    weights = read_weights(
        folder, {name: each.shape for name, each in wanted.items()}, _stored_dtypes(network, card)
    )
    network.load_state_dict(weights, strict=embedded)
    return network.requires_grad_(requires_grad=False).eval(), tokenizer, card


def _stored_dtypes(network: RewardNetwork, card: ModelCard) -> dict[str, torch.dtype]:
    """What the file holds: the backbone as it was trained, and float32 for all that learned."""
    frozen = getattr(torch, card.config.dtype)
    dtypes = {
        name: frozen if name.startswith("backbone.") else tensor.dtype
        for name, tensor in network.state_dict().items()
    }
    return dtypes | dict.fromkeys(learned_weights(network), torch.float32)


def read_card(folder: Path) -> ModelCard:
    _refuse_released(folder)
    verify_folder(folder)
    path = folder / "model.json"
    try:
        card = ModelCard.from_json(read_json(path, SCHEMA))
        text = card.rating_text
    except (KeyError, TypeError, ConfigError, BadConfigError) as error:
        raise CheckpointMismatchError(
            f"not the card of a reward model: {error}", path=path
        ) from error
    if text.sha256() != card.template_sha256:
        raise CheckpointMismatchError(
            "the rating text of this version differs from the one that the model was trained with",
            path=path,
        )
    _refuse_contradictions(card, text, path)
    return card


def _refuse_released(folder: Path) -> None:
    places = (folder, folder.parent) if folder.name.startswith("checkpoint-") else (folder,)
    if any((each / "model_config.json").is_file() for each in places):
        raise CheckpointMismatchError(
            "this is a checkpoint of VideoReward as it was released; "
            "`python -m models_rm convert` makes a reward model of it",
            path=folder,
        )


def _refuse_contradictions(card: ModelCard, text: RatingTemplate, path: Path) -> None:
    """What stands in the card twice must be the same twice."""
    if text.keys != (ALL,) and sorted(text.keys) != sorted(card.dimensions.keys):
        raise CheckpointMismatchError(
            f"the rating text asks for {', '.join(text.keys)}, "
            f"the dimensions are {', '.join(card.dimensions.keys)}",
            path=path,
        )
    for name in ("fps", "min_frames", "max_frames", "min_pixels", "max_pixels"):
        rule, config = getattr(card.frame_rule, name), getattr(card.config, name)
        if rule != config:
            raise CheckpointMismatchError(
                f"the frame rule says {name} {rule}, the config says {config}", path=path
            )
    refuse_other_start(card, path)


def refuse_other_start(card: ModelCard, path: Path) -> None:
    if bool(card.frame_rule.start_frames) != (card.config.start_image == "prepend"):
        raise CheckpointMismatchError(
            f"the frame rule puts the start image {card.frame_rule.start_frames} times before the "
            f"frames, the config says start_image {card.config.start_image!r}",
            path=path,
        )


def build_network(
    backbone: Any,
    dimensions: DimensionSet,
    config: RewardModelConfig,
    template: RatingTemplate | None = None,
) -> tuple[RewardNetwork, RatingTemplate]:
    """`template` only where a model brings its own text; else the config names one of ours."""
    template = template or RatingTemplate.of(
        dimensions, config.template, start_image=config.start_image == "prepend"
    )
    network = RewardNetwork(
        backbone,
        dimensions.keys,
        template.keys,
        shared_head=config.shared_head,
        rope_mode=config.rope_mode,
        thetas=Thetas(config.theta_of(dimensions.keys), learned=config.learn_theta),
        uncertainty=config.uncertainty,
        batching=config.batching,
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


def _network_of(
    folder: Path, card: ModelCard, backbone: str | None, dtype: str
) -> tuple[RewardNetwork, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False)
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
    network, _ = build_network(body, card.dimensions, card.config, card.rating_text)
    if network.family.side_factor != card.frame_rule.side_factor:
        raise CheckpointMismatchError(
            f"the card wants frames in multiples of {card.frame_rule.side_factor} pixels, "
            f"the backbone of {network.family.side_factor}",
            path=folder / "model.json",
        )
    return network, tokenizer


def _template(value: Mapping[str, Any] | None) -> RatingTemplate | None:
    return None if value is None else RatingTemplate.from_json(value)


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
