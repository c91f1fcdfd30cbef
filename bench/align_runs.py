"""Training, sampling and judging of alignments, by the bodies of the product's own commands.

A training leaves an adapter at each asked step: that of the run's own checkpoint of that step.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bench.align_figures import points, share_of_scale
from bench.align_worlds import AlignWorld
from bench.reward_runs import PRESETS
from demo.measure import measure_generations
from demo.recipes import DIMENSIONS
from formats.checkpoints import newest_verified
from formats.outcome import Outcome
from formats.records import GenerationRecord, PromptRecord, ScoreRecord
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised
from models_align import state
from models_align.adapters import add_adapter, commit_adapter, trainable_parameters
from models_align.config import AlignmentConfig
from models_align.generators.families import load_generator
from models_align.latent_reward.running import FOLDER, train_latent_reward
from models_align.sampling import sample
from models_align.training import train
from models_rm.scores.run import score

Key = tuple[str, int]  # prompt text, seed of the clip
Scores = dict[Key, dict[str, float]]

NEVER: Final = 10**6  # steps between the checkpoints that a run writes by itself
SCORING: Final[dict[str, Any]] = {"batch_size": 32, "threads": 1}


def clear(folder: Path) -> RunDir:
    """A run directory with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    return RunDir(folder)


class _Keeping(Supervised):
    """Writes a checkpoint at each wanted step, and a copy of it that is not cleaned away."""

    def __init__(self, run_dir: RunDir, wanted: Iterable[int], kept: Path):
        super().__init__(run_dir)
        self.wanted, self.kept, self.step = set(wanted), kept, 0

    def check(self, save: Callable[[], None] | None = None) -> None:
        if save is None:
            return
        if self.step in self.wanted:
            save()
            found = newest_verified(self.dir.checkpoints, report=print)
            assert found is not None
            assert found.step == self.step
            shutil.copytree(found.path, self.kept / str(self.step) / found.path.name)
        self.step += 1


@dataclass(frozen=True, slots=True)
class Aligned:
    """One training: the adapter at each asked step, and what was logged at every step."""

    adapters: dict[int, Path]
    logs: list[dict[str, float]]

    def near(self, step: int, name: str, width: int = 8) -> float:
        """The mean of a reading over the steps that end with this one: one step is noise."""
        return float(np.mean([row[name] for row in self.logs[max(0, step - width) : step]]))


def aligned(
    folder: Path, world: AlignWorld, config: Mapping[str, Any], steps: Sequence[int]
) -> Aligned:
    """Train to the last of `steps`; a folder in which that was done is read."""
    whole = {**config, "steps": max(steps), "save_every": NEVER, "log_every": 1}
    run = RunDir(folder / "run")
    if run.outcome() is None:
        shutil.rmtree(folder, ignore_errors=True)
        run.prepare(whole, world.inputs(), media_root=world.media)
        run.finish(train(_Keeping(run, [each for each in steps if each < max(steps)], folder)))
    adapters = {max(steps): run.outputs / "adapter"}
    for step in steps:
        if step < max(steps):
            adapters[step] = _adapter_at(folder, step, world, whole)
    lines, _ = run.metrics_from(0)
    return Aligned(adapters, [dict(each.values) for each in lines if each.stage == "training"])


def _adapter_at(folder: Path, step: int, world: AlignWorld, config: dict[str, Any]) -> Path:
    """The adapter of a checkpoint, committed as the run itself commits its last one."""
    target = folder / f"adapter-{step}"
    if not target.exists():
        asked = AlignmentConfig.from_json({**config, "steps": step})
        generator = load_generator(str(world.generator))
        lora = add_adapter(generator, asked)
        (checkpoint,) = (folder / str(step)).iterdir()
        saved = state.read(checkpoint).tensors
        with torch.no_grad():
            for name, parameter in trainable_parameters(generator).items():
                parameter.copy_(saved[f"weights.{name}"])
        card = {
            "method": asked.method, "name": asked.name, "steps": step,
            "config": asked.to_json(), "base": generator.source,
        }  # fmt: skip
        commit_adapter(target, generator, lora, card)
    return target


def latent_reward_of(folder: Path, world: AlignWorld, seed: int) -> Path:
    """A latent reward model trained on the world's votes, which Flow-NRG follows."""
    run = RunDir(folder)
    if run.outcome() is None:
        config = json.loads((PRESETS / "latent_reward.demo.json").read_text())
        inputs = {"snapshot": world.snapshot, "generator": world.generator}
        clear(folder).prepare(
            {**config, "seed": seed},
            {name: Input(str(path)) for name, path in inputs.items()},
            media_root=world.media,
        )
        run.finish(train_latent_reward(Supervised(run)))
    return run.outputs / FOLDER


@dataclass(frozen=True, slots=True)
class Side:
    """Clips of a base or of a candidate: where they lie, their truth, the training judge's word."""

    clips: Path
    truth: Scores
    judge: Scores


@dataclass(frozen=True, slots=True)
class Sampler:
    """What every side of a comparison is asked for: prompts, seeds, settings."""

    world: AlignWorld
    prompts: Sequence[PromptRecord]
    config: Mapping[str, Any] = field(default_factory=dict)

    def side(self, folder: Path, *, judged: bool = True, **asked: Any) -> Side:
        """`asked`: `adapter`, `latent_reward_model` as paths; `settings` over the config."""
        clips = self._clips(folder, asked)
        inputs = {"generations": Input(str(clips))}
        truth = self._scores(folder / "truth", {}, inputs, measure_generations)
        judge: Scores = {}
        if judged:
            inputs |= {
                "reward_model": Input(str(self.world.reward_model)),
                "backbone": Input(str(self.world.backbone)),
            }
            judge = _by_key(clips, self._scores(folder / "judge", SCORING, inputs, score))
        return Side(clips, _by_key(clips, truth), judge)

    def _clips(self, folder: Path, asked: dict[str, Any]) -> Path:
        run = RunDir(folder / "clips")
        if run.outcome() is None:
            clear(run.root)
            prompts = folder / "prompts.jsonl"
            PromptRecord.write(prompts, list(self.prompts))
            given = {"prompts": prompts, "generator": self.world.generator, **asked}
            settings = given.pop("settings", {})
            inputs = {name: Input(str(path)) for name, path in given.items()}
            run.prepare({**self.config, **settings}, inputs, media_root=self.world.media)
            run.finish(sample(Supervised(run)))
        return run.outputs / "generations" / "generations.jsonl"

    def _scores(
        self,
        folder: Path,
        config: Mapping[str, Any],
        inputs: dict[str, Input],
        body: Callable[[Supervised], Outcome],
    ) -> list[ScoreRecord]:
        run = RunDir(folder)
        if run.outcome() is None:
            clear(folder).prepare(dict(config), inputs, media_root=self.world.media)
            run.finish(body(Supervised(run)))
        return ScoreRecord.read(run.outputs / "scores.jsonl")


def _by_key(clips: Path, scores: Iterable[ScoreRecord]) -> Scores:
    found = {each.video_id: each.score for each in scores if not each.error}
    rows = GenerationRecord.read(clips)
    return {
        (each.prompt, each.video.seed or 0): found[each.video.id]
        for each in rows
        if each.video.id in found
    }


def changes(base: Side, candidate: Side) -> tuple[list[str], dict[str, np.ndarray]]:
    """Prompts and, per dimension and `all`, candidate minus base of the truth, clip by clip."""
    shared = sorted(base.truth.keys() & candidate.truth.keys())
    rows = [(share_of_scale(candidate.truth[at]), share_of_scale(base.truth[at])) for at in shared]
    names = (*DIMENSIONS, "all")
    return [prompt for prompt, _ in shared], {
        key: np.array([new[key] - old[key] for new, old in rows]) for key in names
    }


def judge_wins(base: Side, candidate: Side) -> float:
    """How often the training judge's mean reward says that the candidate is better."""
    shared = sorted(base.judge.keys() & candidate.judge.keys())
    gaps = [sum(candidate.judge[at].values()) - sum(base.judge[at].values()) for at in shared]
    return float(points(np.array(gaps)).mean())
