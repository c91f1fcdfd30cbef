"""A run that was killed goes on bit for bit; each thing that a state holds is needed for that."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from formats.checkpoints import best as best_checkpoint
from formats.checkpoints import checkpoints
from formats.files import read_json, sha256_of, write_json
from formats.outcome import ExitCode
from formats.records import PreferenceRecord
from formats.run_dir import RunDir
from formats.supervised import supervise
from models_rm.training import state
from models_rm.training.run import train
from models_rm.training.state import Progress, Saved
from models_rm.training.trainer import Trainer

Make = Callable[..., RunDir]
# Everything that has a state of its own: dropout, moments, schedule, early stopping, learned theta.
RICH: dict[str, Any] = {
    "language": "lora", "lora_r": 2, "lora_alpha": 2, "lora_dropout": 0.3, "learn_theta": True,
    "schedule": "cosine", "warmup": 0.5, "steps": 7, "save_every": 2, "eval_every": 1,
    "keep": "best", "patience": 4, "probe_pairs": 0,
}  # fmt: skip


class Killed(BaseException):
    """Nothing catches it, so nothing is saved or written: as with SIGKILL."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, run: RunDir) -> None:
    learn = Trainer.learn

    def until(trainer: Trainer) -> None:
        learn(trainer)
        if trainer.step == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "learn", until)
        with pytest.raises(Killed):
            supervise(train, run)


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(run.outputs / "reward_model/weights.safetensors")
    return found


def equal(one: RunDir, other: RunDir) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def curve(run: RunDir) -> dict[tuple[int, str], float]:
    """What was logged; a resumed run logs the steps that it lost again."""
    lines, _ = run.metrics_from(0)
    return {(line.step, name): value for line in lines for name, value in line.values.items()}


@pytest.fixture
def killed(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[RunDir, RunDir]:
    """(a run to its end, the same run killed at step 5 with its newest state at step 4)."""
    whole, broken = make_run("whole", **RICH), make_run("broken", **RICH)
    assert supervise(train, whole) == 0
    kill_at(5, monkeypatch, broken)
    assert broken.outcome() is None
    return whole, broken


@pytest.mark.promise("A2")
def test_a_killed_run_goes_on_bit_for_bit(killed: tuple[RunDir, RunDir]) -> None:
    whole, broken = killed
    assert supervise(train, broken) == 0
    assert equal(whole, broken)
    assert curve(whole) == curve(broken)
    first, second = whole.outcome(), broken.outcome()
    assert first is not None
    assert second is not None
    assert (first.message, first.summary) == (second.message, second.summary)


def _without(prefix: str) -> Callable[[Saved], Saved]:
    return lambda saved: replace(
        saved, tensors={k: v for k, v in saved.tensors.items() if not k.startswith(prefix)}
    )


def _other_dropout(saved: Saved) -> Saved:
    fresh = torch.Generator().manual_seed(1234).get_state()
    return replace(saved, tensors={**saved.tensors, "rng.cpu": fresh})


@pytest.mark.mutant("A2")
@pytest.mark.parametrize(
    "forget",
    [
        pytest.param(_without("optimizer."), id="moments"),
        pytest.param(_other_dropout, id="random state"),
        pytest.param(lambda s: replace(s, progress=Progress(step=s.progress.step + 1)), id="step"),
    ],
)
def test_what_a_state_forgets_changes_the_run(
    killed: tuple[RunDir, RunDir],
    monkeypatch: pytest.MonkeyPatch,
    forget: Callable[[Saved], Saved],
) -> None:
    whole, broken = killed
    read = state.read
    monkeypatch.setattr(state, "read", lambda folder: forget(read(folder)))
    assert supervise(train, broken) == 0
    assert curve(whole) != curve(broken)


@pytest.mark.promise("A2")
def test_a_state_without_its_random_state_is_refused_and_not_gone_on_from(
    killed: tuple[RunDir, RunDir], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, broken = killed
    read = state.read
    monkeypatch.setattr(state, "read", lambda folder: _without("rng.")(read(folder)))
    assert "rng.cpu is not in this state" in refusal(broken, ExitCode.BAD_DATA)


def _forgetful(step: int) -> Progress:
    return Progress(step=step, validated=step)


@pytest.mark.promise("A2")
def test_a_run_that_is_stopped_in_the_middle_of_an_evaluation_goes_on_bit_for_bit(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, paused = make_run("whole", **RICH), make_run("paused", **RICH)
    assert supervise(train, whole) == 0
    outputs = Trainer.outputs

    def asked_to_stop(trainer: Trainer, pairs: Any) -> Any:
        if trainer.step == 4:
            paused.write_want("pause")
        return outputs(trainer, pairs)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "outputs", asked_to_stop)
        patch.setattr("formats.supervised.time.monotonic", _clock())
        assert supervise(train, paused) == ExitCode.RUN_ME_AGAIN
    assert checkpoints(paused.checkpoints)[0].step == 4
    paused.write_want("run")
    paused.write_lease(1, 1e12)  # the next attempt
    assert supervise(train, paused) == 0
    assert equal(whole, paused)
    assert curve(whole) == curve(paused)
    first, second = whole.outcome(), paused.outcome()
    assert first is not None
    assert second is not None
    assert (first.message, first.summary) == (second.message, second.summary)


def _clock() -> Callable[[], float]:
    """Files are looked at five times a second; here each look finds that it is time."""
    ticks = itertools.count()
    return lambda: next(ticks) * 1.0


def test_patience_goes_on_where_it_was(
    make_run: Make, records: list[PreferenceRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without judgements on training pairs every evaluation is equal, and patience alone decides.
    rows = [replace(row, labels={}) if row.split == "train" else row for row in records]
    settings = {"rows": rows, "steps": 50, "eval_every": 1, "save_every": 1, "patience": 3}
    run, mutant = make_run("run", **settings), make_run("mutant", **settings)
    for each in (run, mutant):
        kill_at(4, monkeypatch, each)
        assert checkpoints(each.checkpoints)[0].step == 3
    assert supervise(train, run) == 0
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.message == "trained for 4 steps; 4 of them had nothing to learn from"
    read = state.read
    monkeypatch.setattr(
        state, "read", lambda f: replace(read(f), progress=_forgetful(read(f).progress.step))
    )
    assert supervise(train, mutant) == 0
    outcome = mutant.outcome()
    assert outcome is not None
    assert outcome.message.startswith("trained for 7 steps")


@pytest.mark.promise("A3")
def test_the_best_weights_are_kept_and_their_checkpoint_outlives_newer_ones(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": 6, "save_every": 1, "eval_every": 1, "probe_pairs": 0}
    best, last = make_run("best", **settings, keep="best"), make_run("last", **settings)
    scripted = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0] * 2)
    monkeypatch.setattr(
        "models_rm.training.trainer.evaluate_pairs",
        lambda *_, **__: {"VQ": {"pairs": 1, "nll": next(scripted)}},
    )
    for run in (best, last):
        assert supervise(train, run) == 0
    # The state that validation liked best outlives newer ones, also where the last one is kept.
    for run in (best, last):
        assert [each.step for each in checkpoints(run.checkpoints)] == [6, 5, 2]
        found = best_checkpoint(run.checkpoints)
        assert found is not None
        assert found.step == 2
    outcome = best.outcome()
    assert outcome is not None
    assert "the weights of step 2 are kept" in outcome.message
    assert outcome.summary["best_step"] == 2
    kept = load_file(checkpoints(best.checkpoints)[-1].path / "state.safetensors")
    found = weights(best)
    assert all(torch.equal(found[name], kept[f"weights.{name}"]) for name in found)
    assert not equal(best, last)


def test_best_weights_that_are_gone_are_an_error_and_not_the_last_ones(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=4, save_every=1, eval_every=1, keep="best", probe_pairs=0)
    judge, scripted = Progress.judge, iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(Progress, "judge", lambda self, _loss: judge(self, next(scripted)))
    save = Trainer.save

    def then_damage(trainer: Trainer) -> None:
        save(trainer)
        for each in checkpoints(run.checkpoints):
            if each.step == 1 and trainer.step == 4:
                (each.path / "state.safetensors").write_bytes(b"damaged")

    monkeypatch.setattr(Trainer, "save", then_damage)
    assert supervise(train, run) == ExitCode.BAD_DATA
    outcome = run.outcome()
    assert outcome is not None
    assert "ckpt-00000001-0/state.safetensors: the file is damaged" in outcome.message


# Bad states.


@pytest.fixture
def stopped(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    run = make_run(steps=3, save_every=1, probe_pairs=0)
    kill_at(2, monkeypatch, run)
    return run


def refusal(run: RunDir, code: ExitCode) -> str:
    assert supervise(train, run) == code
    outcome = run.outcome()
    assert outcome is not None
    return outcome.message


def change_config(run: RunDir, **values: Any) -> None:
    write_json(run.config_file, "config/1", {**run.config(), **values})


def test_another_config_on_resume_is_named(stopped: RunDir) -> None:
    change_config(stopped, learning_rate=5e-4)
    assert refusal(stopped, ExitCode.BAD_CONFIG) == (
        "the checkpoint at step 1 was made with another config: learning_rate was 0.001 and is now "
        "0.0005; start a new run instead"
    )


def test_what_does_not_change_the_result_may_change_on_resume(stopped: RunDir) -> None:
    change_config(stopped, log_every=3, save_every=9, accumulation=2, gradient_checkpointing=True)
    assert supervise(train, stopped) == 0


def _rehashed(run: RunDir, name: str, content: bytes) -> None:
    """Change a file of the newest checkpoint and its hash: only what is inside can tell."""
    folder = checkpoints(run.checkpoints)[0].path
    (folder / name).write_bytes(content)
    manifest = read_json(folder / "manifest.json", "manifest/1")
    manifest["files"][name] = {"bytes": len(content), "sha256": sha256_of(folder / name)}
    write_json(folder / "manifest.json", "manifest/1", manifest)


def test_a_truncated_state_is_named(stopped: RunDir) -> None:
    file = checkpoints(stopped.checkpoints)[0].path / "state.safetensors"
    _rehashed(stopped, "state.safetensors", file.read_bytes()[:-100])
    assert "ckpt-00000001-0/state.safetensors: cannot be read: " in refusal(
        stopped, ExitCode.BAD_DATA
    )


def test_a_state_without_a_weight_is_named(stopped: RunDir, tmp_path: Any) -> None:
    file = checkpoints(stopped.checkpoints)[0].path / "state.safetensors"
    tensors = load_file(file)
    del tensors["weights.heads"]
    save_file(tensors, tmp_path / "other.safetensors")
    _rehashed(stopped, "state.safetensors", (tmp_path / "other.safetensors").read_bytes())
    assert "weights.heads is not in this state" in refusal(stopped, ExitCode.BAD_DATA)


def test_a_state_of_another_program_is_named(stopped: RunDir) -> None:
    _rehashed(stopped, "state.json", b'{"schema": "reward_model_state/1", "step": 1}')
    assert "state.json: expected progress (" in refusal(stopped, ExitCode.BAD_DATA)


def test_a_gradient_that_is_not_finite_stops_before_the_step(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=3, probe_pairs=0)
    clipped, step = Trainer._clipped_norm, torch.optim.AdamW.step
    stepped: list[int] = []

    def count(self: Any, *args: Any) -> Any:
        stepped.append(1)
        return step(self, *args)

    monkeypatch.setattr(
        Trainer, "_clipped_norm", lambda self: clipped(self) if self.step < 2 else float("inf")
    )
    monkeypatch.setattr(torch.optim.AdamW, "step", count)
    assert "gradient of step 2 is not a finite number" in refusal(run, ExitCode.NON_FINITE)
    assert len(stepped) == 1
