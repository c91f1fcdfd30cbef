"""`python -m models_rm {train,score,evaluate} RUN_DIR`."""

import argparse
import sys

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, supervise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models_rm", description="Reward models.")
    parser.add_argument("command", choices=("train", "score", "evaluate"))
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a prepared run directory")
    arguments = parser.parse_args()

    def body(run: Supervised) -> Outcome:
        # Torch is imported under supervision, so that a broken installation leaves an outcome too.
        from models_rm import scoring, training

        bodies = {"train": training.train, "score": scoring.score, "evaluate": scoring.evaluate}
        return bodies[arguments.command](run)

    return supervise(body, RunDir(arguments.run_dir))


if __name__ == "__main__":
    sys.exit(main())
