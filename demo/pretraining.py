"""The tiny base models of the demo, each from its own pretraining."""

from typing import Final

from formats.outcome import Outcome
from formats.supervised import BadConfigError, Supervised
from trainers.bodies import imported

BASES: Final = {
    "vlm": "demo.pretrain_vlm:pretrain",
    "anime_vlm": "demo.pretrain_vlm:pretrain",
    "generator": "demo.pretrain_generator:pretrain",
    "anime_generator": "demo.pretrain_generator:pretrain",
}


def pretrained_base(run: Supervised) -> Outcome:
    base = run.dir.config().get("base")
    if base not in BASES:
        raise BadConfigError(
            f"base must be vlm, generator, anime_vlm or anime_generator, got {base!r}"
        )
    outcome: Outcome = imported(BASES[base])(run)
    return outcome
