"""The public door of a reward model, and the commands `score` and `evaluate`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.files import sha256_of, write_json
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.snapshot import read_snapshot
from formats.supervised import BadConfigError, Supervised
from models_rm.attention import use_for_vision
from models_rm.checkpoints import ModelCard, load_folder, refuse_other_dimensions
from models_rm.collator import Collator
from models_rm.config import ConfigError, EvaluationConfig, ScoringConfig
from models_rm.data import Clips, pairs_of
from models_rm.errors import ClipUnreadableError
from models_rm.evaluation import evaluate_pairs, rewards_of
from models_rm.network import RewardNetwork
from models_rm.prompts import RatingTemplate
from models_rm.video import Clip, clip_of_array, read_clip

T = TypeVar("T")
Video = Path | str | np.ndarray


class RewardModel:
    """A trained reward model, ready to score."""

    def __init__(self, network: RewardNetwork, tokenizer: Any, card: ModelCard):
        self.network = network
        self.card = card
        template = RatingTemplate.of(card.dimensions, card.config.template)
        self.collator = Collator(tokenizer, network.family, template)

    @classmethod
    def load(
        cls, path: Path | str, *, backbone: Path | str | None = None, dtype: str = "float32"
    ) -> Self:
        """Load a verified folder. `backbone` says where the backbone lies, if it is not embedded
        and has moved since training. FormatError or BadConfigError, in one sentence, where anything
        does not fit."""
        network, tokenizer, card = load_folder(
            Path(path), backbone=None if backbone is None else str(backbone), dtype=dtype
        )
        use_for_vision(network.backbone.visual)
        network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(network, tokenizer, card)

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.network.keys

    def score(
        self,
        prompts: Sequence[str],
        videos: Sequence[Video],
        *,
        raw: bool = False,
        batch_size: int = 8,
    ) -> dict[str, list[float]]:
        """One score per (prompt, video) and dimension, in float32; calibrated unless `raw`.

        A video is a path, or frames uint8 [T, H, W, 3] that were sampled at the model's rate.
        """
        if len(prompts) != len(videos):
            raise ValueError(
                f"prompts and videos must have one length, got {len(prompts)} and {len(videos)}"
            )
        rows = [np.empty((0, len(self.dimensions)))]
        for start in range(0, len(videos), batch_size):
            clips = [self.read(video) for video in videos[start : start + batch_size]]
            rows.append(self.rewards(clips, prompts[start : start + batch_size]))
        return self._by_dimension(np.concatenate(rows), raw=raw)

    def read(self, video: Video) -> Clip:
        """The frames that the model looks at; ClipUnreadableError where there are none."""
        if isinstance(video, np.ndarray):
            return clip_of_array(video, self.card.frame_rule)
        return read_clip(video, self.card.frame_rule)

    @torch.no_grad()
    def rewards(self, clips: Sequence[Clip], prompts: Sequence[str]) -> np.ndarray:
        """Raw rewards [N, D]."""
        batch = self.collator(clips, prompts).to(self.network.tokens.device)
        rewards: np.ndarray = self.network(batch).mean.double().cpu().numpy()
        return rewards

    def _by_dimension(self, rewards: np.ndarray, *, raw: bool) -> dict[str, list[float]]:
        columns = dict(zip(self.dimensions, rewards.T, strict=True))
        if raw:
            return {key: column.tolist() for key, column in columns.items()}
        calibration = self.card.calibration
        return {key: calibration.scores(key, column).tolist() for key, column in columns.items()}


def score(run: Supervised) -> Outcome:
    """`python -m models_rm score RUN_DIR`: every (clip, prompt) of a generation set, once."""
    config = _config(run, ScoringConfig.from_json)
    model = _loaded(run, config.dtype, config.threads)
    folder, records = _generations(run)
    written: list[ScoreRecord] = []
    batches = range(0, len(records), config.batch_size)
    for number, start in enumerate(batches, start=1):
        run.check()
        written += _scored(model, folder, records[start : start + config.batch_size])
        if number % config.log_every == 0 or number == len(batches):
            run.dir.log_metrics(len(written), len(records), stage="scoring")
    unreadable = sum(1 for record in written if record.error)
    if written and unreadable == len(written):
        raise FormatError(f"none of the {unreadable} clips can be read", path=folder)
    sha256 = ScoreRecord.write(run.dir.outputs / "scores.jsonl", written)
    summary = {
        "scored": len(written) - unreadable,
        "unreadable": unreadable,
        **_means(model, written),
    }
    meta = {
        "dimensions": list(model.dimensions),
        "reward_model": sha256_of(run.dir.input("reward_model") / "manifest.json"),
        **summary,
    }
    output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256, meta)
    return Outcome(ExitCode.DONE, "done", f"scored {summary['scored']} clips", (output,), summary)


def evaluate(run: Supervised) -> Outcome:
    """`python -m models_rm evaluate RUN_DIR`: a reward model against one split of a snapshot."""
    config = _config(run, EvaluationConfig.from_json)
    model = _loaded(run, config.dtype, config.threads)
    snapshot = read_snapshot(run.dir.input("snapshot"))
    refuse_other_dimensions(model.card, snapshot.dimensions.keys, "the snapshot")
    chosen = [record for record in snapshot.records if record.split == config.split]
    pairs = pairs_of(chosen, model.dimensions)
    clips = Clips(run.dir.media_root(), model.card.frame_rule, model.card.config.cache_megabytes)
    clips.refuse_missing(pairs.rows)
    rewards = rewards_of(
        model.network,
        model.collator,
        clips,
        pairs.rows,
        batch_size=config.batch_size,
        check=run.check,
    )
    result = evaluate_pairs(
        pairs,
        rewards,
        [model.card.theta[key] for key in model.dimensions],
        thresholds=model.card.calibration.threshold,
        bootstrap=config.bootstrap,
        seed=config.seed,
    )
    summary = {"split": config.split, "pairs": len(pairs), "dimensions": result}
    sha256 = write_json(run.dir.outputs / "evaluation.json", "reward_evaluation/1", summary)
    output = Output(OutputKind.EVALUATION, "outputs/evaluation.json", sha256, summary)
    return Outcome(ExitCode.DONE, "done", f"examined {len(pairs)} pairs", (output,), summary)


def _config(run: Supervised, read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error


def _loaded(run: Supervised, dtype: str, threads: int | None) -> RewardModel:
    if threads is not None:
        torch.set_num_threads(threads)
    backbone = run.dir.input("backbone") if run.dir.has_input("backbone") else None
    return RewardModel.load(run.dir.input("reward_model"), backbone=backbone, dtype=dtype)


def _generations(run: Supervised) -> tuple[Path, list[GenerationRecord]]:
    """The folder that clips are relative to, and each (clip, prompt) once."""
    path = run.dir.input("generations")
    if path.is_dir():
        verify_folder(path)
        path = path / "generations.jsonl"
    unique = {(record.video.id, record.prompt): record for record in GenerationRecord.read(path)}
    return path.parent, list(unique.values())


def _scored(
    model: RewardModel, folder: Path, records: Sequence[GenerationRecord]
) -> list[ScoreRecord]:
    clips: list[Clip] = []
    errors: list[str] = []
    for record in records:
        try:
            clips.append(model.read(folder / record.video.path))
            errors.append("")
        except ClipUnreadableError as error:
            errors.append(error.message)
    readable = [record for record, error in zip(records, errors, strict=True) if not error]
    rewards = iter(())
    if readable:
        rewards = iter(model.rewards(clips, [record.prompt for record in readable]))
    return [
        _score_record(model, record, error, None if error else next(rewards))
        for record, error in zip(records, errors, strict=True)
    ]


def _score_record(
    model: RewardModel, record: GenerationRecord, error: str, reward: np.ndarray | None
) -> ScoreRecord:
    names = (record.video.id, record.prompt_id, record.prompt)
    if reward is None:
        return ScoreRecord(*names, error=error)
    raw = dict(zip(model.dimensions, reward.tolist(), strict=True))
    calibration = model.card.calibration
    scores = {key: float(calibration.scores(key, np.asarray(value))) for key, value in raw.items()}
    return ScoreRecord(*names, raw=raw, score=scores)


def _means(model: RewardModel, records: Sequence[ScoreRecord]) -> dict[str, float]:
    return {
        f"mean_{key}": float(np.mean([record.score[key] for record in records if not record.error]))
        for key in model.dimensions
        if any(not record.error for record in records)
    }
