"""Beside metrics.jsonl: event files that TensorBoard opens, and the memory that was needed."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from formats.memory import Peaks, resident_peak
from formats.outcome import Outcome
from formats.run_dir import RunDir
from formats.supervised import Supervised, supervise
from trainers.observing import observe


def _opened(run_dir: RunDir) -> EventAccumulator:
    """As TensorBoard reads a run."""
    found = EventAccumulator(str(run_dir.tensorboard))
    found.Reload()
    return found


def _curve(run_dir: RunDir, name: str) -> dict[int, float]:
    return {each.step: each.value for each in _opened(run_dir).Scalars(name)}


def _logging(steps: range) -> Callable[[Supervised], Outcome]:
    def body(run: Supervised) -> Outcome:
        for step in steps:
            run.dir.log_metrics(step, 10, {"loss": 1 / step, "nothing": math.nan}, stage="training")
        return Outcome(0)

    return body


def test_tensorboard_shows_what_was_logged(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    assert supervise(_logging(range(1, 6)), run_dir, observe) == 0
    assert _curve(run_dir, "loss") == pytest.approx({n: 1 / n for n in range(1, 6)})
    lines, _ = run_dir.metrics_from(0)
    times = [each.wall_time for each in _opened(run_dir).Scalars("loss")]
    assert times == pytest.approx([line.time for line in lines], abs=1e-3)
    assert "nothing" not in _opened(run_dir).Tags()["scalars"]


def test_a_resumed_attempt_takes_the_place_of_the_lost_tail(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    supervise(_logging(range(1, 8)), run_dir, observe)
    # The newest checkpoint was that of step 4.
    again = RunDir(tmp_path)
    supervise(_logging(range(5, 10)), again, observe)
    assert len(list(run_dir.tensorboard.iterdir())) == 2
    assert list(_curve(run_dir, "loss")) == list(range(1, 10))


def test_the_peak_is_that_of_this_process_and_not_of_the_one_that_started_it() -> None:
    ballast = torch.ones(50_000_000)  # 200 MB in this process
    code = "from formats.memory import resident_peak; print(resident_peak())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mine = resident_peak()
    assert mine is not None
    assert mine > ballast.nbytes / 1e6
    assert float(said.stdout) < 100


def test_a_peak_is_told_when_it_has_grown() -> None:
    peaks, now = Peaks(), [100.0]
    peaks.sources = {"memory_mb": lambda: now[0], "gpu_memory_mb": lambda: None}
    assert peaks.news() == {"memory_mb": 100.0}
    now[0] = 101.0
    assert peaks.news() == {}
    now[0] = 110.0
    assert peaks.news() == {"memory_mb": 110.0}


def test_a_broken_writer_leaves_an_outcome(tmp_path: Path) -> None:
    def broken(_: RunDir) -> None:
        raise ImportError("no module named tensorboardX")

    run_dir = RunDir(tmp_path)
    assert supervise(_logging(range(1, 2)), run_dir, broken) == 1
    outcome = run_dir.outcome()
    assert outcome is not None
    assert "tensorboardX" in outcome.message


@pytest.mark.gpu
def test_the_memory_of_the_gpu_is_told(tmp_path: Path) -> None:
    def body(run: Supervised) -> Outcome:
        kept = torch.ones(25_000_000, device="cuda")
        run.dir.log_metrics(1, 1, {"sum": float(kept.sum())})
        return Outcome(0)

    run_dir = RunDir(tmp_path)
    assert supervise(body, run_dir, observe) == 0
    lines, _ = run_dir.metrics_from(0)
    assert 100 <= lines[0].memory["gpu_memory_mb"] < 200
