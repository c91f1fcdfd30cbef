"""What alignment does to the true quality of held-out clips: every method on the demo world.

    python -m bench.align_world --pairs RUN_DIR... [--json FILE]    worlds that loops have made
    python -m bench.align_world [--seeds 3] [--json FILE]           worlds made here, hours

A world is one loop of the demo (`bench.align_worlds`): its votes, its reward model, its pairs. Each
method trains on it by the product's own commands and makes clips for prompts that no vote and no
pair has seen, on the same seeds as the base. Judged is `demo.truth`, which no training and no
choice has seen: settings were chosen with --split validation, on other prompts and other seeds.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench.align_figures import figures
from bench.align_relabelled import relabelled
from bench.align_runs import (
    Aligned,
    Sampler,
    Side,
    aligned,
    changes,
    judge_wins,
    latent_reward_of,
)
from bench.align_worlds import AlignWorld, made
from bench.reward_runs import CORES, PRESETS, base_facts, machine, pin_cores, scratch

FIRST_SEED: Final = 20  # of worlds that are made here
FIRST_CLIP: Final = {"test": 5000, "validation": 700}
STEPS: Final = (2, 4, 6, 8, 10, 12, 16, 40, 80, 160)
CLIPS: Final = 4  # per prompt in the table, half of it on the curves
# Followed all the way: what happens behind the step at which a careful person would stop?
FOLLOWED: Final = ("flow_dpo", "schedule", "gapo", "safe_dpo")
RELABELLED: Final = {"sft": 1, "rwr": 1}
GUIDANCE: Final[dict[str, Any]] = {"weight": 3.0, "max_factor": 5.0}


@dataclass(frozen=True, slots=True)
class Method:
    """`steps` is where its row in the table is taken.

    `relabelled`: trained on that many pairs a prompt of the campaign's clips, and not on one of the
    generator's own (`bench.align_relabelled`).
    """

    config: Mapping[str, Any]
    steps: int
    relabelled: int = 0


def methods() -> dict[str, Method]:
    """The demo's presets, and the schedule with all else as in Flow-DPO."""
    found = {}
    for name in ("flow_dpo", "gapo", "safe_dpo", "sft", "rwr"):
        config = json.loads((PRESETS / f"alignment_{name}.demo.json").read_text())
        found[name] = Method(config, config["steps"], RELABELLED.get(name, 0))
    constant = found["flow_dpo"]
    settings = {**constant.config["settings"], "beta_schedule": "squared"}
    found["schedule"] = Method({**constant.config, "settings": settings}, constant.steps)
    return found


def sampling() -> dict[str, Any]:
    values: dict[str, Any] = json.loads((PRESETS / "generation.demo.json").read_text())
    return values


@dataclass(frozen=True, slots=True)
class Seed:
    """One world while it is measured."""

    folder: Path
    world: AlignWorld
    number: int
    split: str

    def measured(self) -> dict[str, Any]:
        rows, curves = {}, {}
        for name, method in methods().items():
            found = self._trained(name, method)
            rows[name] = self._row(name, found, method.steps)
            if name in FOLLOWED:
                curves[name] = [self._point(name, found, step) for step in STEPS]
        rows["nrg"] = self._guided()
        return {"rows": rows, "curves": curves}

    def _trained(self, name: str, method: Method) -> Aligned:
        steps = sorted({*STEPS, method.steps}) if name in FOLLOWED else [method.steps]
        count = method.relabelled
        world = relabelled(self.world, self.folder, count) if count else self.world
        config = {**method.config, "seed": self.number}
        return aligned(self.folder / name, world, config, steps)

    def _sampler(self, clips: int) -> Sampler:
        first = FIRST_CLIP[self.split] + 1000 * self.number
        config = {**sampling(), "clips_per_prompt": clips, "seed": first}
        return Sampler(self.world, self.world.prompts(self.split), config)

    def _base(self, clips: int) -> Side:
        return self._sampler(clips).side(self.folder / f"base-{clips}-{self.split}")

    def _row(self, name: str, found: Aligned, steps: int) -> dict[str, Any]:
        folder = self.folder / name / f"{self.split}-{steps}-{CLIPS}"
        side = self._sampler(CLIPS).side(folder, adapter=found.adapters[steps])
        row = self._compared(self._base(CLIPS), side)
        return {**row, "steps": steps, "winner_drift": found.near(steps, "winner_drift")}

    def _point(self, name: str, found: Aligned, step: int) -> dict[str, Any]:
        clips = CLIPS // 2
        folder = self.folder / name / f"{self.split}-{step}-{clips}"
        side = self._sampler(clips).side(folder, adapter=found.adapters[step])
        row = self._compared(self._base(clips), side)
        drifts = {key: found.near(step, key) for key in ("winner_drift", "loser_drift")}
        return {**row, "step": step, **drifts}

    def _guided(self) -> dict[str, Any]:
        model = latent_reward_of(self.folder / "latent_reward", self.world, self.number)
        settings = {"reward_guidance": GUIDANCE}
        folder = self.folder / f"nrg-{self.split}"
        side = self._sampler(CLIPS).side(folder, latent_reward_model=model, settings=settings)
        return self._compared(self._base(CLIPS), side)

    def _compared(self, base: Side, side: Side) -> dict[str, Any]:
        prompts, gaps = changes(base, side)
        return {
            "prompts": prompts,
            "gaps": {key: each.tolist() for key, each in gaps.items()},
            "judge": judge_wins(base, side),
        }


def measured(seed: Seed) -> dict[str, Any]:
    """In a process of its own. What was done before is read: a long benchmark may be cut off."""
    found = seed.measured()
    print(f"world {seed.number}: measured", flush=True)
    return found


def worlds(given: argparse.Namespace, folder: Path) -> list[AlignWorld]:
    if given.pairs:
        return [AlignWorld.of(each) for each in given.pairs]
    first = given.first_seed
    return [made(folder / f"world-{n}", n) for n in range(first, first + given.seeds)]


def over_worlds(found: Sequence[AlignWorld], folder: Path, split: str) -> list[dict[str, Any]]:
    seeds = [Seed(folder / str(n), world, n, split) for n, world in enumerate(found)]
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        return list(pool.map(measured, seeds))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, nargs="+", help="run directories of pairing runs")
    parser.add_argument("--seeds", type=int, default=3, help="worlds to make, without --pairs")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--split", choices=sorted(FIRST_CLIP), default="test")
    parser.add_argument("--keep", type=Path, help="leave worlds and runs here, and go on from them")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    cores = pin_cores()
    with scratch(given.keep) as folder:
        found = worlds(given, folder)
        seeds = over_worlds(found, folder, given.split)
        result = {
            "machine": machine(cores),
            "base": base_facts(found[0].generator),
            "split": given.split,
            "guidance": GUIDANCE,
            **figures(seeds, methods()),
        }
    for line in lines_of(result):
        print(line)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


def lines_of(result: Mapping[str, Any]) -> list[str]:
    found = []
    for name, row in result["rows"].items():
        wins = row["wins"]["all"]
        parts = ", ".join(f"{key} {each['mean']:+.3f}" for key, each in row["changes"].items())
        found.append(
            f"{name:9} wins {wins['mean']:.3f} [{wins['low']:.3f}, {wins['high']:.3f}]: {parts}"
        )
    race = result["race"]
    return [*found, f"GAPO's steps over Flow-DPO's: {race['ratio']}, of {race['steps']}"]


if __name__ == "__main__":
    main()
