"""python -m models_align {train,sample,gather,grid,latent_reward} RUN_DIR"""

import os
import sys
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Final

# Before any import of the libraries: nothing is ever downloaded by a run.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# log.txt is read by people: our lines, and what goes wrong.
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, Supervised, end_process, supervise
from models_align.checked import ConfigError
from trainers.bodies import imported
from trainers.observing import observe


@dataclass(frozen=True, slots=True)
class Command:
    """`config` and `body` are `module:name`; torch is imported with the body and not before."""

    config: str
    body: str


COMMANDS: Final = {
    "train": Command("models_align.config:AlignmentConfig", "models_align.training:train"),
    "sample": Command("models_align.config:GenerationConfig", "models_align.sampling:sample"),
    "gather": Command("models_align.config:GatheringConfig", "models_align.gathering:gather"),
    "grid": Command("models_align.grid_config:GridConfig", "models_align.grid:sample_grid"),
    "latent_reward": Command(
        "models_align.latent_reward.config:LatentRewardConfig",
        "models_align.latent_reward.running:train_latent_reward",
    ),
}


def _body(command: Command, run: Supervised) -> Outcome:
    # Read first: a bad config is refused before seconds go into importing torch.
    try:
        resolve_name(command.config).from_json(run.dir.config())
    except ConfigError as error:
        raise BadConfigError(f"{run.dir.config_file}: {error}") from error
    outcome: Outcome = imported(command.body)(run)
    return outcome


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        words = ",".join(COMMANDS)
        print(f"usage: python -m models_align {{{words}}} RUN_DIR", file=sys.stderr)
        return 2
    command, folder = arguments
    return supervise(lambda run: _body(COMMANDS[command], run), RunDir(folder), observe)


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
