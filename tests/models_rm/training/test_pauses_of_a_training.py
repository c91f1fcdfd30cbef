"""A reward model that was paused comes to the bits of one that was not (J8); memory that was
missing halves the parts of a step and nothing else (J13)."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import is_out_of_memory, supervise
from models_rm.training import state
from models_rm.training.run import read_config, train
from models_rm.training.trainer import Trainer
from tests.models_rm.training.test_exact_resume import RICH, curve, equal, weights
from tests.promises import Figures, counts

Make = Callable[..., RunDir]


def pause_behind(step: int, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a supervisor does it: the wish lies there when the trainer looks before its next step."""
    learn = Trainer.learn

    def until(trainer: Trainer) -> None:
        learn(trainer)
        if trainer.step == step:
            run.write_want("pause")
            trainer.run._next_look = 0.0

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "learn", until)
        assert supervise(train, run) == ExitCode.RUN_ME_AGAIN
    assert run.outcome() is None
    run.write_want("run")


@pytest.mark.promise("J8")
def test_a_training_that_is_paused_at_random_steps_comes_to_the_same_bits(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    chance, pauses = random.Random(8), 0
    whole = make_run("whole", **RICH)
    assert supervise(train, whole) == 0
    for number in range(counts(1, 3, 5)):
        run = make_run(f"paused-{number}", **RICH)
        for step in sorted(chance.sample(range(1, RICH["steps"]), 2)):
            pause_behind(step, run, monkeypatch)
            pauses += 1
        assert supervise(train, run) == 0
        assert equal(whole, run)
        assert curve(whole) == curve(run)
    figures("J8", trainer="reward model", pauses=pauses, bit_equal=pauses)


@pytest.mark.mutant("J8")
def test_a_pause_that_keeps_no_random_state_is_seen_in_the_weights(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = make_run("whole", **RICH), make_run("run", **RICH)
    assert supervise(train, whole) == 0
    pause_behind(3, run, monkeypatch)
    monkeypatch.setattr(state.Saved, "_restore_generators", lambda *_: None)
    assert supervise(train, run) == 0
    assert not equal(whole, run)


@pytest.mark.promise("J13")
def test_after_missing_memory_a_step_has_twice_the_parts_and_the_same_gradient(
    make_run: Make, capfd: Any
) -> None:
    settings = {"steps": 2, "pairs_per_step": 4, "accumulation": 1}
    whole, halved = make_run("whole", **settings), make_run("halved", **settings)
    halved.write_retry({"split": 2, "reason": "oom"})
    assert supervise(train, whole) == 0
    assert supervise(train, halved) == 0
    assert "after running out of memory: accumulation 2 instead of 1" in capfd.readouterr().out
    a, b = weights(whole), weights(halved)
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-4


@pytest.mark.parametrize(
    ("pairs", "accumulation", "split", "wanted"),
    [(4, 1, 1, 1), (4, 1, 2, 2), (6, 1, 2, 2), (9, 1, 2, 3), (4, 4, 2, 4), (12, 3, 2, 6)],
)
def test_parts_are_equal_and_at_least_twice_as_many_as_before(
    make_run: Make, pairs: int, accumulation: int, split: int, wanted: int
) -> None:
    run = make_run("run", pairs_per_step=pairs, accumulation=accumulation)
    run.write_retry({"split": split} if split > 1 else {})
    asked = type("Asked", (), {"dir": run, "tell_split": lambda *_: None})
    assert read_config(asked()).accumulation == wanted  # type: ignore[arg-type]


def test_torch_says_that_memory_is_missing_on_both_kinds_of_device() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)  # no machine has it
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_out_of_memory(caught.value)
