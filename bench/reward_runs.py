"""What the benchmarks of reward models on the demo world share: base, runs, times, intervals."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scipy.stats import t as student

from bench.reward_data import Made
from formats.files import sha256_of
from formats.run_dir import Input, RunDir

PRESETS: Final = Path(__file__).parent.parent / "demo" / "presets"
CACHE: Final = Path("build/bench")  # the base, made once
CORES: Final = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What one training run left. `seconds` ends with its last step, the examination is beyond."""

    folder: Path
    summary: dict[str, Any]
    seconds: float
    whole_seconds: float

    @property
    def model(self) -> Path:
        return self.folder / "outputs" / "reward_model"


def pin_cores() -> list[int]:
    """Keep this process and its children on two cores; those of `taskset`, where it chose two."""
    chosen = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, chosen)
    return chosen


@contextmanager
def scratch(kept: Path | None) -> Iterator[Path]:
    """Where worlds and runs lie: a folder to keep, or one that goes afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="tiebreak-bench-") as folder:
        yield Path(folder)


def arguments_of_seeds(description: str, first_seed: int) -> argparse.ArgumentParser:
    """What every benchmark over seeds can be asked."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--backbone", type=Path, help="a pretrained tiny base; else one is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=first_seed)
    parser.add_argument("--keep", type=Path, help="leave worlds and runs in this folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    return parser


def over_seeds(
    given: argparse.Namespace,
    one_seed: Callable[[Path, int, Path], dict[str, Any]],
    figures: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> dict[str, Any]:
    """`one_seed(folder, seed, base)` for each seed; the figures of all, written after each."""
    rows: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    with scratch(given.keep) as folder:
        base = backbone(given.backbone)
        facts = base_facts(base)
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            rows.append(one_seed(folder / str(seed), seed, base))
            found = {"base": facts, **figures(rows)}
            if given.json:  # an hour of work is not lost with the last seed
                given.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


def backbone(given: Path | None) -> Path:
    """The base that was given, or that of the demo, pretrained once into the cache."""
    if given is not None:
        return given.resolve()
    run = RunDir(CACHE.resolve() / "base")
    ended = run.outcome()
    if ended is None or ended.exit_code != 0:
        config = json.loads((PRESETS / "pretrain_vlm.demo.json").read_text())
        run.prepare(config, {})
        _call("-m", "demo", "pretrain", str(run.root))
    return run.root / "outputs" / "vlm"


def base_facts(folder: Path) -> dict[str, Any]:
    """Which base it was: the hash of its manifest and, where it says so, its parameters."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return {"sha256": "", "parameters": None}
    meta = json.loads(manifest.read_text())["meta"]
    return {"sha256": sha256_of(manifest), "parameters": meta.get("parameters")}


def train(folder: Path, config: Mapping[str, Any], made: Made, base: Path) -> Trained:
    """`python -m models_rm train` on a made world, as the supervisor would start it."""
    run = RunDir(folder)
    run.prepare(
        dict(config),
        {"snapshot": made.snapshot, "backbone": Input(str(base))},
        media_root=made.media,
    )
    processes = config.get("processes", 1)
    together = [] if processes == 1 else ["-m", "trainers.torchrun", str(processes)]
    began = time.time()
    _call(*together, "-m", "models_rm", "train", str(folder))
    whole = time.time() - began
    outcome = run.outcome()
    if outcome is None or outcome.exit_code != 0:
        said = outcome.message if outcome else "it left no outcome"
        raise SystemExit(f"the training in {folder} failed: {said}")
    lines, _ = run.metrics_from(0)
    last = max(line.step for line in lines)
    ended = min(line.time for line in lines if line.step == last and "loss" in line.values)
    return Trained(folder, dict(outcome.summary), ended - began, whole)


def _call(*words: str) -> None:
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    ended = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True
    )
    if ended.returncode != 0:
        raise SystemExit(f"python {' '.join(words)} failed:\n{ended.stderr[-2000:]}")


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and its 95 % interval by Student's t: few seeds, so a wide one."""
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return {"mean": mean, "low": mean, "high": mean}
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(student.ppf(0.975, count - 1)) * (variance / count) ** 0.5
    return {"mean": mean, "low": mean - half, "high": mean + half}


def machine(cores: Sequence[int]) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": len(cores),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
