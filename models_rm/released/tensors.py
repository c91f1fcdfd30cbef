"""The weights of a release under the names that they have here.

A pickle can run whatever its author wanted, so none is ever run: `torch_files` reads its table of
tensors and refuses everything else.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models_rm.errors import CheckpointMismatchError
from models_rm.released.torch_files import read_table

HEAD: Final = "rm_head.weight"
EMBEDDING: Final = "language_model.embed_tokens.weight"

# Names of transformers up to 4.51, then those since; the first that fits decides.
_MOVED: Final = (
    ("model.visual.", "visual."),
    ("model.language_model.", "language_model."),
    ("visual.", "visual."),
    ("model.", "language_model."),
)


@dataclass(frozen=True, slots=True)
class SourceTensors:
    """`backbone`: by the names that they have below our backbone. `left_out`: name -> why."""

    head: torch.Tensor
    backbone: dict[str, torch.Tensor]
    left_out: dict[str, str] = field(default_factory=dict)


def read_tensors(paths: tuple[Path, ...]) -> SourceTensors:
    """All weights of the files; a later file must not say another thing than an earlier one."""
    found: dict[str, torch.Tensor] = {}
    left_out: dict[str, str] = {}
    for path in paths:
        for name, tensor in _read(path).items():
            plain = name.removeprefix("base_model.model.")
            if plain == "lm_head.weight":
                left_out[name] = "the language head is not used"
                continue
            _put(found, _name_here(plain), tensor, path)
    if HEAD not in found:
        raise CheckpointMismatchError("there is no reward head (rm_head.weight)", path=paths[-1])
    return SourceTensors(found.pop(HEAD), found, left_out)


def _put(found: dict[str, torch.Tensor], name: str, tensor: torch.Tensor, path: Path) -> None:
    if name in found and not torch.equal(found[name], tensor):
        raise CheckpointMismatchError(f"{name} has two values in this checkpoint", path=path)
    found[name] = tensor


def _name_here(name: str) -> str:
    if name == HEAD:
        return name
    for before, after in _MOVED:
        if name.startswith(before):
            name = after + name.removeprefix(before)
            break
    for factor in ("lora_A", "lora_B"):
        if name.endswith(f".{factor}.weight"):
            return name.removesuffix("weight") + "default.weight"
    return name


def _read(path: Path) -> dict[str, torch.Tensor]:
    value = _opened(path)
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items()
    ):
        raise CheckpointMismatchError("the file is not a table of names and tensors", path=path)
    return dict(value)


def _opened(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatchError(f"cannot be read: {error}", path=path) from error
    return read_table(path)
