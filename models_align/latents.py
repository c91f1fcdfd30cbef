"""Encode once: what the frozen parts of a generator make of clips and prompts, by content hash.

A value is kept in memory up to a limit, least recently used first to go, and in a safetensors file
of the run directory, so that a resumed run and an epoch that does not fit in memory find it again.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def content_key(*parts: str) -> str:
    """A file name for what these parts determine."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class TensorCache:
    """Groups of named tensors by key. A key is the hash of its content, so values never change."""

    def __init__(self, folder: Path, limit_bytes: int):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._memory: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, key: str) -> bool:
        return key in self._memory or self._file(key).exists()

    def get(self, key: str, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The value of a key, from memory, else from its file, else made, and then kept."""
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        file = self._file(key)
        if file.exists():
            value = load_file(file)
        else:
            value = {name: each.contiguous().cpu() for name, each in make().items()}
            temporary = file.with_suffix(".tmp")
            save_file(value, temporary)
            temporary.replace(file)
        self._remember(key, value)
        return value

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _remember(self, key: str, value: dict[str, torch.Tensor]) -> None:
        self._memory[key] = value
        self.bytes += _size(value.values())
        while self.bytes > self.limit_bytes and len(self._memory) > 1:
            _, oldest = self._memory.popitem(last=False)
            self.bytes -= _size(oldest.values())


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(each.nbytes for each in tensors)
