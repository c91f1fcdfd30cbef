"""Training state as verified folders: safetensors and JSON, never a pickle."""

from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file

from formats.files import read_json, write_json
from models_align.adapters import adapter_weights, put_adapter_weights
from models_align.generators.base import Generator

STATE: Final = "alignment-state/1"


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
    put_adapter_weights(generator, load_file(folder / "adapter.safetensors"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(read_json(folder / "state.json", STATE)["done_steps"])
