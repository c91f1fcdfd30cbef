"""What a VBench run can be asked to do. Standard library only: the web process reads this."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from formats.chunks import chunk_fault
from formats.vbench import FLICKERING, PROTOCOLS, measurable

DEVICES: Final = ("auto", "cpu", "cuda")
MOST_READERS: Final = 64


class ConfigError(ValueError):
    """A config asks for something that cannot be. The text is one sentence for a person."""


class _Config:
    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        names = [each.name for each in fields(cls)]  # type: ignore[arg-type]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
                raise ConfigError(f"unknown key {key!r}; {hint}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True, slots=True)
class VBenchConfig(_Config):
    """A run of kind `vbench`. Temporal flickering is measured by us, every other dimension by the
    official package, which must be installed (docs/vbench.md)."""

    protocol: str = "t2v"  # or `i2v`
    dimensions: tuple[str, ...] = (FLICKERING,)
    proxies: bool = True  # weight-free measures under other names, in no total
    device: str = "auto"  # of the official package
    readers: int = 2  # clips that are decoded at a time
    part_clips: int = 256  # so many clips are safe at once
    chunks: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        _one_of("protocol", self.protocol, tuple(PROTOCOLS))
        _one_of("device", self.device, DEVICES)
        if not isinstance(self.proxies, bool):
            raise ConfigError(f"proxies must be true or false, got {self.proxies!r}")
        _whole("readers", self.readers, 1, MOST_READERS)
        _whole("part_clips", self.part_clips, 1, 100_000)
        _whole("chunks", self.chunks, 1, 10**6)
        if self.chunk is not None:
            _whole("chunk", self.chunk, 0, 10**6)
        if fault := chunk_fault(self.chunks, self.chunk):
            raise ConfigError(fault)
        object.__setattr__(self, "dimensions", _dimensions(self.dimensions, self.protocol))
        if not self.dimensions and not self.proxies:
            raise ConfigError("nothing to measure: name a dimension, or set proxies to true")

    @property
    def of_package(self) -> tuple[str, ...]:
        """What the official package is to measure."""
        return tuple(key for key in self.dimensions if key != FLICKERING)


@dataclass(frozen=True, slots=True)
class GatheringConfig(_Config):
    """A run of kind `vbench_gathered`: how many chunks it gathers, and of which benchmark."""

    protocol: str = "t2v"
    chunks: int = 1

    def __post_init__(self) -> None:
        _one_of("protocol", self.protocol, tuple(PROTOCOLS))
        _whole("chunks", self.chunks, 1, 10**6)


def _dimensions(given: object, protocol: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ConfigError(f"dimensions must be a list of words, got {given!r}")
    allowed = measurable(PROTOCOLS[protocol])
    for key in given:
        if key in PROTOCOLS[protocol].names and key not in allowed:
            raise ConfigError(
                f"{key} cannot be measured on clips of other prompts: the official package needs"
                " its own prompts for it; run the official tool and import its result file"
            )
        _one_of("each of dimensions", key, allowed)
    return tuple(dict.fromkeys(given))


def _one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        near = difflib.get_close_matches(str(value), words, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} must be one of {', '.join(words)}, got {value!r}{hint}")


def _whole(name: str, value: object, low: int, high: int) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
