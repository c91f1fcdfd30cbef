"""How fast reward models train and score, against a plain loop and the released code.

    python -m bench.reward_speed --shared DIR [--rounds 3] [--json FILE] [--folder DIR]
        [--peer-venv DIR --peer-code DIR]

Every program is a child process on two threads, one after the other, in turns; the medians of the
rounds count, and the load of the machine at each start stands in the file. `--shared` holds
data/videoalign with the six real clips. The peer needs a venv with torch 2.3.1, transformers
4.45.2, trl 0.8.6, peft 0.10.0 and a checkout of github.com/KwaiVGI/VideoAlign; without them its
figure is the one that was measured once (23.6 s), and the table says so. With a GPU, the model FLOP
utilisation of the 2B config with random weights is measured as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch

from bench import reward_gpu, reward_shapes
from bench.reward_data import World, make
from bench.reward_programs import THREADS
from formats.snapshot import read_snapshot

ROOT: Final = Path(__file__).parents[1]
WORK: Final = {
    "train": ("ours", "ours_checkpointed", "plain"),
    "shared": ("ours",),
    "demo": ("ours", "plain"),
    "score": ("ours", "plain"),
    "score_demo": ("ours", "plain"),
}
EPOCHS: Final = {"train": 1, "shared": 1, "demo": 2, "score": 2, "score_demo": 2}
PEER_STEPS: Final = 2
COMPARED: Final = (
    ("train/ours", "train/plain"),
    ("train/ours_checkpointed", "train/plain"),
    ("train/ours", "train/peer"),
    # To the plain loop it is the same whether pairs share clips.
    ("shared/ours", "train/plain"),
    ("demo/ours", "demo/plain"),
    ("score/ours", "score/plain"),
    ("score_demo/ours", "score_demo/plain"),
)
GIVEN_PEER: Final = {"seconds": 23.6, "megabytes": 11.7 * 1024}


def child(command: list[str]) -> dict[str, Any]:
    """The line of JSON that a program ends with, and the load when it began."""
    load = os.getloadavg()[0]
    env = {
        **os.environ, "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**said, "load": load}


def one_turn(folder: Path, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    found = {}
    for what, names in WORK.items():
        for name in names:
            words = [name, what, str(folder), str(args.shared), str(EPOCHS[what])]
            found[f"{what}/{name}"] = child([sys.executable, "-m", "bench.reward_programs", *words])
            _tell(f"{what}/{name}", found[f"{what}/{name}"])
    if args.peer_venv:
        python = str(args.peer_venv / "bin" / "python")
        words = map(str, [args.peer_code, folder / "backbone", args.shared, PEER_STEPS])
        script = str(ROOT / "bench" / "reward_peer.py")
        found["train/peer"] = child([python, script, *words])
        _tell("train/peer", found["train/peer"])
    return found


def _tell(name: str, found: dict[str, Any]) -> None:
    each = statistics.median(found["seconds"]) / found["of"]
    print(f"{name}: {each:.3f} s each, {found['megabytes']:.0f} MB, load {found['load']:.1f}",
          file=sys.stderr, flush=True)  # fmt: skip


def summed_up(turns: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Medians over turns and rounds, per pair or clip; ratios are made turn by turn."""
    names = list(turns[0])
    medians = {name: _medians([turn[name] for turn in turns]) for name in names}
    ratios = {
        f"{ours} {other}": {
            kind: statistics.median(_ratio(turn, ours, other, kind) for turn in turns)
            for kind in ("seconds", "processor", "megabytes")
        }
        for ours, other in COMPARED
        if other in names
    }
    return {"each": medians, "ratios": ratios}


def _medians(found: list[dict[str, Any]]) -> dict[str, float]:
    per = {
        kind: statistics.median(value / each["of"] for each in found for value in each[kind])
        for kind in ("seconds", "processor")
    }
    result = {**per, "megabytes": statistics.median(each["megabytes"] for each in found)}
    result["load"] = statistics.median(each["load"] for each in found)
    if any("reading" in each for each in found):
        shares = [each["reading"] / sum(each["seconds"]) for each in found]
        result["reading_share"] = statistics.median(shares)
    return result


def _ratio(turn: dict[str, dict[str, Any]], ours: str, other: str, kind: str) -> float:
    """How many times more the other one takes."""
    return _medians([turn[other]])[kind] / _medians([turn[ours]])[kind]


def prepare(folder: Path, shared: Path) -> None:
    """The two backbones and a small part of the demo world."""
    if (folder / "tiny").exists():
        return
    reward_shapes.make_backbone(folder / "backbone", shared)
    (folder / "world").mkdir()
    made = make(folder / "world", World(seed=0, prompts=12, groups=2, clips=10, pairs=25))
    records = read_snapshot(Path(made.snapshot.path)).records
    reward_shapes.make_small_backbone(folder / "tiny", sorted({each.prompt for each in records}))


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else "unknown",
        "cores": os.cpu_count(),
        "threads": THREADS,
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=os.environ.get("TIEBREAK_SHARED"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="keep backbones and clips here")
    parser.add_argument("--peer-venv", type=Path)
    parser.add_argument("--peer-code", type=Path)
    args = parser.parse_args()
    if args.shared is None:
        parser.error("name the folder with data/videoalign in --shared or TIEBREAK_SHARED")
    if (args.peer_venv is None) != (args.peer_code is None):
        parser.error("--peer-venv and --peer-code go together")
    args.shared = args.shared.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, args.shared)
        turns = [one_turn(folder, args) for _ in range(args.rounds)]
        on_gpu = reward_gpu.measured(folder / "backbone")
    figures = {
        "machine": machine(),
        "rounds": args.rounds,
        **summed_up(turns),
        "given_peer": GIVEN_PEER,
        "gpu": on_gpu,
    }
    text = json.dumps(figures, indent=1, sort_keys=True)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
