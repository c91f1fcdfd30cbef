"""`python -m models_rm evaluate RUN_DIR`: a reward model against one split of a snapshot."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from formats.files import write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from models_rm.card_facts import ceilings_of
from models_rm.config import EvaluationConfig
from models_rm.data import Pairs, pairs_of
from models_rm.errors import CheckpointMismatchError
from models_rm.evaluation import evaluate_pairs
from models_rm.examining import probe
from models_rm.figures import without_details
from models_rm.probes import alarms
from models_rm.scoring import RewardModel
from models_rm.scoring_run import config_of, loaded
from models_rm.streaming import Limits, Task, stream

SCHEMA: Final = "reward_evaluation/2"


def evaluate(run: Supervised) -> Outcome:
    config = config_of(run, EvaluationConfig.from_json)
    model = loaded(run, config)
    snapshot = read_snapshot(run.dir.input("snapshot"))
    _refuse_other_dimensions(model, snapshot.dimensions.keys)
    chosen = [record for record in snapshot.records if record.split == config.split]
    pairs = pairs_of(chosen, model.dimensions)
    rewards, deviations = _judged(run, model, pairs, Limits(batch_size=config.batch_size))
    result = evaluate_pairs(
        pairs,
        rewards,
        [model.theta[key] for key in model.dimensions],
        log_variance=log_variance_of(deviations),
        thresholds=model.calibration.threshold,
        ceilings=ceilings_of(
            chosen, model.dimensions, resamples=config.bootstrap, seed=config.seed
        ),
        bootstrap=config.bootstrap,
        seed=config.seed,
        details=True,
    )
    probes = probe(
        model,
        pairs,
        run.dir.media_root(),
        limit=config.probe_pairs,
        batch_size=config.batch_size,
        check=run.check,
    )
    shared = {"split": config.split, "pairs": len(pairs), "probes": probes}
    content = {
        **shared,
        "keys": list(model.dimensions),
        "calibration": model.calibration.to_json(),
        "evaluation": {config.split: result},
    }
    sha256 = write_json(run.dir.outputs / "evaluation.json", SCHEMA, content)
    summary = {**shared, "alarms": alarms(probes), "dimensions": without_details(result)}
    output = Output(OutputKind.EVALUATION, "outputs/evaluation.json", sha256, summary)
    return Outcome(ExitCode.DONE, "done", f"examined {len(pairs)} pairs", (output,), summary)


def log_variance_of(deviations: np.ndarray) -> np.ndarray | None:
    """Of deviations [R, D], NaN where a model does not know its own: that counts as none."""
    if np.isnan(deviations).all():
        return None
    with np.errstate(divide="ignore"):
        found: np.ndarray = 2 * np.log(np.nan_to_num(deviations, nan=0.0))
    return found


def _judged(
    run: Supervised, model: RewardModel, pairs: Pairs, limits: Limits
) -> tuple[np.ndarray, np.ndarray]:
    """Raw rewards [R, D] of the rows and their deviations, NaN where the model knows none.

    A clip that cannot be read ends the run: a figure would not say which pairs it leaves out.
    """
    root = run.dir.media_root()
    tasks = [Task(root / row.video.path, row.prompt, row.video.sha256) for row in pairs.rows]
    rewards = np.empty((len(tasks), len(model.dimensions)))
    deviations = np.full_like(rewards, np.nan)
    done = 0
    for batch in stream(model, tasks, limits):
        run.check()
        for each in batch:
            if each.error is not None:
                raise each.error
            rewards[each.row] = each.reward
            if each.std is not None:
                deviations[each.row] = each.std
        done += len(batch)
        run.dir.log_metrics(done, len(tasks), stage="scoring")
    return rewards, deviations


def _refuse_other_dimensions(model: RewardModel, keys: Sequence[str]) -> None:
    """A model may judge some of the dimensions of a snapshot, never one that is not in it."""
    if not set(model.dimensions) <= set(keys):
        raise CheckpointMismatchError(
            f"the reward model judges {', '.join(model.dimensions)}; "
            f"the snapshot has {', '.join(keys)}"
        )
