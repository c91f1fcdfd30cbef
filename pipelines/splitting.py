"""Which side of the split a prompt stands on: a pure function of its text and a seed.

No row and no file remembers it, so a prompt never changes side: not when votes are added, not in
the next campaign, and generation prompts keep clear of the reward model's test prompts.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from formats.supervised import BadConfigError

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
SPLITS: Final = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of the prompts; they sum to 1. A share of 0 leaves that side out."""

    train: float = 0.7
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise BadConfigError(
                f"the shares of train, validation and test must be 0 or more and sum to 1, got {shares}"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        unknown = sorted(set(values) - {*SPLITS, "seed"})
        if unknown:
            raise BadConfigError(
                f"unknown key {unknown[0]!r} in split; known are train, validation, test, seed"
            )
        return cls(**values)

    def of(self, prompt: str) -> str:
        digest = hashlib.sha256(f"{self.seed}\n{prompt}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.train:
            return TRAIN
        return VALIDATION if place < self.train + self.validation else TEST
