"""`python -m models_rm conversion RUN_DIR`: a release below the folder for imports, as a run."""

from dataclasses import asdict

from formats.files import below, sha256_of
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.supervised import BadConfigError, Supervised
from models_rm.config import ConfigError, ConversionConfig
from models_rm.released.converting import convert
from models_rm.reward_models.checkpoints import read_card


def conversion(run: Supervised) -> Outcome:
    try:
        config = ConversionConfig.from_json(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error
    folder = below(run.dir.media_root() / "incoming", config.folder)
    target = run.dir.outputs / "reward_model"
    run.dir.log_metrics(0, 1, stage="reading the release, converting")
    report = convert(
        folder,
        target,
        backbone=str(run.dir.input("backbone")),
        template=below(folder, config.template),
        step=config.step,
        embed_backbone=config.embed_backbone,
    )
    run.dir.log_metrics(1, 1, stage="done")
    card = read_card(target)
    meta = {
        "dimensions": list(card.dimensions.keys),
        "theta": card.theta,
        "backbone": asdict(card.backbone),
        "fps": card.frame_rule.fps,
        "calibration": card.calibration.to_json(),
        "converted": card.converted,
    }
    output = Output(
        OutputKind.REWARD_MODEL,
        "outputs/reward_model",
        sha256_of(target / "manifest.json"),
        meta,
    )
    summary = {**asdict(report), "dimensions": meta["dimensions"]}
    message = f"converted {card.converted['checkpoint']}: {report.used} tensors used"
    return Outcome(ExitCode.DONE, "done", message, (output,), summary)
