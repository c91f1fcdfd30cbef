"""`python -m models_rm score RUN_DIR`: every (clip, prompt) of a generation set, once.

A run may be one chunk of several; then it takes the clips that a hash gives it. What is finished
is written part by part, so that a killed run goes on behind the last one.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch

from formats.chunks import chunk_of, generations_of
from formats.errors import FormatError
from formats.files import sha256_of
from formats.halving import smaller
from formats.outcome import ExitCode, Outcome, Output, OutputKind
from formats.records import GenerationRecord, ScoreRecord
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_rm.clips.frame_cache import FrameCache
from models_rm.clips.start_images import StartImage
from models_rm.config import BenchmarkConfig, ConfigError, EvaluationConfig, ScoringConfig
from models_rm.reward_models.streaming import Limits, Scored, Tap, Task, stream
from models_rm.scores.parts import FOLDER, Key, Parts
from models_rm.scoring import RewardModel

T = TypeVar("T")
_PACE_SECONDS: Final = 60.0


def score(run: Supervised) -> Outcome:
    """Score what this run has to score and is not safe yet; then write all of it."""
    config = _within_memory(run, config_of(run, ScoringConfig.from_json))
    model = loaded(run, config)
    folder, records = generations_of(run.dir)
    wanted = _of_chunk(records, config)
    parts = parts_of(run, config)
    known = parts.read(lambda text: print(text, flush=True))
    left = [record for key, record in wanted.items() if key not in known]
    slow = _score_left(run, model, folder, left, parts, config, total=len(wanted))
    found = parts.read(lambda text: print(text, flush=True))
    written = [found[key] for key in wanted]
    if config.chunk is None:
        refuse_all_unreadable(written, folder)
    sha256 = ScoreRecord.write(run.dir.outputs / "scores.jsonl", written)
    summary = {**summary_of(written, model.dimensions), "slower_than_the_training": slow}
    meta = {
        "dimensions": list(model.dimensions),
        "reward_model": sha256_of(run.dir.input("reward_model") / "manifest.json"),
        **summary,
    }
    output = Output(OutputKind.SCORES, "outputs/scores.jsonl", sha256, meta)
    return Outcome(ExitCode.DONE, "done", f"scored {summary['scored']} clips", (output,), summary)


def _within_memory(run: Supervised, config: ScoringConfig) -> ScoringConfig:
    """Fewer clips in a forward, after an attempt that ran out of memory."""
    split = run.dir.split()
    size, tokens = smaller(config.batch_size, split), smaller(config.batch_tokens, split)
    run.tell_split("batch_size", config.batch_size, size)
    return replace(config, batch_size=size, batch_tokens=tokens)


def parts_of(run: Supervised, config: Any) -> Parts:
    return Parts(
        run.dir.root / FOLDER, run.fence, clips=config.part_clips, seconds=config.part_seconds
    )


def _of_chunk(
    records: Mapping[Key, GenerationRecord], config: ScoringConfig
) -> dict[Key, GenerationRecord]:
    if config.chunk is None:
        return dict(records)
    return {
        key: record
        for key, record in records.items()
        if chunk_of(*key, config.chunks) == config.chunk
    }


def _score_left(
    run: Supervised,
    model: RewardModel,
    folder: Path,
    left: Sequence[GenerationRecord],
    parts: Parts,
    config: ScoringConfig,
    *,
    total: int,
) -> int:
    """Score these, and give how many of them have fewer frames per second than the training."""
    limits = Limits(config.batch_size, config.batch_tokens, config.readers)
    pace, remaining = Pace(), list(left)
    done, number, slow = total - len(left), 0, 0
    while remaining:
        tap, judged = Tap(), set()
        for batch in stream(model, _tasks(run, folder, remaining), limits, tap):
            parts.add(record_of(model, _names(remaining[each.row]), each) for each in batch)
            judged |= {each.row for each in batch}
            number, done = number + 1, done + len(batch)
            slow += sum(each.slow for each in batch)
            pace.count(len(batch))
            if number % config.log_every == 0 or done == total:
                run.dir.log_metrics(done, total, {"clips_per_second": pace.rate}, stage="scoring")
            if run.stop_reason() is not None:
                tap.shut()  # what is being judged is kept
        run.check(parts.flush)
        # Nobody asks for a stop any more, or all are scored.
        remaining = [record for row, record in enumerate(remaining) if row not in judged]
    parts.flush()
    return slow


def _tasks(run: Supervised, folder: Path, records: Sequence[GenerationRecord]) -> list[Task]:
    """Clips lie beside their list, start images below the media root."""
    root = run.dir.media_root()
    return [
        Task(
            folder / each.video.path,
            each.prompt,
            each.video.sha256,
            start=StartImage.of(each.image, root),
        )
        for each in records
    ]


def _names(record: GenerationRecord) -> tuple[str, str, str]:
    return record.video.id, record.prompt_id, record.prompt


class Pace:
    """Clips per second over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._count = 0

    def count(self, clips: int) -> None:
        now = time.monotonic()
        self._count += clips
        self._seen.append((now, self._count))
        while now - self._seen[0][0] > _PACE_SECONDS and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        (before, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / max(now - before, 1e-6)


# What the trainers that score have in common.


def config_of(run: Supervised, read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(run.dir.config())
    except (ConfigError, TypeError) as error:
        raise BadConfigError(str(error)) from error


def loaded(
    run: Supervised, config: ScoringConfig | EvaluationConfig | BenchmarkConfig
) -> RewardModel:
    """The reward model that is an input of the run."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    backbone = run.dir.input("backbone") if run.dir.has_input("backbone") else None
    return RewardModel.load(
        run.dir.input("reward_model"),
        backbone=backbone,
        dtype=config.dtype,
        accept_other_libraries=config.accept_other_libraries,
    )


def shared_cache(megabytes: int) -> FrameCache | None:
    """The frames that runs of a site share; none where there is no such place: what is decoded
    once needs no cache of its own."""
    folder = os.environ.get("TIEBREAK_FRAME_CACHE")
    return FrameCache(Path(folder), megabytes) if folder else None


def record_of(model: RewardModel, names: tuple[str, str, str], scored: Scored) -> ScoreRecord:
    """The score of (video id, prompt id, prompt). What cannot be read has an error, no number;
    a reward that is no number is a NonFiniteError, because the model is broken and not the clip."""
    if scored.error is not None or scored.reward is None:
        return ScoreRecord(*names, error="" if scored.error is None else scored.error.message)
    raw = dict(zip(model.dimensions, scored.reward.tolist(), strict=True))
    for key, value in raw.items():
        if not np.isfinite(value):
            raise NonFiniteError(
                f"the {key} of clip {names[0]!r} for the prompt {names[2]!r} is not a finite number"
            )
    calibration = model.calibration
    scores = {key: float(calibration.scores(key, np.asarray(value))) for key, value in raw.items()}
    return ScoreRecord(*names, raw=raw, score=scores, std=_deviations(model, scored))


def _deviations(model: RewardModel, scored: Scored) -> dict[str, float]:
    """Of the dimensions whose member says how sure it is."""
    if scored.std is None:
        return {}
    found = zip(model.dimensions, scored.std.tolist(), strict=True)
    return {key: value for key, value in found if not np.isnan(value)}


def refuse_all_unreadable(records: Sequence[ScoreRecord], where: Path) -> None:
    unreadable = sum(1 for record in records if record.error)
    if records and unreadable == len(records):
        raise FormatError(f"none of the {unreadable} clips can be read", path=where)


def summary_of(records: Sequence[ScoreRecord], dimensions: Sequence[str]) -> dict[str, Any]:
    """How many were scored, how many could not be read, and the mean of each dimension."""
    good = [record for record in records if not record.error]
    means = {
        f"mean_{key}": float(np.mean([record.score[key] for record in good]))
        for key in dimensions
        if good
    }
    return {"scored": len(good), "unreadable": len(records) - len(good), **means}
