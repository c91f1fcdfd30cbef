"""A loss or a gradient that is not finite stops before the optimiser does, in every process, and
spoils no checkpoint (A4)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import checkpoints, verify_folder
from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.training import trainer
from models_rm.training.run import train
from tests.models_rm.training.broken_training import spoil
from tests.promises import Figures, counts

Make = Callable[..., RunDir]
BROKEN = Path(__file__).with_name("broken_training.py")
STEPS = {"steps": 7, "save_every": 1, "eval_every": 7, "probe_pairs": 0, "bootstrap": 5}


def assert_stopped_in_health(run: RunDir, step: int) -> None:
    outcome = run.outcome()
    assert outcome is not None
    assert (outcome.exit_code, outcome.reason) == (ExitCode.NON_FINITE, "non_finite")
    assert f"step {step}" in outcome.message
    kept = checkpoints(run.checkpoints)
    assert [each.step for each in kept][:1] == ([step - 1] if step > 1 else [])
    for each in kept:
        verify_folder(each.path)
        tensors = load_file(each.path / "state.safetensors")
        assert all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())


@pytest.mark.promise("A4")
@pytest.mark.parametrize("place", ["loss", "grad"])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_what_is_not_finite_stops_before_the_step_and_rotates_no_health_away(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, place: str, step: int
) -> None:
    run = make_run(**STEPS)
    stepped: list[int] = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self, *a: (stepped.append(1), real(self, *a))[1]
    )
    spoil(place, step, monkeypatch.setattr)
    assert supervise(train, run) == ExitCode.NON_FINITE
    assert len(stepped) == step - 1
    assert_stopped_in_health(run, step)


@pytest.mark.promise("A4")
@pytest.mark.faults
@pytest.mark.parametrize("place", counts(["loss"], ["loss", "grad"], ["loss", "grad"]))
def test_of_two_processes_one_that_is_not_finite_stops_both(
    make_run: Make, figures: Figures, place: str
) -> None:
    steps = counts((3,), (1, 3, 6), (1, 3, 6))
    for step in steps if place == "loss" else steps[:1]:
        run = make_run(f"run-{step}", **STEPS, processes=2)
        words = ["-I", "-m", "trainers.torchrun", "2", "-I", str(BROKEN), place, str(step), "1"]
        with run.log_file.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, *words, str(run.root)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            assert child.wait(120) == ExitCode.NON_FINITE, run.log_file.read_text()[-2000:]
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        assert_stopped_in_health(run, step)
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)
    figures("A4", place=place, steps=list(steps), stopped=len(steps))


@pytest.mark.mutant("A4")
def test_a_trainer_that_does_not_look_spoils_its_weights_and_its_checkpoints(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**STEPS)
    spoil("grad", 3, monkeypatch.setattr)
    monkeypatch.setattr(trainer.math, "isfinite", lambda _: True)
    monkeypatch.setattr(trainer, "refuse_not_finite", lambda *_: None)
    supervise(train, run)  # The examination at its end may see it: too late.
    assert checkpoints(run.checkpoints)[0].step > 3
    tensors = load_file(checkpoints(run.checkpoints)[0].path / "state.safetensors")
    assert not all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())
