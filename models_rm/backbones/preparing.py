"""Choosing what of a network learns: parts frozen, whole, or through adapters (LoRA)."""

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from formats.supervised import BadConfigError
from models_rm.backbones.adapter import Adapter
from models_rm.backbones.registry import adapter_of
from models_rm.config import RewardModelConfig


def prepare_for_training(network: Any, config: RewardModelConfig) -> None:
    """Freeze what does not learn and put LoRA where the config wants it.

    What learns is float32 whatever the backbone's dtype: at a rate of 2e-6 bfloat16 loses the
    updates.
    """
    backbone = network.backbone
    backbone.requires_grad_(requires_grad=False)
    _inject_adapters(backbone, config)
    _open_whole_parts(backbone, config)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if config.merger != "vision":
        _let_mergers_cast(backbone)
    if config.gradient_checkpointing:
        backbone.gradient_checkpointing_enable({"use_reentrant": False})


def lora_layers(backbone: Any, config: RewardModelConfig) -> list[str]:
    """Full names of the linear layers that get an adapter."""
    adapter = adapter_of(backbone.config)
    names: list[str] = []
    if config.language == "lora":
        names += _linear_layers(backbone, adapter.language, config.lora_targets, "language")
    if config.vision == "lora":
        targets = config.lora_vision_targets or adapter.vision_lora_targets
        found = _linear_layers(backbone, adapter.vision, targets, "vision")
        names += [name for name in found if not _left_to_itself(name, adapter, config)]
    return names


def _inject_adapters(backbone: Any, config: RewardModelConfig) -> None:
    names = lora_layers(backbone, config)
    if names:
        lora = LoraConfig(
            r=config.lora_r,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=names,
        )
        inject_adapter_in_model(lora, backbone)


def _open_whole_parts(backbone: Any, config: RewardModelConfig) -> None:
    adapter = adapter_of(backbone.config)
    if config.vision == "full":
        adapter.vision_of(backbone).requires_grad_(requires_grad=True)
    if config.language == "full":
        adapter.language_of(backbone).requires_grad_(requires_grad=True)
        # Reward tokens are vectors of ours: the vocabulary never learns.
        backbone.get_input_embeddings().requires_grad_(requires_grad=False)
    if config.merger != "vision":
        for merger in adapter.mergers_of(backbone):
            merger.requires_grad_(requires_grad=config.merger == "full")


def _let_mergers_cast(backbone: Any) -> None:
    """A merger that learns in float32 behind a tower in bfloat16, or the other way round."""

    def cast(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        dtype = next(module.parameters()).dtype
        if torch.is_autocast_enabled(inputs[0].device.type):
            return inputs  # types are chosen there
        return tuple(each.to(dtype) for each in inputs)

    for merger in adapter_of(backbone.config).mergers_of(backbone):
        for each in merger if isinstance(merger, nn.ModuleList) else [merger]:
            each.register_forward_pre_hook(cast)


def _linear_layers(backbone: Any, part: str, targets: tuple[str, ...], title: str) -> list[str]:
    found = [
        f"{part}.{name}"
        for name, module in backbone.get_submodule(part).named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    if not found:
        raise BadConfigError(f"no linear layer of the {title} part is named {' or '.join(targets)}")
    return found


def _left_to_itself(name: str, adapter: Adapter, config: RewardModelConfig) -> bool:
    """A merger that the config freezes or opens by itself gets no adapter of the tower."""
    return config.merger != "vision" and name.startswith(
        tuple(f"{merger}." for merger in adapter.mergers)
    )
