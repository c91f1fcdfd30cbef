"""How long the scoring of a whole suite takes: 946 prompts x 5 existing clips, two cores.

    python -m bench.suite_scoring [--shared DIR] [--rounds 3] [--json FILE] [--folder DIR]

First a run of kind `scoring` as the site starts it (`python -I -m models_rm score RUN_DIR`, start
and all) over 4,730 clips of the demo world with the tiny reward model, pinned to two cores. Then
the six real clips of data/videoalign, each several times: scored, against decoding alone – our
reader, which skips frames that nobody wants, and a plain loop of PyAV that decodes all of them –
in turns in one process on the same two cores. The fastest turn of each counts, as in timeit: what
else the machine does only adds. `--shared` holds data/videoalign; without it the
prompts are those of the demo, and the second part is left out and said to be.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import av

from bench import reward_shapes
from bench.reward_data import World, make
from bench.reward_speed import machine
from demo.clip_files import write_clip
from demo.drawing import render
from demo.render import Planned, RenderConfig, planned
from demo.world import FPS, FRAMES
from formats.files import sha256_of
from formats.records import GenerationRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.snapshot import read_snapshot

ROOT: Final = Path(__file__).parents[1]
PROMPTS, CLIPS = 946, 5
CORES: Final = 2
COPIES: Final = 4  # of each real clip
TURNS: Final = 6
STEPS: Final = 6  # of training: what it learns changes no time
_TRAINING: Final = {
    "template": "brief", "fps": 8.0, "min_pixels": 3136, "max_pixels": 3136, "language": "full",
    "vision": "full", "embed_backbone": True, "threads": 2, "steps": STEPS, "pairs_per_step": 16,
    "bootstrap": 10,
}  # fmt: skip


# What is scored.


def texts(shared: Path | None) -> list[str]:
    """The prompts of VBench as VideoAlign ships them; else demo captions with a number."""
    if shared is not None:
        with (shared / "data" / "videoalign" / "vbench.csv").open(newline="") as lines:
            return [row["prompt"] for row in csv.DictReader(lines)]
    captions = [clips[0].prompt for clips in planned(RenderConfig(prompts=288, clips_per_prompt=2))]
    return [f"{captions[n % len(captions)]}, number {n}" for n in range(PROMPTS)]


def _drawn(job: tuple[Path, Planned]) -> str:
    path = job[0] / job[1].file
    write_clip(path, render(job[1].recipe), FPS)
    return sha256_of(path)


def prepare(folder: Path, prompts: list[str]) -> Path:
    """Draw the clips and train the tiny reward model; a folder that is whole is taken as it is."""
    if not (folder / "generations" / "generations.jsonl").exists():
        _draw(folder / "generations", prompts)
    run = RunDir(folder / "training")
    if run.outcome() is None:
        _train(folder, prompts, run)
    return run.outputs / "reward_model"


def _draw(folder: Path, prompts: list[str]) -> None:
    (folder / "clips").mkdir(parents=True)
    config = RenderConfig(prompts=288, clips_per_prompt=-(-PROMPTS * CLIPS // 288))
    clips = [each for some in planned(config) for each in some][: PROMPTS * CLIPS]
    with ProcessPoolExecutor(CORES) as pool:
        hashes = list(pool.map(_drawn, [(folder, each) for each in clips], chunksize=64))
    records = [
        GenerationRecord(
            f"suite/{n // CLIPS}", prompts[n // CLIPS], "test",
            VideoRef(f"v{n}", clip.file, sha256, FPS, FRAMES, clip.generator, n % CLIPS),
        )
        for n, (clip, sha256) in enumerate(zip(clips, hashes, strict=True))
    ]  # fmt: skip
    GenerationRecord.write(folder / "generations.jsonl", records)


def _train(folder: Path, prompts: list[str], run: RunDir) -> None:
    world = World(seed=0, prompts=12, groups=1, clips=4, pairs=4, held_out_pairs=6)
    (folder / "world").mkdir(exist_ok=True)
    made = make(folder / "world", world)
    known = {each.prompt for each in read_snapshot(Path(made.snapshot.path)).records}
    backbone = folder / "backbone"
    reward_shapes.make_small_backbone(backbone, sorted({*known, *prompts}))
    inputs = {"snapshot": made.snapshot, "backbone": Input(str(backbone))}
    run.prepare(_TRAINING, inputs, media_root=made.media)
    child(["-I", "-m", "models_rm", "train", str(run.root)], cores=False)


def child(words: list[str], *, cores: bool = True) -> float:
    """Seconds of a Python process, from its start to its end."""
    env = {
        **os.environ, "OMP_NUM_THREADS": str(CORES), "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    pinned = ["taskset", "-c", ",".join(map(str, chosen_cores()))] if cores else []
    started = time.perf_counter()
    done = subprocess.run(
        [*pinned, sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


def chosen_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))[:CORES]


# The whole suite, as a run.


def whole_suite(folder: Path, model: Path, number: int) -> dict[str, float]:
    run = RunDir(folder / f"scoring-{number}-{time.time_ns()}")
    clips = folder / "generations" / "generations.jsonl"
    inputs = {
        "reward_model": Input(str(model), sha256_of(model / "manifest.json")),
        "generations": Input(str(clips), sha256_of(clips)),
    }
    run.prepare({"threads": CORES}, inputs)
    load, before = os.getloadavg()[0], _processor()
    seconds = child(["-I", "-m", "models_rm", "score", str(run.root)])
    outcome = run.outcome()
    assert outcome is not None
    if outcome.summary["scored"] != PROMPTS * CLIPS:
        raise SystemExit(f"scored {outcome.summary['scored']} of {PROMPTS * CLIPS} clips")
    return {"seconds": seconds, "processor": _processor() - before, "load": load}


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# Real clips against decoding alone: this file again, as a child that says one line.


def real_clips(shared: Path, model: Path, rounds: int) -> dict[str, Any]:
    words = ["-m", "bench.suite_scoring", "--real", str(shared), str(model), str(rounds)]
    env = {**os.environ, "OMP_NUM_THREADS": str(CORES), "OMP_WAIT_POLICY": "PASSIVE"}
    pinned = ["taskset", "-c", ",".join(map(str, chosen_cores()))]
    done = subprocess.run(
        [*pinned, sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"the real clips failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said


def measure_real(shared: Path, model_path: Path, rounds: int) -> dict[str, Any]:
    """Seconds of each way, in turns; the first turn fills the disk's cache and does not count."""
    import torch

    from models_rm.clips.video import read_clip
    from models_rm.scoring import RewardModel

    torch.set_num_threads(CORES)
    model = RewardModel.load(model_path)
    rule = model.frame_rules[0]
    files = sorted((shared / "data" / "videoalign" / "videos").glob("*.mp4")) * COPIES
    prompts = ["The camera follows a young explorer through an abandoned urban building."]
    ways: dict[str, Callable[[], object]] = {
        "scored": lambda: model.score(prompts * len(files), files),
        "our_reader": lambda: _in_threads(lambda file: read_clip(file, rule), files),
        "every_frame": lambda: _in_threads(_every_frame, files),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started, used = time.perf_counter(), time.process_time()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - used)
    load = os.getloadavg()[0]
    return {"clips": len(files), "seconds": seconds, "processor": processor, "load": load}


def _in_threads(work: Callable[[Path], object], files: list[Path]) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, files))


def _every_frame(file: Path) -> int:
    """Decoding alone: every frame, none converted or made small."""
    with av.open(str(file)) as container:
        return sum(1 for _ in container.decode(video=0))


# All of it.


def summed_up(rounds: list[dict[str, float]], real: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prompts": PROMPTS,
        "clips": PROMPTS * CLIPS,
        "cores": CORES,
        "suite": {
            key: statistics.median(each[key] for each in rounds)
            for key in ("seconds", "processor", "load")
        },
        "suite_seconds": [each["seconds"] for each in rounds],
        "real": None,
    }
    if real is not None:
        fastest = {name: min(each) for name, each in real["seconds"].items()}
        against = {kind: _against(real[kind]) for kind in ("seconds", "processor")}
        found["real"] = {**real, "seconds": fastest, "turns": real["seconds"], "against": against}
    return found


def _against(turns: dict[str, list[float]]) -> dict[str, float]:
    """How many times more scoring takes than decoding alone, each at its fastest."""
    return {name: min(turns["scored"]) / min(turns[name]) for name in ("our_reader", "every_frame")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = os.environ.get("TIEBREAK_SHARED")
    parser.add_argument("--shared", type=Path, default=Path(given) if given else None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="kept, so that a second call draws nothing")
    parser.add_argument("--real", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.real:
        shared, model, rounds = args.real
        print(json.dumps(measure_real(Path(shared), Path(model), int(rounds))))
        return
    with tempfile.TemporaryDirectory(prefix="tiebreak-bench-") as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        model = prepare(folder, texts(args.shared))
        rounds = [whole_suite(folder, model, n) for n in range(args.rounds)]
        real = real_clips(args.shared, model, TURNS) if args.shared else None
    found = {**summed_up(rounds, real), "machine": machine(), "of_vbench": bool(args.shared),
             "at": datetime.now(UTC).date().isoformat()}  # fmt: skip
    text = json.dumps(found, indent=2)
    if args.json:
        args.json.write_text(f"{text}\n")
    print(text)


if __name__ == "__main__":
    main()
