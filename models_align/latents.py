"""Encode once: what the frozen parts of a generator make of clips and prompts, by content hash.

A value is kept in memory up to a limit, least recently used first to go, and in a safetensors file
of the run directory, so that a resumed run and an epoch that does not fit in memory find it again.

A file appears whole or not at all, and one that is damaged all the same (a machine that lost its
power, a disk) is reported and made again. Several processes may share a folder.
"""

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

Tensors = dict[str, torch.Tensor]


def content_key(*parts: str) -> str:
    """A file name for what these parts determine."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@contextmanager
def errors_of_the_system() -> Iterator[None]:
    """What the library's own writer says of a full disk, as the OSError that it is."""
    try:
        yield
    except SafetensorError as error:
        if number := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        raise


def write_tensors(file: Path, tensors: Tensors) -> None:
    """A safetensors file, at once or not at all; a full disk is an OSError that says so.

    The library's own writer ends with an error of its own kind, and the supervisor has no words
    for that one.
    """
    # Of this process alone: another one may write the same value.
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(save({name: _plain(each) for name, each in tensors.items()}))
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous()


class TensorCache:
    """Groups of named tensors by key. A key is the hash of its content, so values never change."""

    def __init__(self, folder: Path, limit_bytes: int):
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._memory: OrderedDict[str, Tensors] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, key: str) -> bool:
        return key in self._memory or self._file(key).exists()

    def get(self, key: str, make: Callable[[], Tensors]) -> Tensors:
        """The value of a key, from memory, else from its file, else made, and then kept."""
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        value = self._read(key)
        if value is None:
            value = {name: _plain(each) for name, each in make().items()}
            write_tensors(self._file(key), value)
        self._remember(key, value)
        return value

    def put(self, key: str, value: Tensors) -> None:
        """Another value of a key that grows: a table that is filled row by row."""
        write_tensors(self._file(key), value)
        if key in self._memory:
            self.bytes -= _size(self._memory.pop(key).values())

    def shape(self, key: str, name: str) -> tuple[int, ...] | None:
        """Of a tensor of a key that is there, without reading it; None where it is not."""
        if key in self._memory:
            return tuple(self._memory[key][name].shape)
        try:
            with safe_open(self._file(key), framework="pt") as file:
                return tuple(file.get_slice(name).get_shape())
        except (OSError, SafetensorError):
            return None

    def _read(self, key: str) -> Tensors | None:
        file = self._file(key)
        if not file.exists():
            return None
        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            print(
                f"{file.name} of the cache is made again: it cannot be read ({error})", flush=True
            )
            return None

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _remember(self, key: str, value: Tensors) -> None:
        self._memory[key] = value
        self.bytes += _size(value.values())
        while self.bytes > self.limit_bytes and len(self._memory) > 1:
            _, oldest = self._memory.popitem(last=False)
            self.bytes -= _size(oldest.values())


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(each.nbytes for each in tensors)
