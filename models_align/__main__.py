"""python -m models_align {train,sample} RUN_DIR"""

import os
import sys

# Before any import of the libraries: nothing is ever downloaded by a run.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# log.txt is read by people: our lines, and what goes wrong.
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, supervise


def _body(command: str, run: Supervised) -> Outcome:
    # Read first: a bad config is refused before seconds go into importing torch.
    from models_align.config import AlignmentConfig, ConfigError, GenerationConfig

    wanted = AlignmentConfig if command == "train" else GenerationConfig
    try:
        wanted.from_json(run.dir.config())
    except ConfigError as error:
        raise BadConfigError(f"{run.dir.config_file}: {error}") from error
    if command == "train":
        from models_align.training import train

        return train(run)
    from models_align.sampling import sample

    return sample(run)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in {"train", "sample"}:
        print("usage: python -m models_align {train,sample} RUN_DIR", file=sys.stderr)
        return 2
    command, folder = arguments
    return supervise(lambda run: _body(command, run), RunDir(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
