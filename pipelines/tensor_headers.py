"""What a folder of weights holds, from the headers of its safetensors files: no weight is read."""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

_LENGTH: Final = 8  # bytes that say how long the header is
_LONGEST: Final = 100_000_000  # of a header; safetensors itself allows no more


@dataclass(frozen=True, slots=True)
class Tensor:
    """`name` begins with the folder that its file lies in, where that is not the top."""

    name: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


def tensors_in(folder: Path) -> tuple[Tensor, ...]:
    """All tensors below a folder; none where a file cannot be read or there is none."""
    files = sorted(folder.rglob("*.safetensors"))
    stamps = tuple((str(file), file.stat().st_mtime_ns) for file in files)
    return _read(str(folder), stamps)


@lru_cache(maxsize=64)
def _read(folder: str, files: tuple[tuple[str, int], ...]) -> tuple[Tensor, ...]:
    found: list[Tensor] = []
    for name, _ in files:
        top = Path(name).parent.relative_to(folder).as_posix()
        prefix = "" if top == "." else f"{top}/"
        header = _header(Path(name))
        if header is None:
            return ()
        found += [
            Tensor(prefix + key, tuple(value["shape"]))
            for key, value in header.items()
            if key != "__metadata__"
        ]
    return tuple(found)


def _header(file: Path) -> dict[str, dict[str, list[int]]] | None:
    try:
        with file.open("rb") as weights:
            length = int.from_bytes(weights.read(_LENGTH), "little")
            if length > _LONGEST:
                return None
            header: dict[str, dict[str, list[int]]] = json.loads(weights.read(length))
    except (OSError, ValueError):
        return None
    return header
