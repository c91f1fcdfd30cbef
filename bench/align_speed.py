"""How fast a generator is aligned by Flow-DPO, beside the public script and a cached version of it.

    python -m bench.align_speed [--pairs RUN_DIR] [--rounds 3] [--steps N] [--json FILE]

Every program is a child process, all on the same two cores, by turns; each round has a seed of its
own, and the order turns from round to round. Steps per second are those of the loop: from the end
of encoding (of those who encode beforehand) to the last step, so the reference that ours computes
once is in it. The seconds of the whole training, with the base loaded and all caches made, stand
beside. Afterwards the adapters make clips for held-out prompts, and `demo.truth` says how often
each beats the base: the faster program must not have learned less. `bench.align_peer` is what ours
is compared with.

RUN_DIR is the pairing run of a loop of the demo; without it, one is made (an hour).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import align_gpu
from bench.align_figures import bootstrap, points
from bench.align_runs import Sampler, Side, changes
from bench.align_worlds import ROOT, AlignWorld, made
from bench.reward_runs import CORES, PRESETS, machine, pin_cores, scratch
from formats.checkpoints import commit_folder
from formats.files import write_json
from formats.run_dir import RunDir
from models_align.adapters import CARD, networks_of
from models_align.generators.families import load_generator

# Fixed draws per pair of our run with a cached reference. With one the adapter wins less often.
DRAWS: Final = 2
# Four times as long as in the demo at a quarter of its rate: what is computed once must pay off
# within a run, and real ones are longer still.
STEPS: Final = 160
SLOWER: Final = 4
FIRST_CLIP: Final = 9000
WEIGHTS: Final = "pytorch_lora_weights.safetensors"
SEED: Final = 30  # of a world that is made here

# Ours: as it is set for speed; as it is by default; then the peers.
OURS: Final[dict[str, dict[str, Any]]] = {
    "ours": {"reference": "cached", "noise_draws": DRAWS},
    "ours_each_step": {},
}
PEERS: Final = ("public", "cached")
PROGRAMS: Final = (*OURS, *PEERS)
RATIOS: Final = tuple((mine, peer) for mine in OURS for peer in PEERS)


@dataclass(frozen=True, slots=True)
class Work:
    """What all programs do: the same pairs, base and settings."""

    world: AlignWorld
    config: Mapping[str, Any]
    folder: Path

    def run(self, program: str, round_: int) -> dict[str, Any]:
        """Train by one program; its times, and where its adapter lies."""
        folder = self.folder / f"{program}-{round_}"
        config = {**self.config, "seed": round_}
        adapter = folder / "outputs" / "adapter"
        if program in OURS:
            run = RunDir(folder)
            run.prepare(
                {**config, **OURS[program]}, self.world.inputs(), media_root=self.world.media
            )
            words = ["bench.align_programs", str(folder)]
        else:
            folder.mkdir(parents=True)
            file = folder / "config.json"
            file.write_text(json.dumps(config))
            places = [self.world.generator, self.world.pairs, self.world.media, file, adapter]
            words = ["bench.align_peer", program, *map(str, places)]
        return {**child(words), "adapter": str(adapter)}


def child(words: Sequence[str]) -> dict[str, Any]:
    """The line of JSON that a program ends with, and the load of the machine when it began."""
    load = os.getloadavg()[0]
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(CORES), "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**said, "load": load}


def timed(work: Work, rounds: int) -> list[dict[str, dict[str, Any]]]:
    found = []
    for number in range(rounds):
        turn = number % len(PROGRAMS)
        order = [*PROGRAMS[turn:], *PROGRAMS[:turn]]
        found.append({program: work.run(program, number) for program in order})
        for program in PROGRAMS:
            each = found[-1][program]
            print(
                f"round {number}, {program}: {each['seconds']:.1f} s, of a step "
                f"{statistics.median(each['steps']):.3f} s, load {each['load']:.1f}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return found


def speeds(found: Sequence[Mapping[str, Mapping[str, Any]]], steps: int) -> dict[str, Any]:
    """Medians over the rounds; ratios are made round by round."""
    programs = {
        name: {
            "steps_per_second": statistics.median(steps / turn[name]["loop"] for turn in found),
            "step_seconds": statistics.median(
                statistics.median(turn[name]["steps"]) for turn in found
            ),
            "seconds": statistics.median(turn[name]["seconds"] for turn in found),
            "processor": statistics.median(turn[name]["processor"] for turn in found),
            "load": statistics.median(turn[name]["load"] for turn in found),
        }
        for name in PROGRAMS
    }
    ratios = {
        f"{mine} {peer}": {
            key: statistics.median(turn[peer][key] / turn[mine][key] for turn in found)
            for key in ("loop", "seconds", "processor")
        }
        for mine, peer in RATIOS
    }
    return {"programs": programs, "ratios": ratios}


def judged(work: Work, found: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """True win rates against the base, all rounds together, and ours minus each peer's, paired."""
    settings = json.loads((PRESETS / "generation.demo.json").read_text())
    gaps: dict[str, list[np.ndarray]] = {name: [] for name in PROGRAMS}
    prompts: list[str] = []
    for number, turn in enumerate(found):
        config = {**settings, "seed": FIRST_CLIP + 100 * number}
        sampler = Sampler(work.world, work.world.prompts("test"), config)
        base = sampler.side(work.folder / f"base-{number}", judged=False)
        for name in PROGRAMS:
            side = _side(sampler, work.folder / f"clips-{name}-{number}", turn[name])
            shared, change = changes(base, side)
            gaps[name].append(points(change["all"]))
        prompts += shared
    rates = {name: np.concatenate(each) for name, each in gaps.items()}
    return {
        "clips": len(prompts),
        "prompts": len(set(prompts)),
        "wins": {name: bootstrap(prompts, rate) for name, rate in rates.items()},
        "differences": {
            f"{mine} {peer}": bootstrap(prompts, rates[mine] - rates[peer]) for mine, peer in RATIOS
        },
    }


def _side(sampler: Sampler, folder: Path, trained: Mapping[str, Any]) -> Side:
    adapter = Path(trained["adapter"])
    if not (adapter / "manifest.json").exists():
        adapter = _committed(adapter, sampler.world, folder / "adapter")
    return sampler.side(folder, judged=False, adapter=adapter)


def _committed(plain: Path, world: AlignWorld, target: Path) -> Path:
    """The adapter of a peer with the card and the hashes that our sampler asks for."""
    if not target.exists():
        networks = networks_of(load_generator(world.generator))

        def fill(folder: Path) -> None:
            shutil.copy(plain / WEIGHTS, folder / WEIGHTS)
            write_json(folder / "card.json", CARD, {"networks": networks})

        commit_folder(target, fill)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=Path, help="the run directory of a pairing run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--keep", type=Path, help="leave world and runs here")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    given = parser.parse_args()
    cores = pin_cores()
    config = json.loads((PRESETS / "alignment_flow_dpo.demo.json").read_text())
    steps = given.steps
    config |= {"steps": steps, "lr": config["lr"] / SLOWER, "threads": CORES}
    config |= {"save_every": steps, "log_every": 1}
    with scratch(given.keep) as folder:
        world = AlignWorld.of(given.pairs) if given.pairs else made(folder / "world", SEED)
        work = Work(world, config, folder / "speed")
        found = timed(work, given.rounds)
        result = {
            "machine": machine(cores),
            "rounds": given.rounds,
            "steps": steps,
            "config": config,
            "draws": DRAWS,
            **speeds(found, steps),
            **judged(work, found),
            "gpu": align_gpu.measured(),
        }
    text = json.dumps(result, indent=1, sort_keys=True)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
