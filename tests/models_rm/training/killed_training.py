"""`models_rm train` that is killed with SIGKILL when a step is done.

python killed_training.py STEP RUN_DIR      STEP 0: nobody is killed
"""

import os
import signal
import sys

from formats.run_dir import RunDir
from formats.supervised import end_process, supervise
from models_rm.training.run import train
from models_rm.training.trainer import Trainer


def main() -> int:
    step = int(sys.argv[1])
    learn = Trainer.learn

    def until(trainer: Trainer) -> None:
        learn(trainer)
        if trainer.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Trainer.learn = until  # type: ignore[method-assign]
    return supervise(train, RunDir(sys.argv[2]))


if __name__ == "__main__":
    end_process(main())
