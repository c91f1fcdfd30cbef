"""An alignment that was paused comes to the bits of one that was not (J8); after missing memory its
forwards, and those of a generation, are halved and come to the same (J13)."""

import random
from typing import Any

import pytest

from formats.files import sha256_of
from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_align import sampling, training
from models_align.trainer import Trainer
from tests.models_align.test_saved_alignment import furthest, losses, weights
from tests.promises import Figures, counts


def pause_behind(step: int, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a supervisor does it: the wish lies there when the trainer looks before its next step."""
    learn = Trainer.learn

    def until(trainer: Trainer) -> dict[str, float]:
        values = learn(trainer)
        if trainer.step == step:
            run.write_want("pause")
            trainer.run._next_look = 0.0
        return values

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "learn", until)
        assert supervise(training.train, run) == ExitCode.RUN_ME_AGAIN
    run.write_want("run")


@pytest.mark.promise("J8")
def test_an_alignment_that_is_paused_at_random_steps_comes_to_the_same_bits(
    alignment_run: Any, write_pairs: Any, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    config: dict[str, Any] = {"steps": 6, "log_every": 1, "lora": {"r": 2, "dropout": 0.2}}
    pairs, chance, pauses = write_pairs(), random.Random(5), 0
    whole = alignment_run("whole", config, pairs)
    assert supervise(training.train, whole) == 0
    for number in range(counts(1, 3, 5)):
        run = alignment_run(f"paused-{number}", config, pairs)
        for step in sorted(chance.sample(range(1, 6), 2)):
            pause_behind(step, run, monkeypatch)
            pauses += 1
        assert supervise(training.train, run) == 0
        assert furthest(weights(whole), weights(run)) == 0
        assert losses(whole) == losses(run)
    figures("J8", trainer="alignment", pauses=pauses, bit_equal=pauses)


@pytest.mark.promise("J13")
def test_after_missing_memory_a_forward_takes_half_the_pairs_and_the_step_is_the_same(
    alignment_run: Any, write_pairs: Any, capfd: Any
) -> None:
    pairs = write_pairs()
    whole = alignment_run("whole", {"steps": 2, "pairs_per_step": 4}, pairs)
    halved = alignment_run("halved", {"steps": 2, "pairs_per_step": 4}, pairs)
    halved.write_retry({"split": 2})
    assert supervise(training.train, whole) == 0
    assert supervise(training.train, halved) == 0
    assert "after running out of memory: micro_pairs 2 instead of 4" in capfd.readouterr().out
    assert furthest(weights(whole), weights(halved)) < 1e-4


@pytest.mark.promise("J13")
def test_after_missing_memory_clips_are_made_in_smaller_batches_and_look_the_same(
    generation_run: Any, capfd: Any
) -> None:
    whole, halved = generation_run("whole", {}), generation_run("halved", {})
    halved.write_retry({"split": 2})
    for run in (whole, halved):
        assert supervise(sampling.sample, run) == 0
    assert "after running out of memory: batch 1 instead of 2" in capfd.readouterr().out
    first, second = (
        sorted((run.outputs / "generations/clips").iterdir()) for run in (whole, halved)
    )
    assert [each.name for each in first] == [each.name for each in second]
    assert [sha256_of(each) for each in first] == [sha256_of(each) for each in second]
