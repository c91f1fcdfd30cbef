"""Several processes train as one does: the same loss, the same weights, one end for all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import checkpoints
from formats.outcome import ExitCode
from formats.run_dir import Input, RunDir
from formats.supervised import supervise
from models_rm.training.run import train
from trainers.torchrun import cause
from trainers.world import World

Make = Callable[..., RunDir]

# Three steps of four pairs; entries of one dimension are missing on some pairs.
SMALL: dict[str, Any] = {"steps": 3, "save_every": 3, "eval_every": 3, "probe_pairs": 2}


def torchrun(run: RunDir, processes: int = 2) -> subprocess.Popen[bytes]:
    words = ["-I", "-m", "trainers.torchrun", str(processes), "-I", "-m", "models_rm", "train"]
    with run.log_file.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *words, str(run.root)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ended(run: RunDir, child: subprocess.Popen[bytes]) -> int:
    try:
        return child.wait(90)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        print(run.log_file.read_text()[-5000:])


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    file = run.outputs / "reward_model" / "weights.safetensors"
    found: dict[str, torch.Tensor] = load_file(file)
    return found


def losses(run: RunDir) -> dict[int, float]:
    lines, _ = run.metrics_from(0)
    return {line.step: line.values["loss"] for line in lines if "loss" in line.values}


def test_two_processes_with_a_sharded_model_equal_one(make_run: Make) -> None:
    learned = {"learn_theta": True, "uncertainty": True}
    settings = {**SMALL, **learned, "keep": "best", "accumulation": 2}
    one = make_run("one", **settings)
    assert supervise(train, one) == 0
    two = make_run("two", **settings, processes=2, sharding="fsdp")
    assert ended(two, torchrun(two)) == 0
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    a, b = weights(one), weights(two)
    assert a.keys() == b.keys()
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 2e-4
    # Two there were: a state of each one's random generator.
    newest = checkpoints(two.checkpoints)[0].path
    assert "rng.cpu.1" in load_file(newest / "state.safetensors")
    first, second = (run.outcome() for run in (one, two))
    assert first is not None
    assert second is not None
    assert second.message == first.message
    assert second.summary["pairs"] == first.summary["pairs"]


@pytest.mark.faults
def test_two_processes_stop_together_and_one_goes_on(make_run: Make) -> None:
    settings = {**SMALL, "steps": 25, "save_every": 1, "eval_every": 25}
    whole, shared = make_run("whole", **settings), make_run("shared", **settings, processes=2)
    assert supervise(train, whole) == 0
    child = torchrun(shared)
    deadline = time.monotonic() + 60
    while not checkpoints(shared.checkpoints) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.terminate()  # torchrun tells its processes, as the supervisor's signal does
    assert ended(shared, child) == ExitCode.RUN_ME_AGAIN
    assert shared.outcome() is None
    assert 0 < checkpoints(shared.checkpoints)[0].step < 25
    assert "rng.cpu.1" in load_file(checkpoints(shared.checkpoints)[0].path / "state.safetensors")
    # Another number of processes sees the same pairs, so it may take over.
    shared.prepare(
        {**shared.config(), "processes": 1}, inputs_of(shared), media_root=shared.media_root()
    )
    assert supervise(train, shared) == 0
    assert losses(shared) == pytest.approx(losses(whole), rel=1e-3)


def inputs_of(run: RunDir) -> dict[str, Input]:
    return {role: Input(str(run.input(role))) for role in ("snapshot", "backbone")}


@pytest.mark.parametrize(
    ("codes", "explained"),
    [
        ([64, 1, -15], 64),  # one refused the config; the others lost it
        ([1, -9], -9),  # one was killed; the other one's connection broke
        ([75, -9], -9),
        ([75, 75], 75),
        ([1, 75], 1),
        ([-15, 1], 1),
        ([-15], 1),
    ],
)
def test_the_exit_code_is_that_of_the_process_that_failed_first(
    codes: list[int], explained: int
) -> None:
    assert cause(codes) == explained


def test_rows_are_shared_out_evenly_and_come_back_in_order() -> None:
    cpu = torch.device("cpu")
    for count in (0, 1, 5, 6):
        shares = [World(cpu, rank, 3).my_rows(count) for rank in range(3)]
        assert len({len(share) for share in shares}) == 1
        assert set(np.concatenate(shares)) == set(range(count))


def test_a_number_of_processes_that_was_not_started_is_refused(make_run: Make) -> None:
    run = make_run(processes=2)
    assert supervise(train, run) == ExitCode.BAD_CONFIG
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.message.startswith("the config wants 2 processes, but 1 was started; use ")
