"""What one step says of itself: sums that add up over accumulation parts and processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from models_rm.preferences.data import Pairs
from trainers.world import World


@dataclass(frozen=True, slots=True)
class StepSums:
    """Per dimension, rows of `table`: loss, weight, pairs ranked rightly, pairs with a winner."""

    keys: tuple[str, ...]
    table: NDArray[np.float64]  # [4, D]

    @classmethod
    def nothing(cls, keys: Sequence[str]) -> Self:
        return cls(tuple(keys), np.zeros((4, len(keys))))

    def plus(
        self,
        pairs: Pairs,
        part: NDArray[np.int64],  # [n]
        losses: torch.Tensor,  # [n, D], weighted
        weights: torch.Tensor,  # [n, D]
        gaps: NDArray[np.float64],  # [n, D], reward of A - reward of B
    ) -> Self:
        said = np.where(pairs.valid[part], pairs.preference[part], 0)
        found = (_total(losses), _total(weights), (said * gaps > 0).sum(0), (said != 0).sum(0))
        return type(self)(self.keys, self.table + np.stack(found))

    def over(self, world: World) -> Self:
        """The sums of all processes."""
        return type(self)(self.keys, world.sum(torch.from_numpy(self.table)).numpy())

    def report(self) -> dict[str, float]:
        """Means for the log: the loss of the step, and per dimension what counts there."""
        loss, weight, right, decided = self.table
        report = {"loss": float(loss.sum() / weight.sum())}
        for d, key in enumerate(self.keys):
            report[f"entries/{key}"] = float(weight[d])
            if weight[d]:
                report[f"loss/{key}"] = float(loss[d] / weight[d])
            if decided[d]:
                report[f"accuracy/{key}"] = float(right[d] / decided[d])
        return report


def _total(values: torch.Tensor) -> NDArray[np.float64]:  # [n, D] -> [D]
    total: NDArray[np.float64] = values.detach().double().sum(0).cpu().numpy()
    return total
