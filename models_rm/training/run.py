"""The training run of a reward model, top to bottom: `python -m models_rm train RUN_DIR`."""

from dataclasses import replace
from pathlib import Path

import torch

from formats.errors import FormatError
from formats.halving import more_parts
from formats.outcome import Outcome
from formats.supervised import BadConfigError, Supervised
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.training import materials
from models_rm.training.leaving import leave
from models_rm.training.trainer import Trainer
from trainers.world import World, joined


def train(run: Supervised) -> Outcome:
    """Train on the snapshot, examine on its validation and test prompts, leave a model folder."""
    config = read_config(run)
    with joined(config.processes) as world:
        run.agree = world.most
        return leave(run, trained(run, config, world))


def trained(
    run: Supervised, config: RewardModelConfig, world: World, *, frames: Path | None = None
) -> Trainer:
    """Train to the last step, or until patience ends; gives the weights that are to be kept.

    `frames`: the run directory whose decoded frames are used; without it, those of this run.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    trainer = Trainer(run, materials.gather(run, config, world, frames=frames), world)
    config = trainer.config  # Its steps may follow from the number of pairs.
    validates = refuse_without_judge(trainer)
    # Dropout of each process is its own; of one process it goes on as it began.
    if world.size > 1:
        torch.manual_seed(config.seed + world.rank)
    trainer.resume()
    validate_if_due(trainer, validates=validates)  # it may have been stopped in the middle of it
    while trainer.step < config.steps and not trainer.out_of_patience:
        trainer.check()
        trainer.learn()
        step, last = trainer.step, trainer.step == config.steps
        if step % config.log_every == 0 or last:
            trainer.log(trainer.take_report(), stage="training")
        validate_if_due(trainer, validates=validates)
        if step % config.save_every == 0 or last:
            trainer.save()
    if trainer.step < config.steps:
        trainer.save()
    trainer.finish()
    return trainer


def validate_if_due(trainer: Trainer, *, validates: bool) -> None:
    if validates and trainer.owes_validation:
        trainer.log(trainer.validate(), stage="training")


def refuse_without_judge(trainer: Trainer) -> bool:
    """Is there something to validate on? FormatError where the config relies on it in vain."""
    config, pairs = trainer.config, trainer.splits["validation_while_training"]
    judged = len(pairs) > 0 and bool(pairs.valid.any())
    if not judged and (config.keep == "best" or config.patience is not None):
        wanted = "keep 'best'" if config.keep == "best" else f"patience {config.patience}"
        raise FormatError(
            f"{wanted} needs validation prompts with judgements, and this snapshot has none",
            path=trainer.run.dir.input("snapshot"),
        )
    return len(pairs) > 0


def read_config(run: Supervised) -> RewardModelConfig:
    """The config of the run; after one that ran out of memory, with more and smaller parts."""
    try:
        config = RewardModelConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    split, mine = run.dir.split(), config.pairs_per_step // config.processes
    parts = more_parts(mine, config.accumulation, split)
    run.tell_split("accumulation", config.accumulation, parts)
    return replace(config, accumulation=parts)
