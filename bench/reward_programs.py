"""The measured programs of `bench.reward_speed`: each is one child process that says one line.

    python -m bench.reward_programs ours|ours_checkpointed|plain WHAT FOLDER SHARED ROUNDS

WHAT is train, shared or demo (training pairs), score or score_demo (clips).

The line is JSON: seconds and processor seconds of each round, how many pairs or clips a round is,
the largest resident memory, and for ours the time spent on getting frames behind the first round.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import torch

from bench import reward_shapes
from bench.reward_plain import PlainRewardModel, PlainTrainer
from formats.dimensions import DimensionSet
from formats.labels import SIGN
from formats.records import PreferenceRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import read_snapshot, write_snapshot
from formats.supervised import Supervised
from models_rm.clips.video import FrameRule
from models_rm.config import RewardModelConfig
from models_rm.networks.collator import opening_of
from models_rm.networks.prompts import RatingTemplate
from models_rm.preferences.data import Row
from models_rm.reward_models.checkpoints import ModelCard
from models_rm.reward_models.members import Member
from models_rm.scoring import RewardModel
from models_rm.training.materials import gather
from models_rm.training.trainer import Trainer
from trainers.world import World

THREADS: Final = 2
# In the paper's data a prompt has 11 pairs (182k on 16k prompts) of 7 clips (108k); we have 6.
PAIRS_OF_A_PROMPT: Final = 11
REAL: Final = {"pairs_per_step": 1, "cache_megabytes": 256}
SHARED: Final = {**REAL, "pairs_per_step": PAIRS_OF_A_PROMPT}
DEMO: Final = {
    "template": "brief", "fps": 8.0, "min_pixels": 56 * 56, "max_pixels": 56 * 56,
    "language": "full", "vision": "full", "pairs_per_step": 64, "cache_megabytes": 256,
}  # fmt: skip
DEMO_STEPS: Final = 6  # per round
CLIPS_SCORED: Final = {"score": 6, "score_demo": 96}


@dataclass(slots=True)
class Job:
    """What is trained on or scored, and with what settings."""

    records: list[PreferenceRecord]
    media: Path
    backbone: Path
    dimensions: DimensionSet
    config: RewardModelConfig
    steps: int  # of a round
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def rule(self) -> FrameRule:
        config = self.config
        return FrameRule(
            config.fps, config.min_frames, config.max_frames, config.min_pixels,
            config.max_pixels, 28,
        )  # fmt: skip


def job_of(what: str, folder: Path, shared: Path) -> Job:
    if what in ("demo", "score_demo"):
        made = read_snapshot(folder / "world" / "snapshot")
        records = [each for each in made.records if each.split == "train"]
        config = RewardModelConfig.from_json(DEMO)
        media = folder / "world"
        return Job(records, media, folder / "tiny", made.dimensions, config, DEMO_STEPS)
    found = reward_shapes.materials(shared)
    records = list(found.records)
    settings, steps = REAL, len(records)
    if what == "shared":
        records, settings, steps = _pairs_of_one_prompt(records), SHARED, 1
    config = RewardModelConfig.from_json(settings)
    dimensions = reward_shapes.dimensions()
    return Job(records, found.videos, folder / "backbone", dimensions, config, steps)


def _pairs_of_one_prompt(records: list[PreferenceRecord]) -> list[PreferenceRecord]:
    clips = [video for each in records for video in (each.video_a, each.video_b) if video]
    chosen = list(combinations(clips, 2))[:PAIRS_OF_A_PROMPT]
    return [
        replace(records[0], pair_id=f"p{number:02}", video_a=a, video_b=b)
        for number, (a, b) in enumerate(chosen)
    ]


# Ours: the trainer and the scorer of the product.


def our_trainer(job: Job, folder: Path, **config: Any) -> Trainer:
    run = RunDir(folder)
    snapshot = folder / "snapshot"
    sha256 = write_snapshot(snapshot, job.dimensions, job.records, {})
    inputs = {"snapshot": Input(str(snapshot), sha256), "backbone": Input(str(job.backbone))}
    settings = replace(job.config, **config)
    run.prepare(settings.to_json(), inputs, media_root=job.media)
    world = World(torch.device("cpu"))
    supervised = Supervised(run)
    return Trainer(supervised, gather(supervised, settings, world), world)


def train_ours(job: Job, folder: Path, **config: Any) -> tuple[Callable[[], None], int]:
    trainer = our_trainer(job, folder, **config)
    _watch_reading(trainer, job)

    def one_round() -> None:
        for _ in range(job.steps):
            trainer.learn()

    return one_round, job.steps * job.config.pairs_per_step


def _watch_reading(trainer: Trainer, job: Job) -> None:
    """Sum the time until frames are there, whether from the cache or decoded."""
    read = trainer.clips.read

    def timed(row: Row) -> Any:
        started = time.perf_counter()
        clip = read(row)
        spent = time.perf_counter() - started
        job.extra["reading"] = job.extra.get("reading", 0.0) + spent
        return clip

    trainer.clips.read = timed  # type: ignore[method-assign]


def score_ours(job: Job, folder: Path, clips: int) -> tuple[Callable[[], None], int]:
    """Batches of clips that are decoded for the first time in each round."""
    trainer = our_trainer(job, folder, cache_megabytes=0)
    rows = _rows(job.records)[:clips]
    card = cast(ModelCard, SimpleNamespace(frame_rule=job.rule))  # nothing else of it is asked
    network = trainer.network.eval()
    keys = job.dimensions.keys
    model = RewardModel([Member("bench", network, trainer.collator, card, keys)])
    prompts, videos = [row.prompt for row in rows], [job.media / row.video.path for row in rows]

    def one_round() -> None:
        model.score(prompts, videos, raw=True)

    return one_round, len(rows)


def _rows(records: list[PreferenceRecord]) -> list[Row]:
    sides: list[tuple[VideoRef | None, str]] = [
        (video, each.prompt) for each in records for video in (each.video_a, each.video_b)
    ]
    return list(dict.fromkeys(Row(video, prompt) for video, prompt in sides if video))


# The plain loop.


def _plain_model(job: Job) -> tuple[PlainRewardModel, Callable[[str], str]]:
    template = RatingTemplate.of(job.dimensions, job.config.template)
    words = [f"<|{key}_reward|>" for key in template.keys]
    model = PlainRewardModel(job.backbone, words, language=job.config.language)
    front = opening_of(model.tokenizer) + "<|vision_start|><|video_pad|><|vision_end|>"
    return model, lambda prompt: front + template.text(prompt)


def train_plain(job: Job) -> tuple[Callable[[], None], int]:
    model, text = _plain_model(job)
    trainer = PlainTrainer(model, job.rule, text)
    keys = job.dimensions.keys
    pairs = [
        (
            job.media / each.video_a.path,
            job.media / (each.video_b or each.video_a).path,
            each.prompt,
            [SIGN.get(each.labels.get(key), 0) for key in keys],  # type: ignore[arg-type]
        )
        for each in job.records
    ]
    size = job.config.pairs_per_step
    # As the released script does: pairs of large clips one by one, their gradients summed.
    parts = size if size == PAIRS_OF_A_PROMPT else 1
    position = 0

    def one_round() -> None:
        nonlocal position
        for _ in range(job.steps):
            chosen = [pairs[(position + n) % len(pairs)] for n in range(size)]
            position += size
            trainer.step(chosen, parts=parts)

    return one_round, job.steps * size


def score_plain(job: Job, clips: int) -> tuple[Callable[[], None], int]:
    model, text = _plain_model(job)
    model.eval()
    trainer = PlainTrainer(model, job.rule, text)
    rows = _rows(job.records)[:clips]

    def one_round() -> None:
        for row in rows:
            trainer.score(job.media / row.video.path, row.prompt)

    return one_round, len(rows)


def program(name: str, what: str, job: Job, folder: Path) -> tuple[Callable[[], None], int]:
    clips = CLIPS_SCORED.get(what)
    if name == "plain":
        return train_plain(job) if clips is None else score_plain(job, clips)
    if clips is not None:
        return score_ours(job, folder, clips)
    return train_ours(job, folder, gradient_checkpointing=name == "ours_checkpointed")


def main() -> None:
    name, what, folder, shared, rounds = sys.argv[1:]
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    job = job_of(what, Path(folder), Path(shared))
    one_round, size = program(name, what, job, Path(folder) / f"{name}-{what}-{time.time_ns()}")
    one_round()  # the first epoch: it fills caches, and the optimiser makes its state
    job.extra.clear()
    seconds, processor = [], []
    for _ in range(int(rounds)):
        started, used = time.perf_counter(), time.process_time()
        one_round()
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = {"seconds": seconds, "processor": processor, "of": size, "megabytes": memory}
    print(json.dumps({**said, **job.extra}), flush=True)


if __name__ == "__main__":
    main()
