"""One start that is several runs: what a kind says of them, as data. `starting` writes the rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Part:
    """One of the runs. `inputs`: its role -> a role of the start; `made`: its role -> the name of
    an earlier part, whose output it reads; `given`: lists of records of the start that it gets."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = ()
