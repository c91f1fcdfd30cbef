"""Which side of the split a prompt stands on: a pure function of its text and a seed.

No row and no file remembers it, so a prompt never changes side: not when votes are added, not in
the next campaign, and generation prompts keep clear of the reward model's test prompts.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from pipelines.step_configs import StepConfig, StepConfigError, number, whole

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
SPLITS: Final = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True, slots=True)
class Split(StepConfig):
    """Shares of the prompts; they sum to 1. A share of 0 leaves that side out."""

    train: float = 0.7
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        for side, share in zip(SPLITS, shares, strict=True):
            number(side, share, low=0)
        whole("seed", self.seed, low=0)
        if abs(sum(shares) - 1) > 1e-9:
            raise StepConfigError(f"train, validation and test must sum to 1, got {shares}")

    def of(self, prompt: str) -> str:
        digest = hashlib.sha256(f"{self.seed}\n{prompt}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.train:
            return TRAIN
        return VALIDATION if place < self.train + self.validation else TEST
