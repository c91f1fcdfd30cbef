"""A trainer in which one process meets a number that is not finite, at one step.

python broken_training.py {loss|grad} STEP RANK RUN_DIR
"""

import os
import sys
from typing import Any

from formats.run_dir import RunDir
from formats.supervised import end_process, supervise
from models_rm.training import trainer
from models_rm.training.run import train


def spoil(place: str, step: int, patch: Any = setattr) -> None:
    """From now on, the step with this number (from 1) of this process has it."""
    if place == "loss":
        losses = trainer.entry_losses

        def broken(*args: Any) -> Any:
            values, weights = losses(*args)
            return values * (float("inf") if at[0] == step else 1.0), weights

        patch(trainer, "entry_losses", broken)
    learn, norm, at = trainer.Trainer.learn, trainer.Trainer._clipped_norm, [0]

    def counted(self: trainer.Trainer) -> None:
        at[0] = self.step + 1
        learn(self)

    def infinite(self: trainer.Trainer) -> float:
        if place == "grad" and at[0] == step:
            learning = [each for each in self.network.parameters() if each.grad is not None]
            learning[0].grad.fill_(float("inf"))  # type: ignore[union-attr]
        return norm(self)

    patch(trainer.Trainer, "learn", counted)
    patch(trainer.Trainer, "_clipped_norm", infinite)


if __name__ == "__main__":
    _, where, number, rank, folder = sys.argv
    if os.environ.get("RANK", "0") == rank:
        spoil(where, int(number))
    end_process(supervise(train, RunDir(folder)))
