"""What each part of VideoReward's recipe is worth, on the demo world.

    python -m bench.reward_ablation [--backbone FOLDER] [--seeds 3] [--json FILE]

Four models per seed on the same pairs, in the same order, for the same number of steps: regression
on 1-5 scores, Bradley-Terry, Bradley-Terry with ties (all three read one reward token behind the
prompt), and Bradley-Terry with ties with a token per dimension (VideoAlign, arXiv 2501.13918,
table 6). Each seed is a world of its own. `python -m bench.reward_plot` draws the figure.
"""

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.reward_data import Made, World, make
from bench.reward_runs import (
    PRESETS,
    arguments_of_seeds,
    interval,
    machine,
    over_seeds,
    pin_cores,
    train,
)
from demo.recipes import DIMENSIONS
from formats.snapshot import read_snapshot
from models_rm.scoring import RewardModel

FIRST_SEED: Final = 9200
ONE: Final = "brief_one_token"
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "regression": {"loss": "regression", "template": ONE},
    "bt": {"loss": "bt", "template": ONE},
    "btt": {"loss": "btt", "template": ONE},
    "btt_separate": {"loss": "btt", "template": "brief"},
}
# Overall accuracy on VideoGen-RewardBench with and without ties, in percent.
PAPER: Final = {
    "regression": (58.39, 70.16),
    "bt": (61.22, 72.58),
    "btt": (61.50, 73.39),
    "btt_separate": (61.26, 73.59),
}
MEASURES: Final = ("accuracy_with_ties", "accuracy_with_ties_fitted", "accuracy_without_ties")
BLIND: Final = ("VQ", "MQ")  # their tokens stand before the prompt
CLIPS_ASKED_AGAIN: Final = 128
WORLD: Final = World(0, groups=2)
# Beside the demo's preset. People's consensus for all: regression knows no posterior.
SETTINGS: Final[dict[str, Any]] = {
    "labels": "consensus",
    "epochs": 2.0,  # as the paper's
    "pairs_per_step": 64,
    "log_every": 20,
    "eval_every": 100_000,
    "save_every": 100_000,
    "bootstrap": 0,
}


def config(variant: str, seed: int, processes: int) -> dict[str, Any]:
    preset = json.loads((PRESETS / "reward_model.demo.json").read_text())
    return {
        **preset,
        **SETTINGS,
        **VARIANTS[variant],
        "seed": seed,
        "processes": processes,
        "threads": 1,
    }


def one_seed(folder: Path, seed: int, base: Path, processes: int) -> dict[str, Any]:
    """Accuracies of the four variants, and how far VQ and MQ move under another prompt."""
    made = make(folder / "world", replace(WORLD, seed=seed), processes=processes)
    row: dict[str, Any] = {"seed": seed, "ceilings": made.ceilings, "variants": {}}
    for variant in VARIANTS:
        found = train(folder / variant, config(variant, seed, processes), made, base)
        test = found.summary["evaluation"]["test"]
        row["variants"][variant] = {
            "steps": found.summary["steps"],
            "seconds": round(found.seconds, 1),
            "dimensions": {
                key: {name: test[key][name] for name in ("pairs", "decisive", *MEASURES)}
                for key in DIMENSIONS
            },
            "moved_by_another_prompt": moved_by_another_prompt(found.model, made),
        }
        print(f"seed {seed}: {variant} after {found.seconds:.0f} s", flush=True)
    return row


def moved_by_another_prompt(model: Path, made: Made) -> dict[str, float]:
    """The largest change of a raw reward, per dimension, when test clips trade their prompts."""
    records = [r for r in read_snapshot(Path(made.snapshot.path)).records if r.split == "test"]
    # One clip of each of several prompts, so that a shift by one is another prompt for each.
    clips = {record.prompt: record.video_a.path for record in records}
    prompts = list(clips)[:CLIPS_ASKED_AGAIN]
    videos = [made.media / clips[prompt] for prompt in prompts]
    judge = RewardModel.load(model)
    others = [*prompts[1:], prompts[0]]
    first, second = (
        judge.score(texts, videos, raw=True, batch_size=len(videos)) for texts in (prompts, others)
    )
    return {key: float(np.abs(np.subtract(first[key], second[key])).max()) for key in DIMENSIONS}


def figures(rows: list[dict[str, Any]], processes: int, cores: list[int]) -> dict[str, Any]:
    return {
        "machine": machine(cores),
        "world": {key: value for key, value in asdict(WORLD).items() if key != "seed"},
        "config": {**config("btt_separate", 0, processes), "seed": None},
        "seeds": rows,
        "variants": {
            variant: {
                "paper": dict(zip(("with_ties", "without_ties"), PAPER[variant], strict=True)),
                **{name: _summary(rows, variant, name) for name in MEASURES},
                "against_separate": {name: _difference(rows, variant, name) for name in MEASURES},
            }
            for variant in VARIANTS
        },
        "moved_by_another_prompt": {
            variant: {key: _most_moved(rows, variant, key) for key in DIMENSIONS}
            for variant in VARIANTS
        },
    }


def _summary(rows: list[dict[str, Any]], variant: str, name: str) -> dict[str, Any]:
    """Per dimension and for their mean: mean and interval over the seeds."""
    found = {key: interval([_value(row, variant, key, name) for row in rows]) for key in DIMENSIONS}
    return {**found, "mean": interval([_mean(row, variant, name) for row in rows])}


def _difference(rows: list[dict[str, Any]], variant: str, name: str) -> dict[str, float]:
    """The mean over dimensions against the fourth variant; pairs of one seed share their world."""
    return interval([_mean(row, variant, name) - _mean(row, "btt_separate", name) for row in rows])


def _value(row: dict[str, Any], variant: str, key: str, name: str) -> float:
    return float(row["variants"][variant]["dimensions"][key][name])


def _mean(row: dict[str, Any], variant: str, name: str) -> float:
    return sum(_value(row, variant, key, name) for key in DIMENSIONS) / len(DIMENSIONS)


def _most_moved(rows: list[dict[str, Any]], variant: str, key: str) -> float:
    moved = [row["variants"][variant]["moved_by_another_prompt"][key] for row in rows]
    return float(max(moved))


def main() -> None:
    parser = arguments_of_seeds(__doc__ or "", FIRST_SEED)
    parser.add_argument("--epochs", type=float, default=SETTINGS["epochs"])
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    SETTINGS["epochs"] = given.epochs
    cores = pin_cores()
    found = over_seeds(
        given,
        partial(one_seed, processes=given.processes),
        lambda rows: figures(rows, given.processes, cores),
    )
    _print(found)


def _print(found: dict[str, Any]) -> None:
    print(f"{'':14} {'with ties':>22} {'without ties':>22}")
    for variant, row in found["variants"].items():
        cells = [_cell(row[name]["mean"]) for name in (MEASURES[0], MEASURES[2])]
        print(f"{variant:14} {cells[0]:>22} {cells[1]:>22}")


def _cell(value: dict[str, float]) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


if __name__ == "__main__":
    main()
