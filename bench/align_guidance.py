"""Which weights are worth it? The paper's table of Flow-NRG on worlds whose truth is known.

    python -m bench.align_guidance --pairs RUN_DIR... [--json FILE]

Per world (a loop of the demo, named by its pairing run) a latent reward model is trained on its
votes, and one run of the product's grid samples every cell for held-out prompts: the paper's tables
of weights (arXiv 2501.13918) at two strengths, plain sampling, and per strength the control that is
pushed as hard by random weights. Judged is the truth, cell against plain on the same seeds.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.align_figures import bootstrap, points, share_of_scale
from bench.align_runs import clear, latent_reward_of
from bench.align_worlds import AlignWorld
from bench.reward_runs import PRESETS, base_facts, machine, pin_cores, scratch
from demo.measure import measure_generations
from demo.recipes import DIMENSIONS
from formats.records import GenerationRecord, PromptRecord, ScoreRecord
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised
from models_align.grid import sample_grid

WEIGHTS: Final = (
    {"TA": 1.0},
    {"VQ": 0.1, "MQ": 0.1, "TA": 0.8},
    {"VQ": 0.1, "MQ": 0.1, "TA": 0.6},
    {"VQ": 0.5, "MQ": 0.5},
)
# The same rows there: wins in VQ, MQ, TA on TA-Hard, by the reward model of the paper.
PAPER: Final = (
    (0.6056, 0.4648, 0.7042),
    (0.6650, 0.6373, 0.6086),
    (0.6894, 0.6759, 0.5328),
    (0.8643, 0.9323, 0.2665),
)
STRENGTHS: Final = (1.0, 3.0)
MAX_FACTOR: Final = 5.0
FIRST_CLIP: Final = 6000
NAMES: Final = (*DIMENSIONS, "all")

Gaps = dict[str, np.ndarray]  # by dimension: cell minus plain, clip by clip


def sampling() -> dict[str, Any]:
    values: dict[str, Any] = json.loads((PRESETS / "generation.demo.json").read_text())
    guidance = {"max_factor": MAX_FACTOR}
    return {**values, "clips_per_prompt": 1, "seed": FIRST_CLIP, "reward_guidance": guidance}


def grid() -> dict[str, Any]:
    return {"weights": WEIGHTS, "strengths": STRENGTHS, "generation": sampling()}


def one_world(folder: Path, world: AlignWorld, seed: int) -> tuple[list[str], dict[str, Any]]:
    """Prompts, and by cell the gaps of truth and motion against the plain cell."""
    model = latent_reward_of(folder / "latent", world, seed)
    cells, clips = _sampled(folder / "grid", world, model)
    truth = _truth(folder / "truth", clips)
    by_cell = {
        each["name"]: [r for r in clips[1] if r.video.generator == each["generator"]]
        for each in cells
    }
    plain = by_cell[cells[0]["name"]]
    prompts = [f"{seed} {each.prompt}" for each in plain]
    found = {name: _gaps(plain, rows, truth) for name, rows in by_cell.items()}
    return prompts, found


def _sampled(
    folder: Path, world: AlignWorld, model: Path
) -> tuple[list[dict[str, Any]], tuple[Path, list[GenerationRecord]]]:
    run = RunDir(folder / "run")
    if run.outcome() is None:
        clear(run.root)
        prompts = folder / "prompts.jsonl"
        PromptRecord.write(prompts, world.prompts("test"))
        given = {"prompts": prompts, "generator": world.generator, "latent_reward_model": model}
        inputs = {name: Input(str(path)) for name, path in given.items()}
        run.prepare(grid(), inputs, media_root=world.media)
        run.finish(sample_grid(Supervised(run)))
    outcome = run.outcome()
    assert outcome is not None
    (output,) = outcome.outputs
    file = run.root / output.path
    return output.meta["cells"], (file, GenerationRecord.read(file))


def _truth(folder: Path, clips: tuple[Path, Sequence[GenerationRecord]]) -> dict[str, Any]:
    run = RunDir(folder)
    if run.outcome() is None:
        clear(folder).prepare({}, {"generations": Input(str(clips[0]))})
        run.finish(measure_generations(Supervised(run)))
    rows = ScoreRecord.read(run.outputs / "scores.jsonl")
    return {row.video_id: share_of_scale(row.score) for row in rows}


def _gaps(
    plain: Sequence[GenerationRecord],
    rows: Sequence[GenerationRecord],
    truth: Mapping[str, Mapping[str, float]],
) -> Gaps:
    both = list(zip(plain, rows, strict=True))
    assert all(a.prompt == b.prompt and a.video.seed == b.video.seed for a, b in both)
    gaps = {
        key: np.array([truth[b.video.id][key] - truth[a.video.id][key] for a, b in both])
        for key in NAMES
    }
    motion = [b.measures["motion"] - a.measures["motion"] for a, b in both]
    return {**gaps, "motion": np.array(motion)}


def pooled(worlds: Sequence[tuple[list[str], Mapping[str, Gaps]]]) -> list[dict[str, Any]]:
    """Each cell over all worlds, with intervals over prompts."""
    prompts = [prompt for names, _ in worlds for prompt in names]
    rows = []
    for cell in worlds[0][1]:
        gaps = {
            key: np.concatenate([found[cell][key] for _, found in worlds])
            for key in (*NAMES, "motion")
        }
        rows.append(
            {
                "cell": cell,
                "wins": {key: bootstrap(prompts, points(gaps[key])) for key in NAMES},
                "changes": {key: bootstrap(prompts, gap) for key, gap in gaps.items()},
            }
        )
        told = ", ".join(f"{key} {row['mean']:.3f}" for key, row in rows[-1]["wins"].items())
        print(f"{cell}: wins {told}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="pairing runs")
    parser.add_argument("--keep", type=Path, help="leave the runs in this folder, and go on there")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    cores = pin_cores()
    with scratch(given.keep) as folder:
        places = [AlignWorld.of(each) for each in given.pairs]
        worlds = [
            one_world(folder / f"world-{number}", world, number)
            for number, world in enumerate(places)
        ]
        found = {
            "machine": machine(cores),
            "base": base_facts(places[0].generator),
            "worlds": len(worlds),
            "clips": sum(len(prompts) for prompts, _ in worlds),
            "prompts": len(world_prompts(worlds)),
            "config": json.loads(json.dumps(grid())),
            "paper": [list(row) for row in PAPER],
            "rows": pooled(worlds),
        }
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def world_prompts(worlds: Sequence[tuple[list[str], Any]]) -> set[str]:
    return {prompt.partition(" ")[2] for names, _ in worlds for prompt in names}


if __name__ == "__main__":
    main()
