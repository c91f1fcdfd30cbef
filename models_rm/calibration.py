"""What turns a raw reward into a score that means something: mean, deviation, tie thresholds."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_rm.data import Pairs
from models_rm.metrics import accuracy_with_ties


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per dimension, from one split: (r - mean) / std is the score, and up to `threshold` of raw
    difference two clips count as equal. `source` names the split, `clips` how many it had.
    """

    source: str
    clips: int
    mean: dict[str, float]
    std: dict[str, float]
    threshold: dict[str, float | None]

    def scores(self, key: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return (raw - self.mean[key]) / self.std[key]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def calibrate(pairs: Pairs, rewards: NDArray[np.float64], source: str) -> Calibration:
    """`rewards`: raw [R, D] for the rows of `pairs`."""
    deviation = rewards.std(axis=0)
    # A set of equal rewards has no scale of its own.
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    gaps = rewards[pairs.a] - rewards[pairs.b]
    thresholds: dict[str, float | None] = {}
    for d, key in enumerate(pairs.keys):
        valid = pairs.valid[:, d]
        best = accuracy_with_ties(pairs.preference[valid, d], gaps[valid, d])
        thresholds[key] = None if best is None else best.threshold
    return Calibration(
        source=source,
        clips=len(pairs.rows),
        mean=dict(zip(pairs.keys, rewards.mean(axis=0).tolist(), strict=True)),
        std=dict(zip(pairs.keys, deviation.tolist(), strict=True)),
        threshold=thresholds,
    )
