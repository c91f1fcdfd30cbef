"""The latent reward run, top to bottom: train, examine over t, leave a model folder."""

from dataclasses import replace

import torch

from formats.checkpoints import commit_folder
from formats.files import sha256_of
from formats.halving import more_parts
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, Supervised
from models_align.checked import ConfigError
from models_align.generators.families import load_generator
from models_align.latent_reward.adapting import merge_lora
from models_align.latent_reward.checkpoints import (
    GeneratorRef,
    LatentRewardCard,
    fill_folder,
    library_versions,
)
from models_align.latent_reward.config import LatentRewardConfig
from models_align.latent_reward.evaluation import Curve, mean_over_t
from models_align.latent_reward.judgements import SPLITS
from models_align.latent_reward.training import Trainer, set_up

FOLDER = "latent_reward_model"


def train_latent_reward(run: Supervised) -> Outcome:
    """The body of `python -m models_align latent_reward RUN_DIR`."""
    try:
        config = LatentRewardConfig.from_json(run.dir.config())
    except ConfigError as error:
        raise BadConfigError(str(error)) from error
    parts = more_parts(config.pairs_per_step, config.accumulation, run.dir.split())
    run.tell_split("accumulation", config.accumulation, parts)
    config = replace(config, accumulation=parts)
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    # Filling memory that is about to be written helps to find faults only, and costs a twentieth.
    torch.utils.deterministic.fill_uninitialized_memory = False
    trainer = set_up(run, config, load_generator(run.dir.input("generator")))
    trainer.resume()
    while trainer.step < config.steps and not trainer.out_of_patience:
        trainer.check()
        values = trainer.learn()
        step, last = trainer.step, trainer.step == config.steps
        if step % config.log_every == 0 or last:
            run.dir.log_metrics(step, config.steps, values, stage="training")
        if (step % config.eval_every == 0 or last) and len(trainer.splits["validation"]):
            run.dir.log_metrics(step, config.steps, trainer.validate(), stage="training")
        if step % config.save_every == 0:
            trainer.save()
    return _leave(run, trainer)


def _leave(run: Supervised, trainer: Trainer) -> Outcome:
    config, steps = trainer.config, trainer.take_kept_weights()
    merge_lora(trainer.network.trunk)
    trainer.splits["training_examined"] = trainer.splits["train"].some(config.eval_pairs)
    curve: dict[str, Curve] = {}
    for split in SPLITS:
        if len(trainer.splits[split]):
            run.dir.log_metrics(trainer.step, config.steps, stage=f"examining the {split} pairs")
            # Of what was trained on only a part: it is there to be compared with the others.
            part = "training_examined" if split == "train" else split
            curve[split] = trainer.curve(part, config.evaluate_at, bootstrap=config.bootstrap)
    run.dir.log_metrics(trainer.step, config.steps, _headline(curve), stage="examined")
    card = LatentRewardCard(
        dimensions=trainer.network.keys,
        config=config,
        trunk=trainer.network.trunk.describe(),
        generator=GeneratorRef.of(trainer.source),
        labels_sha256=_labels_sha256(run),
        steps=steps,
        curve=curve,
        libraries=library_versions(),
    )
    sha256 = commit_folder(
        run.dir.outputs / FOLDER,
        lambda folder: fill_folder(folder, trainer.network, card),
        {"kind": FOLDER, "dimensions": list(card.dimensions)},
    )
    meta = {
        "dimensions": list(card.dimensions),
        "noise": config.noise,
        "loss": config.loss,
        "blocks": card.trunk["config"]["num_layers"],
        "generator": card.generator.source,
        "steps": steps,
    }
    output = Output(OutputKind.LATENT_REWARD_MODEL, f"outputs/{FOLDER}", sha256, meta)
    summary = {**meta, "trained_steps": trainer.step, "curve": curve}
    summary["pairs"] = {split: len(trainer.splits[split]) for split in SPLITS}
    message = f"trained for {trainer.step} steps"
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)


def _headline(curve: dict[str, Curve]) -> dict[str, float]:
    """One point per dimension: the whole curve stands in the summary and on the card."""
    return {
        f"{split}/accuracy/{key}": value
        for split, of_split in curve.items()
        for key, value in mean_over_t(of_split, "accuracy_without_ties").items()
    }


def _labels_sha256(run: Supervised) -> str:
    """Of the snapshot's manifest, or of the file of pairs."""
    if run.dir.has_input("snapshot"):
        return sha256_of(run.dir.input("snapshot") / "manifest.json")
    return sha256_of(run.dir.input("pairs"))
