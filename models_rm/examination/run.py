"""`python -m models_rm evaluate RUN_DIR`: a reward model against one split of a snapshot."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from formats.files import sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from models_rm.clips.start_images import StartImage
from models_rm.config import EvaluationConfig
from models_rm.errors import CheckpointMismatchError
from models_rm.examination.evaluation import compare_models, evaluate_pairs
from models_rm.examination.examining import dimensions_of, probe
from models_rm.examination.figures import without_details
from models_rm.preferences.data import Pairs, pairs_of
from models_rm.probes.questions import alarms
from models_rm.reward_models.card_facts import ceilings_of
from models_rm.reward_models.streaming import Limits, Task, stream
from models_rm.scores.run import config_of, loaded, shared_cache
from models_rm.scoring import RewardModel

SCHEMA: Final = "reward_evaluation/2"


def evaluate(run: Supervised) -> Outcome:
    """Figures with intervals, the human ceiling, the probes; against a second model where there is
    an input `other`."""
    config = config_of(run, EvaluationConfig.from_json)
    model = loaded(run, config)
    # The clips of a snapshot were decoded when its model was trained.
    model.cache = shared_cache(model.members[0].card.config.cache_megabytes)
    snapshot = read_snapshot(run.dir.input("snapshot"))
    chosen = [record for record in snapshot.records if record.split == config.split]
    _refuse_other_dimensions(model, snapshot.dimensions.keys)
    pairs = pairs_of(chosen, model.dimensions)
    rewards, deviations = _judged(run, model, pairs, Limits(batch_size=config.batch_size))
    result = evaluate_pairs(
        pairs,
        rewards,
        [model.theta[key] for key in model.dimensions],
        log_variance=log_variance_of(deviations),  # calibrated, as `judge` gives them
        temperature=model.calibration.temperatures(model.dimensions),
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
    content = {
        "split": config.split,
        "pairs": len(pairs),
        "probes": probes,
        "comparison": _comparison(run, config, pairs, rewards),
        "dimensions": {"dimensions": [asdict(each) for each in dimensions_of(model)]},
        "calibration": model.calibration.to_json(),
        "evaluation": {config.split: result},
    }
    sha256 = write_json(run.dir.outputs / "evaluation.json", SCHEMA, content)
    summary = {
        **{key: content[key] for key in ("split", "pairs", "probes", "comparison")},
        "alarms": alarms(probes),
        "dimensions": without_details(result),
    }
    output = Output(OutputKind.REWARD_EVALUATION, "outputs/evaluation.json", sha256, summary)
    return Outcome(ExitCode.DONE, "done", f"examined {len(pairs)} pairs", (output,), summary)


def _comparison(
    run: Supervised, config: EvaluationConfig, pairs: Pairs, rewards: np.ndarray
) -> dict[str, Any]:
    """Paired bootstrap of the accuracies without ties; empty where there is no second model."""
    if not run.dir.has_input("other"):
        return {}
    other = RewardModel.load(
        run.dir.input("other"),
        dtype=config.dtype,
        accept_other_libraries=config.accept_other_libraries,
    )
    _refuse_other_dimensions(other, pairs.keys)
    theirs, _ = _judged(run, other, pairs, Limits(batch_size=config.batch_size))
    columns = [other.dimensions.index(key) for key in pairs.keys]
    return {
        "other": sha256_of(run.dir.input("other") / "manifest.json"),
        "dimensions": compare_models(
            pairs, rewards, theirs[:, columns], bootstrap=config.bootstrap, seed=config.seed
        ),
    }


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
    tasks = [
        Task(
            root / row.video.path,
            row.prompt,
            row.video.sha256,
            start=StartImage.of(row.image, root),
        )
        for row in pairs.rows
    ]
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
