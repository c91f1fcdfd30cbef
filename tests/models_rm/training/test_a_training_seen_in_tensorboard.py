"""What an operator sees of a training beside its metrics.jsonl."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from formats.run_dir import RunDir


def test_a_real_training_is_seen_in_tensorboard_and_says_what_memory_it_took(
    make_run: Callable[..., RunDir],
) -> None:
    run = make_run(steps=3)
    code = subprocess.run(
        [sys.executable, "-I", "-m", "models_rm", "train", str(run.root)], timeout=120
    ).returncode
    assert code == 0
    lines, _ = run.metrics_from(0)
    logged = {line.step: line.values["loss"] for line in lines if "loss" in line.values}
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    assert {each.step: each.value for each in events.Scalars("loss")} == pytest.approx(logged)
    told = [line.memory["memory_mb"] for line in lines if line.memory]
    assert told == sorted(told)
    assert 150 < told[-1] < 4000
    # A figure of the run, not of the training: a resumed one logs the same values.
    assert not any("memory_mb" in line.values for line in lines)
