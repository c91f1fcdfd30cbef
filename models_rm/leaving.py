"""The end of a training run: calibrate, examine, write the model folder and the outcome."""

from dataclasses import asdict
from typing import Any

from formats.checkpoints import commit_folder
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from models_rm import checkpoints
from models_rm.calibration import Calibration, calibrate
from models_rm.checkpoints import BackboneRef, ModelCard
from models_rm.evaluation import Rewards, evaluate_pairs
from models_rm.materials import Materials
from models_rm.trainer import Trainer


def leave(run: Supervised, trainer: Trainer) -> Outcome:
    """Calibrate on validation prompts, examine on all splits, write the model folder."""
    step, total = trainer.step, trainer.config.steps
    rewards: dict[str, Rewards] = {}
    for split in ("train", "validation", "test"):
        run.dir.log_metrics(step, total, stage=f"examining the {split} pairs")
        rewards[split] = trainer.rewards(trainer.splits[split])
    # Constants come from validation prompts; a snapshot without any can only offer its own.
    source = "validation" if len(trainer.splits["validation"]) else "train"
    calibration = calibrate(trainer.splits[source], rewards[source], source)
    evaluation = {
        split: evaluate_pairs(
            trainer.splits[split],
            rewards[split],
            trainer.theta,
            thresholds=calibration.threshold,
            bootstrap=trainer.config.bootstrap,
            seed=trainer.config.seed,
        )
        for split in rewards
    }
    run.dir.log_metrics(step, total, _headline(evaluation), stage="examined")
    card = _card(trainer.materials, calibration, evaluation)
    keys = list(trainer.network.keys)
    target = run.dir.outputs / "reward_model"
    sha256 = commit_folder(
        target,
        lambda folder: checkpoints.fill_folder(
            folder, trainer.network, trainer.materials.tokenizer, card
        ),
        {"kind": "reward_model", "dimensions": keys},
    )
    summary = {
        "dimensions": keys,
        "steps": step,
        "pairs": {split: len(trainer.splits[split]) for split in rewards},
        "unreadable": trainer.materials.unreadable,
        "evaluation": evaluation,
        "calibration": calibration.to_json(),
    }
    meta = {
        "dimensions": keys,
        "theta": card.theta,
        "backbone": asdict(card.backbone),
        "snapshot_sha256": card.snapshot_sha256,
        "fps": card.frame_rule.fps,
        "calibration": calibration.to_json(),
        "evaluation": evaluation,
    }
    output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, meta)
    return Outcome(ExitCode.DONE, "done", f"trained for {step} steps", (output,), summary)


def _card(
    materials: Materials, calibration: Calibration, evaluation: dict[str, Any]
) -> checkpoints.ModelCard:
    keys = materials.snapshot.dimensions.keys
    return ModelCard(
        dimensions=materials.snapshot.dimensions,
        theta=materials.network.thetas.by_key(keys),
        config=materials.config,
        backbone=BackboneRef(
            source=materials.source,
            sha256=checkpoints.backbone_sha256(materials.source),
            model_type=materials.network.family.name,
            embedded=materials.config.embed_backbone,
        ),
        template_sha256=materials.template.sha256(),
        frame_rule=materials.rule,
        calibration=calibration,
        snapshot_sha256=materials.snapshot_sha256,
        evaluation=evaluation,
        libraries=checkpoints.library_versions(),
    )


def _headline(evaluation: dict[str, Any]) -> dict[str, float]:
    names = ("accuracy_without_ties", "accuracy_with_ties")
    return {
        f"{split}/{name}/{key}": row[name]
        for split, rows in evaluation.items()
        for key, row in rows.items()
        for name in names
        if row.get(name) is not None
    }
