"""Loading a backbone, and choosing what of the network learns."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from formats.supervised import BadConfigError
from models_rm.config import RewardModelConfig
from models_rm.errors import BackboneMissingError
from models_rm.families import family_of
from models_rm.network import RewardNetwork


def load_backbone(source: str, dtype: str) -> tuple[Any, Any]:
    """(backbone without language head, tokenizer) from a folder or a hub id; safetensors only."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        kind = "folder" if Path(source).is_absolute() else "hub id or folder"
        raise BackboneMissingError(
            f"backbone {source!r} is not there: "
            f"no vision-language model can be loaded from this {kind}"
        ) from error
    family_of(model.config)
    return model.model, tokenizer


def empty_backbone(folder: Path, dtype: str) -> Any:
    """A backbone of the shape that the config.json of a folder names, with weights to be loaded."""
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, dtype))
    return model.model


def prepare_for_training(network: RewardNetwork, config: RewardModelConfig) -> None:
    """Freeze what does not learn and put LoRA where the config wants it.

    What learns is float32 whatever the backbone's dtype: at a rate of 2e-6 bfloat16 loses the
    updates.
    """
    network.backbone.requires_grad_(requires_grad=False)
    names = lora_layers(network.backbone, config)
    if names:
        lora = LoraConfig(
            r=config.lora_r,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=names,
        )
        inject_adapter_in_model(lora, network.backbone)
    parts = {"vision": network.backbone.visual, "language": network.backbone.language_model}
    for part, module in parts.items():
        if getattr(config, part) == "full":
            module.requires_grad_(requires_grad=True)
    if config.language == "full":
        network.backbone.get_input_embeddings().requires_grad_(requires_grad=False)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if config.gradient_checkpointing:
        network.backbone.gradient_checkpointing_enable({"use_reentrant": False})


def lora_layers(backbone: Any, config: RewardModelConfig) -> list[str]:
    """Full names of the linear layers that get an adapter."""
    names: list[str] = []
    wanted = {
        "language": ("language_model", config.language, config.lora_targets),
        "vision": ("visual", config.vision, config.lora_vision_targets),
    }
    for part, (prefix, how, targets) in wanted.items():
        if how != "lora":
            continue
        found = [
            f"{prefix}.{name}"
            for name, module in getattr(backbone, prefix).named_modules()
            if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
        ]
        if not found:
            raise BadConfigError(
                f"no linear layer of the {part} part is named {' or '.join(targets)}"
            )
        names += found
    return names
