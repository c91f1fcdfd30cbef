"""40 steps, or 13, SIGKILL and 27 more: the same weights and losses to the bit (RELIABILITY A2)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.checkpoints import checkpoints
from formats.files import sha256_of
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.training.run import train
from tests.promises import Figures, counts

SCRIPT = Path(__file__).with_name("killed_training.py")
# Everything with a state of its own: shuffled pairs, dropout, LoRA, a schedule, a learned theta.
RICH: dict[str, Any] = {
    "language": "lora", "lora_r": 2, "lora_alpha": 2, "lora_dropout": 0.3, "learn_theta": True,
    "schedule": "cosine", "warmup": 0.2, "steps": 40, "save_every": 4, "eval_every": 5,
    "keep": "best", "log_every": 1, "probe_pairs": 0, "pairs_per_step": 2,
}  # fmt: skip
STEP = 13


def trained(run: RunDir, *, processes: int, until: int = 0) -> int:
    together = [] if processes == 1 else ["-I", "-m", "trainers.torchrun", str(processes)]
    words = [sys.executable, *together, str(SCRIPT), str(until), str(run.root)]
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with run.log_file.open("ab") as log:
        return subprocess.run(
            words, env=environment, stdout=log, stderr=subprocess.STDOUT, timeout=280
        ).returncode


def curve(run: RunDir) -> dict[tuple[int, str], float]:
    """Losses of every step: another order of the pairs would give others."""
    lines, _ = run.metrics_from(0)
    return {(line.step, name): value for line in lines for name, value in line.values.items()}


def weights(run: RunDir) -> str:
    return sha256_of(run.outputs / "reward_model" / "weights.safetensors")


def compare(whole: RunDir, broken: RunDir, *, processes: int) -> None:
    code = trained(broken, processes=processes, until=STEP)
    assert code in (-signal.SIGKILL, 1), broken.log_file.read_text()[-3000:]
    assert checkpoints(broken.checkpoints)[0].step == 12
    assert broken.outcome() is None or processes > 1  # torchrun's others may say that one is gone
    broken.outcome_file.unlink(missing_ok=True)
    if processes == 1:
        assert supervise(train, whole) == supervise(train, broken) == 0
    else:
        for run in (whole, broken):
            assert trained(run, processes=processes) == 0, run.log_file.read_text()[-3000:]
    assert curve(broken) == curve(whole)
    assert weights(broken) == weights(whole)
    newest = [checkpoints(run.checkpoints)[0].path / "state.safetensors" for run in (whole, broken)]
    assert sha256_of(newest[0]) == sha256_of(newest[1])


@pytest.mark.faults
@pytest.mark.promise("A2")
@pytest.mark.timeout(counts(300, 300, 1800))
@pytest.mark.parametrize("processes", counts([1], [1, 2], [1, 2]))
def test_a_run_goes_on_bit_for_bit(
    make_run: Callable[..., RunDir], figures: Figures, processes: int
) -> None:
    seeds = counts(1, 2 if processes == 1 else 1, 5)
    for seed in range(seeds):
        rich = {**RICH, "seed": seed, "processes": processes}
        whole, broken = (make_run(f"{name}-{seed}", **rich) for name in ("a", "b"))
        compare(whole, broken, processes=processes)
    figures("A2", processes=processes, seeds=seeds, identical=seeds, steps=40, killed_at=STEP)


@pytest.mark.mutant("A2")
def test_another_order_of_the_pairs_would_be_seen(make_run: Callable[..., RunDir]) -> None:
    short = {**RICH, "steps": 3, "save_every": 3, "eval_every": 3}
    one, other = make_run("one", **short), make_run("other", **short, seed=1)
    assert supervise(train, one) == supervise(train, other) == 0
    assert curve(one) != curve(other)
    assert weights(one) != weights(other)
