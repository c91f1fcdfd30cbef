"""Must a latent reward model see noise in its training? Table 7 of VideoAlign on the demo world.

    python -m bench.latent_reward [--generator FOLDER] [--seeds 3] [--json FILE]

Per seed a world of its own (clips, people, held-out prompts) and two latent reward models with the
same settings, one trained on noised latents, one on clean ones. Each guides the sampling of the
demo's generator for held-out prompts, one dimension at a time; judged is the true quality, guided
against unguided on the same seeds. `predicted` asks the clean model about the clean latent that the
generator predicts from x_t, with the gradient through the generator.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bench.reward_data import Made, World, make
from bench.reward_runs import CACHE, PRESETS, base_facts, machine, pin_cores, scratch
from demo import pretrain_generator
from demo.recipes import DIMENSIONS
from demo.truth import measure
from formats.records import PromptRecord
from formats.run_dir import Input, RunDir
from formats.snapshot import read_snapshot
from formats.supervised import Supervised
from models_align.config import GenerationConfig, GuidanceSettings
from models_align.denoising import Task, TextStates, denoise
from models_align.flow import predicted_data
from models_align.generators.base import Generator
from models_align.generators.families import load_generator
from models_align.guidance import DifferentiableReward, Guide
from models_align.latent_reward.running import FOLDER, train_latent_reward
from models_align.latent_reward.scoring import LatentRewardModel
from models_rm.metrics import clustered_interval

FIRST_SEED: Final = 7100
GUIDED: Final = ("MQ", "VQ")  # TA is near its best without guidance: the base was trained on it
WEIGHTS: Final = (1.0, 3.0)
MAX_FACTOR: Final = 5.0
CLIPS_PER_PROMPT: Final = 2
SAMPLING: Final = GenerationConfig(
    steps=20, guidance_scale=2.0, height=64, width=64, num_frames=9, fps=8, batch=46
)
PAPER: Final = {"noised": 0.746, "clean": 0.386}  # MQ on TA-Hard, judged by their reward model

Truth = np.ndarray  # float64 [tasks, D]


def small_world(seed: int) -> World:
    return World(seed, groups=2, clips=6, pairs=9, held_out_pairs=15)


@dataclass(frozen=True, slots=True)
class PredictedClean:
    """A model of clean latents, asked about the x_0 that the generator predicts from x_t."""

    model: LatentRewardModel
    generator: Generator

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.model.dimensions

    def reward(
        self, x_t: torch.Tensor, t: torch.Tensor, text_embedding: torch.Tensor
    ) -> torch.Tensor:
        velocity = self.generator.velocity(x_t, t, text_embedding)
        x_0 = predicted_data(x_t, velocity, t)
        return self.model.reward(x_0, torch.zeros_like(t), text_embedding)


def base_generator(given: Path | None) -> Path:
    """The folder that was given, or the demo's generator, pretrained once into the cache."""
    if given is not None:
        return given.resolve()
    run = RunDir(CACHE.resolve() / "generator")
    ended = run.outcome()
    if ended is None or ended.exit_code != 0:
        run.prepare(json.loads((PRESETS / "pretrain_generator.demo.json").read_text()), {})
        run.finish(pretrain_generator.pretrain(Supervised(run)))
    return run.root / "outputs" / "base"


def trained(folder: Path, made: Made, base: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """One run of kind `latent_reward`; its summary."""
    run = RunDir(folder)
    inputs = {"snapshot": made.snapshot, "generator": Input(str(base))}
    run.prepare(dict(config), inputs, media_root=made.media)
    began = time.monotonic()
    summary = train_latent_reward(Supervised(run)).summary
    return {**summary, "seconds": time.monotonic() - began}


def held_out(made: Made) -> list[Task]:
    records = read_snapshot(Path(made.snapshot.path)).records
    prompts = sorted({each.prompt for each in records if each.split == "test"})
    return [
        Task(PromptRecord(each, each), seed) for each in prompts for seed in range(CLIPS_PER_PROMPT)
    ]


def qualities(generator: Generator, tasks: list[Task], guide: Guide | None) -> Truth:
    """What the samples are worth, measured from their pixels."""
    text = TextStates(generator, "")
    rows = []
    for start in range(0, len(tasks), SAMPLING.batch):
        part = tasks[start : start + SAMPLING.batch]
        for task, frames in zip(part, denoise(generator, text, part, SAMPLING, guide), strict=True):
            found = measure(frames.numpy(), task.prompt.text)
            rows.append([found[key] for key in DIMENSIONS])
    return np.array(rows)


def guides(models: Mapping[str, DifferentiableReward]) -> Iterator[tuple[dict[str, Any], Guide]]:
    for key in GUIDED:
        for weight in WEIGHTS:
            settings = GuidanceSettings(weight, {key: 1.0}, MAX_FACTOR)
            for name, model in models.items():
                row = {"model": name, "guided": key, "weight": weight}
                yield row, Guide.of(model, settings)


def one_seed(folder: Path, seed: int, base: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    made = make(folder / "world", small_world(seed))
    summaries = {
        name: trained(folder / name, made, base, {**config, "seed": seed, "noise": noise})
        for name, noise in (("noised", "shared"), ("clean", "none"))
    }
    for name, each in summaries.items():
        print(f"seed {seed}, {name}: {each['seconds']:.0f} s, kept step {each['steps']}")
    generator = load_generator(base)
    noised, clean = (
        LatentRewardModel.load(folder / name / "outputs" / FOLDER) for name in ("noised", "clean")
    )
    models: dict[str, DifferentiableReward] = {
        "noised": noised,
        "clean": clean,
        "predicted": PredictedClean(clean, generator),
    }
    tasks = held_out(made)
    plain = qualities(generator, tasks, None)
    rows = []
    for row, guide in guides(models):
        gap = qualities(generator, tasks, guide) - plain
        rows.append({**row, "gap": gap})
        print(f"seed {seed}: {_shown(row, _win_rates(gap))}", flush=True)
    return {
        "seed": seed,
        "ceilings": made.ceilings,
        "summaries": summaries,
        "unguided": plain.mean(0).tolist(),
        "prompts": [f"{seed} {task.prompt.text}" for task in tasks],
        "rows": rows,
    }


def _win_rates(gap: Truth) -> dict[str, float]:
    right = (gap > 0) + 0.5 * (gap == 0)
    return dict(zip(DIMENSIONS, right.mean(0).tolist(), strict=True))


def _shown(row: Mapping[str, Any], rates: Mapping[str, float]) -> str:
    found = ", ".join(f"{key} {rate:.3f}" for key, rate in rates.items())
    return f"{row['model']:9} guides {row['guided']} with weight {row['weight']:g}: wins {found}"


def _resampled(_human: Any, gap: Any, weights: Any) -> Any:
    return weights @ ((gap > 0) + 0.5 * (gap == 0)) / weights.sum(axis=1)


def pooled(seeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over all seeds: win rates with prompt-bootstrap intervals, and the mean change of truth."""
    prompts = [prompt for each in seeds for prompt in each["prompts"]]
    found = []
    for number, row in enumerate(seeds[0]["rows"]):
        gap = np.concatenate([each["rows"][number]["gap"] for each in seeds])
        rates = _win_rates(gap)
        dimensions = {}
        for d, key in enumerate(DIMENSIONS):
            interval = clustered_interval(
                np.ones(len(gap)), gap[:, d], prompts, statistic=_resampled, resamples=2000
            )
            assert interval is not None
            dimensions[key] = {
                "win_rate": rates[key],
                "low": interval.low,
                "high": interval.high,
                "mean_change": float(gap[:, d].mean()),
            }
        names = ("model", "guided", "weight")
        found.append({name: row[name] for name in names} | {"dimensions": dimensions})
        print(f"all seeds: {_shown(row, rates)}")
    return found


def accuracies(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy without ties over t on test prompts, the mean over the seeds."""
    found: dict[str, Any] = {}
    for name in ("noised", "clean"):
        curves = [each["summaries"][name]["curve"]["test"] for each in seeds]
        found[name] = {
            key: [
                {
                    "t": row["t"],
                    "accuracy": float(
                        np.mean([each[key][n]["accuracy_without_ties"] for each in curves])
                    ),
                }
                for n, row in enumerate(curves[0][key])
            ]
            for key in DIMENSIONS
        }
    return found


def figures(
    seeds: list[dict[str, Any]], base: Path, config: Mapping[str, Any], cores: list[int]
) -> dict[str, Any]:
    return {
        "machine": machine(cores),
        "base": base_facts(base),
        "config": dict(config),
        "sampling": SAMPLING.to_json(),
        "max_factor": MAX_FACTOR,
        "paper": PAPER,
        "seeds": [each["seed"] for each in seeds],
        "clips": sum(len(each["prompts"]) for each in seeds),
        "prompts": len({prompt for each in seeds for prompt in each["prompts"]}),
        "unguided": {
            key: float(np.mean([each["unguided"][d] for each in seeds]))
            for d, key in enumerate(DIMENSIONS)
        },
        "ceilings": {
            key: float(np.mean([each["ceilings"][key] for each in seeds])) for key in DIMENSIONS
        },
        "training_seconds": {
            name: float(np.mean([each["summaries"][name]["seconds"] for each in seeds]))
            for name in ("noised", "clean")
        },
        "accuracy": accuracies(seeds),
        "rows": pooled(seeds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generator", type=Path, help="a pretrained tiny one; else one is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--steps", type=int, help="of the training; the preset's if not given")
    parser.add_argument("--keep", type=Path, help="leave worlds and runs in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    cores = pin_cores()
    config = json.loads((PRESETS / "latent_reward.demo.json").read_text())
    if given.steps:
        config["steps"] = given.steps
    base = base_generator(given.generator)
    with scratch(given.keep) as folder:
        chosen = range(given.first_seed, given.first_seed + given.seeds)
        seeds = [one_seed(folder / str(seed), seed, base, config) for seed in chosen]
    found = figures(seeds, base, config, cores)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
