"""Which weights of a latent reward network learn: all of its blocks, a LoRA on them, or none."""

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer

from formats.supervised import BadConfigError
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.network import LatentRewardNetwork


def prepare_for_training(
    network: LatentRewardNetwork, config: LatentRewardConfig, targets: tuple[str, ...]
) -> None:
    """Mark what learns; `targets` are the projections that a LoRA goes on by default."""
    network.trunk.requires_grad_(requires_grad=config.trunk == "full")
    if config.trunk == "lora":
        _add_lora(network.trunk, config, config.lora.targets or targets)
    network.head.requires_grad_(requires_grad=True)


def _add_lora(trunk: torch.nn.Module, config: LatentRewardConfig, targets: tuple[str, ...]) -> None:
    lora = LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=list(targets),
    )
    try:
        inject_adapter_in_model(lora, trunk)
    except ValueError as error:
        raise BadConfigError(f"LoRA cannot go on {', '.join(targets)}: {error}") from error


def merge_lora(trunk: torch.nn.Module) -> None:
    """Fold a LoRA into the weights that it is on: what is left is a plain trunk."""
    for name, layer in list(trunk.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(trunk.get_submodule(parent), leaf, layer.get_base_layer())


def learning(network: LatentRewardNetwork) -> dict[str, torch.nn.Parameter]:
    return {name: each for name, each in network.named_parameters() if each.requires_grad}
