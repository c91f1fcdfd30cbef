"""Ten files that run something when they are unpickled, in the clothes that models come in."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


def _pickled(bomb: Bomb) -> bytes:
    return pickle.dumps({"weight": bomb}, protocol=4)


def _torch(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "x": bomb}, buffer)
    return buffer.getvalue()


def _torch_of_before(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    torch.save({"x": bomb}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _npz(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.array([bomb], dtype=object))
    return buffer.getvalue()


def _npy(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([bomb], dtype=object))
    return buffer.getvalue()


def _joblib(bomb: Bomb) -> bytes:
    return pickle.dumps(bomb, protocol=3)  # as joblib writes what holds no array


def _zip(bomb: Bomb) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": bomb}, protocol=2))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def _hdf5(bomb: Bomb) -> bytes:
    return b"\x89HDF\r\n\x1a\n" + b"\0" * 40 + _pickled(bomb)


def _header(bomb: Bomb) -> bytes:
    """A safetensors file whose header is a pickle."""
    inside = _pickled(bomb)
    return struct.pack("<Q", len(inside)) + inside


FILES: Final[dict[str, Callable[[Bomb], bytes]]] = {
    "model.pt": _torch,
    "pytorch_model.bin": _pickled,
    "model.pkl": _pickled,
    "model.ckpt": _torch_of_before,
    "model.npz": _npz,
    "model.npy": _npy,
    "model.joblib": _joblib,
    "renamed.safetensors": _torch,
    "zip.safetensors": _zip,
    "model.h5": _hdf5,
}
MORE: Final[dict[str, Callable[[Bomb], bytes]]] = {"header.safetensors": _header}
