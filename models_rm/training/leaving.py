"""The end of a training run: calibrate, examine, write the model folder and the outcome."""

from dataclasses import asdict
from typing import Any

from formats.checkpoints import commit_folder
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import Supervised
from models_rm.examination.evaluation import RowRewards, evaluate_pairs
from models_rm.examination.examining import probe
from models_rm.examination.figures import without_details
from models_rm.probes.questions import alarms
from models_rm.reward_models import checkpoints
from models_rm.reward_models.calibration import Calibration, calibrate, fit_uncertainty
from models_rm.reward_models.card_facts import SPLITS, Facts, ceilings_of, data_facts
from models_rm.reward_models.checkpoints import BackboneRef, ModelCard
from models_rm.reward_models.members import Member
from models_rm.scoring import RewardModel
from models_rm.training.materials import Materials
from models_rm.training.trainer import Trainer


def leave(run: Supervised, trainer: Trainer) -> Outcome:
    """Calibrate on validation prompts, examine on all splits, ask the probes, write the folder."""
    outputs: dict[str, RowRewards] = {}
    for split in SPLITS:
        trainer.log(stage=f"examining the {split} pairs")
        outputs[split] = trainer.outputs(trainer.splits[split])
    if not trainer.world.leads:
        return Outcome(ExitCode.DONE)  # The first process says what the run came to.
    run.agree = int  # Alone from here on: nobody else would answer.
    # Constants come from validation prompts; a snapshot without any can only offer its own.
    source = "validation" if len(trainer.splits["validation"]) else "train"
    calibration = _calibration(trainer, source, outputs[source])
    evaluation = {split: _figures(trainer, split, outputs[split], calibration) for split in SPLITS}
    short = {split: without_details(rows) for split, rows in evaluation.items()}
    trainer.log(_headline(short), stage="asking the probes")
    card = _card(trainer.materials, calibration, short)
    facts = Facts(
        data=data_facts(trainer.materials.snapshot, trainer.network.keys),
        evaluation=evaluation,
        probes=_probes(trainer, card),
    )
    sha256 = commit_folder(
        run.dir.outputs / "reward_model",
        lambda folder: checkpoints.fill_folder(
            folder, trainer.network, trainer.materials.tokenizer, card, facts
        ),
        {"kind": "reward_model", "dimensions": list(trainer.network.keys)},
    )
    trainer.log(stage="examined")
    return _outcome(trainer, card, facts, sha256)


def _calibration(trainer: Trainer, source: str, found: RowRewards) -> Calibration:
    pairs, keys = trainer.splits[source], trainer.network.keys
    uncertainty = fit_uncertainty(
        pairs, found.mean, found.log_variance, trainer.theta, trainer.config.loss_of(keys)
    )
    return calibrate(pairs, found.mean, source, uncertainty=uncertainty)


def _figures(
    trainer: Trainer, split: str, found: RowRewards, calibration: Calibration
) -> dict[str, dict[str, Any]]:
    config, keys = trainer.config, trainer.network.keys
    records = [each for each in trainer.materials.snapshot.records if each.split == split]
    return evaluate_pairs(
        trainer.splits[split],
        found.mean,
        trainer.theta,
        log_variance=calibration.log_variance(keys, found.log_variance),
        temperature=calibration.temperatures(keys),
        thresholds=calibration.threshold,
        ceilings=ceilings_of(records, keys, resamples=config.bootstrap, seed=config.seed),
        bootstrap=config.bootstrap,
        seed=config.seed,
        details=True,
    )


def _probes(trainer: Trainer, card: ModelCard) -> list[dict[str, Any]]:
    """About held-out pairs, where there are any."""
    held_out = [split for split in ("test", "validation", "train") if len(trainer.splits[split])]
    member = Member("", trainer.network.eval(), trainer.collator, card, trainer.network.keys)
    model = RewardModel([member])
    model.cache = trainer.clips.cache
    return probe(
        model,
        trainer.splits[held_out[0]],
        trainer.run.dir.media_root(),
        limit=trainer.config.probe_pairs,
        batch_size=trainer.batch_of_clips,
        check=trainer.check,
    )


def _outcome(trainer: Trainer, card: ModelCard, facts: Facts, sha256: str) -> Outcome:
    shared = {
        "dimensions": list(trainer.network.keys),
        "calibration": card.calibration.to_json(),
        "evaluation": card.evaluation,
        "probes": list(facts.probes),
        "alarms": alarms(facts.probes),
    }
    summary = {
        **shared,
        **trainer.progress.in_words(),
        "pairs": {split: len(trainer.splits[split]) for split in SPLITS},
        "unreadable": trainer.materials.unreadable,
    }
    meta = {
        **shared,
        "theta": card.theta,
        "backbone": asdict(card.backbone),
        "snapshot_sha256": card.snapshot_sha256,
        "fps": card.frame_rule.fps,
    }
    output = Output(OutputKind.REWARD_MODEL, "outputs/reward_model", sha256, meta)
    return Outcome(ExitCode.DONE, "done", trainer.ending(), (output,), summary)


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
