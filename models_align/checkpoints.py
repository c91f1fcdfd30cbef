"""Adapters and training state as verified folders: safetensors and JSON, never a pickle."""

import json
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import WanPipeline
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from formats.checkpoints import commit_folder, verify_folder
from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.supervised import BadConfigError
from models_align.config import AlignmentConfig
from models_align.generators.base import Generator

ADAPTER: Final = "aligned"
CARD: Final = "adapter/1"
STATE: Final = "alignment-state/1"


def add_adapter(generator: Generator, config: AlignmentConfig) -> LoraConfig:
    """Put a fresh LoRA on the transformer; it changes nothing until it is trained."""
    lora = config.lora
    targets = list(lora.targets or generator.lora_targets)
    peft = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        # B starts at zero, so the policy equals the reference at step 0.
        init_lora_weights="gaussian",
    )
    torch.manual_seed(config.seed)
    try:
        generator.transformer.add_adapter(peft, adapter_name=ADAPTER)
    except ValueError as error:
        raise BadConfigError(f"LoRA cannot go on {', '.join(targets)}: {error}") from error
    return peft


def adapter_weights(generator: Generator) -> dict[str, torch.Tensor]:
    weights = get_peft_model_state_dict(generator.transformer, adapter_name=ADAPTER)
    return {name: each.detach().cpu().contiguous() for name, each in weights.items()}


def commit_adapter(
    target: Path, generator: Generator, lora: LoraConfig, card: dict[str, Any]
) -> str:
    """Write what `load_lora_weights` of diffusers reads, and a card; give the manifest's sha256."""

    def fill(folder: Path) -> None:
        WanPipeline.save_lora_weights(
            str(folder),
            transformer_lora_layers=adapter_weights(generator),
            # Without it diffusers takes alpha for r, and a scale is lost without a word.
            transformer_lora_adapter_metadata=_plain(lora),
        )
        write_json(folder / "card.json", CARD, {**card, "transformer": _shape_of(generator)})

    return commit_folder(target, fill)


def load_adapter(generator: Generator, folder: Path, *, scale: float = 1.0) -> dict[str, Any]:
    """Put a committed adapter on its generator, verified; give its card."""
    verify_folder(folder)
    card = read_json(folder / "card.json", CARD)
    if card["transformer"] != _shape_of(generator):
        raise FormatError(
            f"the adapter was made for another transformer than that of {generator.source!r}",
            path=folder / "card.json",
        )
    generator.pipeline.load_lora_weights(str(folder), adapter_name=ADAPTER)
    generator.pipeline.set_adapters([ADAPTER], [scale])
    generator.transformer.eval()
    return card


def save_state(
    folder: Path, generator: Generator, optimizer: torch.optim.Optimizer, done_steps: int
) -> None:
    """Everything that the next step depends on: chance is a function of seed and step."""
    save_file(adapter_weights(generator), folder / "adapter.safetensors")
    tensors = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"{index}.{name}"] = torch.as_tensor(value).cpu().contiguous()
    save_file(tensors, folder / "optimizer.safetensors")
    write_json(folder / "state.json", STATE, {"done_steps": done_steps})


def load_state(folder: Path, generator: Generator, optimizer: torch.optim.Optimizer) -> int:
    """Put a saved state back; give the number of steps that are done."""
    weights = load_file(folder / "adapter.safetensors")
    set_peft_model_state_dict(generator.transformer, weights, adapter_name=ADAPTER)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(read_json(folder / "state.json", STATE)["done_steps"])


def _plain(lora: LoraConfig) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in lora.to_dict().items()
    }
    return json.loads(json.dumps(values, default=str))


def _shape_of(generator: Generator) -> dict[str, Any]:
    """What must agree between an adapter and a transformer."""
    config = generator.transformer.config
    names = ("num_layers", "num_attention_heads", "attention_head_dim", "in_channels", "ffn_dim")
    return {name: config[name] for name in names}
