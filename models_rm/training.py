"""The training run of a reward model, top to bottom: `python -m models_rm train RUN_DIR`."""

import torch

from formats.outcome import Outcome
from formats.supervised import BadConfigError, Supervised
from models_rm import materials
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.leaving import leave
from models_rm.trainer import Trainer


def train(run: Supervised) -> Outcome:
    """Train on the snapshot, examine on its validation and test prompts, leave a model folder."""
    config = read_config(run)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    trainer = Trainer(run, materials.gather(run, config))
    trainer.resume()
    while trainer.step < config.steps and not trainer.out_of_patience:
        trainer.check()
        trainer.learn()
        step, last = trainer.step, trainer.step == config.steps
        if step % config.log_every == 0 or last:
            run.dir.log_metrics(step, config.steps, trainer.take_report(), stage="training")
        if step % config.eval_every == 0 and len(trainer.splits["validation"]):
            run.dir.log_metrics(step, config.steps, trainer.validate(), stage="training")
        if step % config.save_every == 0 or last:
            trainer.save()
    return leave(run, trainer)


def read_config(run: Supervised) -> RewardModelConfig:
    try:
        return RewardModelConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
