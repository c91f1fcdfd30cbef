"""Reward models that nobody trained: what they say means nothing, and is always the same."""

from pathlib import Path
from typing import Any

import torch

from formats.checkpoints import commit_folder
from formats.dimensions import DimensionSet
from models_rm.backbones.loading import load_backbone
from models_rm.config import RewardModelConfig
from models_rm.reward_models.calibration import Calibration
from models_rm.reward_models.checkpoints import (
    BackboneRef,
    ModelCard,
    backbone_sha256,
    build_network,
    fill_folder,
    library_versions,
)
from models_rm.training.materials import frame_rule


def ready_model(
    folder: Path,
    backbone: Path,
    dimensions: DimensionSet,
    *,
    seed: int = 0,
    embed: bool = True,
    **config: Any,
) -> Path:
    """A folder that RewardModel.load opens; each seed gives another model."""
    wanted = {
        "template": "brief", "language": "frozen", "vision": "frozen", "fps": 8.0,
        "min_pixels": 56 * 56, "max_pixels": 56 * 56, "embed_backbone": embed, **config,
    }  # fmt: skip
    settings = RewardModelConfig.from_json(wanted)
    torch.manual_seed(seed)
    body, tokenizer = load_backbone(str(backbone), "float32")
    network, template = build_network(body, dimensions, settings)
    keys = dimensions.keys
    card = ModelCard(
        dimensions=dimensions,
        theta=dict.fromkeys(keys, 5.0),
        config=settings,
        backbone=BackboneRef(
            str(backbone), backbone_sha256(str(backbone)), network.family.name, embed
        ),
        template_sha256=template.sha256(),
        frame_rule=frame_rule(network.family, settings),
        calibration=Calibration(
            "validation",
            10,
            mean=dict.fromkeys(keys, 0.25 * seed),
            std=dict.fromkeys(keys, 0.5),
            threshold=dict.fromkeys(keys, 0.01),
        ),
        snapshot_sha256="",
        libraries=library_versions(),
    )
    commit_folder(folder, lambda into: fill_folder(into, network, tokenizer, card))
    return folder
