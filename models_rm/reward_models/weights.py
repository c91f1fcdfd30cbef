"""weights.safetensors of a reward model: written whole, and read only where everything fits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models_rm.errors import CheckpointMismatchError

FILE: Final = "weights.safetensors"


def write_weights(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
        folder / FILE,
    )


def read_weights(
    folder: Path, shapes: Mapping[str, torch.Size], dtypes: Mapping[str, torch.dtype]
) -> dict[str, torch.Tensor]:
    """The tensors of the file, which must be exactly those of `shapes`.

    CheckpointMismatchError for a file that is cut short, an unknown or missing tensor, another
    shape, another dtype, and a number that is not finite.
    """
    path = folder / FILE
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatchError(f"cannot be read: {error}", path=path) from error
    _refuse_other_names(path, set(weights), set(shapes))
    for name, tensor in weights.items():
        _refuse_other_tensor(path, name, tensor, shapes[name], dtypes[name])
    return weights


def _refuse_other_names(path: Path, found: set[str], wanted: set[str]) -> None:
    for names, word in ((found - wanted, "is unknown to"), (wanted - found, "is missing for")):
        if names:
            raise CheckpointMismatchError(
                f"the tensor {min(names)!r} {word} the model of the card "
                f"({len(names)} of this kind)",
                path=path,
            )


def _refuse_other_tensor(
    path: Path, name: str, tensor: torch.Tensor, shape: torch.Size, dtype: torch.dtype
) -> None:
    if tensor.shape != shape:
        raise CheckpointMismatchError(
            f"{name} has shape {list(tensor.shape)}, the card wants {list(shape)}", path=path
        )
    if tensor.dtype != dtype:
        raise CheckpointMismatchError(
            f"{name} is {_word(tensor.dtype)}, the card wants {_word(dtype)}", path=path
        )
    if not bool(tensor.isfinite().all()):
        raise CheckpointMismatchError(f"{name} has a number that is not finite", path=path)


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
