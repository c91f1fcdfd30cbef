"""Whatever ends an alignment run, the last good checkpoint loads and the run goes on exactly."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from formats.checkpoints import checkpoints, newest_verified, verify_folder
from formats.outcome import ExitCode
from formats.run_dir import Input, RunDir
from formats.supervised import BadConfigError, Supervised, supervise
from models_align import latents, state, trainer
from models_align.config import AlignmentConfig
from models_align.encoding import ClipEncoder
from models_align.generators.tiny import build
from models_align.latents import TensorCache, write_tensors
from models_align.training import prepared, train
from tests.promises import counts
from trainers.world import ALONE

Weights = dict[str, torch.Tensor]
# Sums over two processes in another order, over a few steps of Adam.
CLOSE = 1e-4
# Each start of a trainer costs seconds of imports; `make test-faults-full` kills more often.
KILLS = counts(2, 3, 6)


def weights(run: RunDir) -> Weights:
    found: Weights = load_file(run.outputs / "adapter" / "pytorch_lora_weights.safetensors")
    return found


def furthest(a: Weights, b: Weights) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def losses(run: RunDir) -> dict[int, float]:
    lines, _ = run.metrics_from(0)
    return {line.step: line.values["loss"] for line in lines if "loss" in line.values}


def inputs_of(run: RunDir) -> dict[str, Input]:
    return {role: Input(str(run.input(role))) for role in ("pairs", "generator")}


def full_disk(*_args: Any, **_named: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.promise("J13")
@pytest.mark.promise("A3")
def test_a_disk_that_is_full_while_saving_leaves_the_last_checkpoint(
    alignment_run, write_pairs, monkeypatch
):
    pairs = write_pairs()
    whole = alignment_run("whole", {"steps": 5}, pairs)
    assert supervise(train, whole) == 0
    run = alignment_run("run", {"steps": 5, "save_every": 2}, pairs)
    original = state.write

    def fails_at_the_second(folder: Path, tensors: Any, step: int, config: Any) -> None:
        if step == 4:
            (folder / state.FILE).write_bytes(b"half a")  # as far as it went
            full_disk()
        original(folder, tensors, step, config)

    with monkeypatch.context() as patch:
        patch.setattr(state, "write", fails_at_the_second)
        assert supervise(train, run) == ExitCode.DISK_FULL
    (left,) = checkpoints(run.checkpoints)
    assert left.step == 2
    verify_folder(left.path)
    assert not list(run.checkpoints.glob(".tmp-*"))
    assert not (run.outputs / "adapter").exists()
    run.outcome_file.unlink()
    assert supervise(train, run) == 0
    assert furthest(weights(whole), weights(run)) == 0


def test_a_disk_that_is_full_while_encoding_is_named_and_leaves_no_half_file(
    alignment_run, monkeypatch
):
    run = alignment_run("run", {})
    original = Path.replace

    def fails_for_tensors(path: Path, target: Path) -> Path:
        return full_disk() if target.suffix == ".safetensors" else original(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails_for_tensors)
        assert supervise(train, run) == ExitCode.DISK_FULL
    assert not list((run.root / "cache").iterdir())
    run.outcome_file.unlink()
    assert supervise(train, run) == 0


@pytest.mark.promise("J13")
def test_a_disk_that_is_full_at_the_end_is_named_and_leaves_the_last_checkpoint(
    alignment_run, monkeypatch
):
    run = alignment_run("run", {"save_every": 2})
    said = "Error while serializing: I/O error: No space left on device (os error 28)"

    def fails(*_args: Any) -> str:
        raise SafetensorError(said)  # as the library's own writer does

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "commit_adapter", fails)
        assert supervise(train, run) == ExitCode.DISK_FULL
    left = newest_verified(run.checkpoints, print)
    assert left is not None
    assert left.step == 2
    run.outcome_file.unlink()
    assert supervise(train, run) == 0


def test_the_library_that_writes_tensors_ends_with_an_error_of_the_system(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)})


def test_a_damaged_file_of_the_cache_is_reported_and_made_again(alignment_run, write_pairs, capsys):
    pairs = write_pairs()
    run = alignment_run("run", {"save_every": 2}, pairs)
    train(Supervised(run))
    kept = weights(run)
    files = sorted((run.root / "cache").iterdir())
    for number, file in enumerate(files):
        content = file.read_bytes()
        file.write_bytes([b"", content[: len(content) // 2], b"\0" * len(content)][number % 3])
    capsys.readouterr()
    train(Supervised(run))
    assert capsys.readouterr().out.count("of the cache is made again") == len(files)
    assert furthest(kept, weights(run)) == 0


def test_an_interrupted_cache_goes_on_with_what_is_missing(alignment_run, monkeypatch):
    run, made = alignment_run("run", {}), []
    original = ClipEncoder._made

    class Stopped(Exception):
        pass

    class StopsWhileEncoding(Supervised):
        def check(self, save: Any = None) -> None:
            if len(made) == 3:
                raise Stopped

    def counted(encoder: ClipEncoder, ref: Any) -> Any:
        made.append(ref.id)
        return original(encoder, ref)

    monkeypatch.setattr(ClipEncoder, "_made", counted)
    with pytest.raises(Stopped):
        train(StopsWhileEncoding(run))
    train(Supervised(run))
    assert sorted(made) == sorted(f"{side}{number}" for side in "wl" for number in range(4))


def test_latents_of_another_autoencoder_are_never_taken(alignment_run, write_pairs, tmp_path):
    from models_align.generators.families import load_generator

    run = alignment_run("run", {}, write_pairs())
    assert supervise(train, run) == 0
    before = set((run.root / "cache").iterdir())
    other = load_generator(run.input("generator")).pipeline
    other.vae.register_to_config(latents_std=[2.0] * other.vae.config.z_dim)
    other.save_pretrained(str(tmp_path / "other"))
    inputs = {**inputs_of(run), "generator": Input(str(tmp_path / "other"))}
    again = RunDir(tmp_path / "again")
    again.prepare(run.config() | {"schema": "config/1"}, inputs, media_root=run.media_root())
    (run.root / "cache").rename(again.root / "cache")
    assert supervise(train, again) == 0
    after = set((again.root / "cache").iterdir())
    assert len(after) == 2 * len(before)


def test_a_run_that_ended_between_its_adapter_and_its_word_says_it_now(alignment_run):
    run = alignment_run("run", {"save_every": 2})
    assert supervise(train, run) == 0
    first = run.outcome()
    run.outcome_file.unlink()
    assert supervise(train, run) == 0
    again = run.outcome()
    assert first is not None
    assert again is not None
    assert again.outputs == first.outputs


def test_a_run_that_was_stopped_behind_its_last_step_still_says_what_it_came_to(alignment_run):
    run = alignment_run("run", {"steps": 2})
    supervised = Supervised(run)
    config = AlignmentConfig.from_json(run.config())
    stopped = prepared(supervised, config, ALONE)
    for _ in range(2):
        stopped.log(stopped.learn())
    stopped.save()
    outcome = train(Supervised(run))
    assert outcome.summary["steps"] == 2
    assert outcome.summary["loss"] == losses(run)[2]


def test_a_checkpoint_of_another_config_is_refused(alignment_run):
    run = alignment_run("run", {"save_every": 2})
    assert supervise(train, run) == 0
    run.prepare({**run.config(), "lr": 5e-4}, inputs_of(run), media_root=run.media_root())
    with pytest.raises(BadConfigError, match=r"another config: lr was 0\.001 and is now 0\.0005"):
        train(Supervised(run))
    # How the work is cut up is free to change.
    run.prepare(
        {**run.config(), "lr": 1e-3, "micro_pairs": 1, "gradient_checkpointing": True},
        inputs_of(run),
        media_root=run.media_root(),
    )
    train(Supervised(run))


def test_a_shape_is_known_without_reading_the_tensor(tmp_path, monkeypatch):
    TensorCache(tmp_path, 2**20).get("a", lambda: {"x": torch.zeros(3, 5)})
    monkeypatch.setattr(latents, "load_file", full_disk)
    again = TensorCache(tmp_path, 2**20)
    assert again.shape("a", "x") == (3, 5)
    assert again.shape("b", "x") is None


@pytest.mark.promise("A4")
def test_a_step_that_is_not_finite_leaves_the_last_checkpoint(alignment_run, monkeypatch):
    run = alignment_run("run", {"save_every": 1, "steps": 3})
    original = trainer.pair_losses

    def breaks(config: Any, facts: Any, errors: Any) -> torch.Tensor:
        found = original(config, facts, errors)
        return found * float("nan") if checkpoints(run.checkpoints) else found

    monkeypatch.setattr(trainer, "pair_losses", breaks)
    assert supervise(train, run) == ExitCode.NON_FINITE
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.message.startswith("step 1: the loss is nan")
    left = newest_verified(run.checkpoints, print)
    assert left is not None
    assert state.read(left.path).step == 1


# Processes of their own.


def started(run: RunDir, processes: int = 1) -> subprocess.Popen[bytes]:
    many = [] if processes == 1 else ["-I", "-m", "trainers.torchrun", str(processes)]
    words = [*many, "-I", "-m", "models_align", "train", str(run.root)]
    with run.log_file.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *words], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def ended(run: RunDir, child: subprocess.Popen[bytes]) -> int:
    try:
        return child.wait(240)  # two imports of torch on a busy machine
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        print(run.log_file.read_text()[-5000:])


# Every setting that cuts up the work: slices, micro-batches, a table of the reference.
CUT: dict[str, Any] = {
    "pairs_per_step": 4, "steps": 3, "save_every": 2, "noise_draws": 2, "reference": "cached",
}  # fmt: skip


def compare_two_with_one(
    alignment_run: Callable[..., RunDir], pairs: Path, **cut: Any
) -> tuple[RunDir, RunDir]:
    one = alignment_run("one", CUT, pairs)
    assert supervise(train, one) == 0
    two = alignment_run("two", {**CUT, "processes": 2, **cut}, pairs)
    assert ended(two, started(two, processes=2)) == 0
    assert losses(two) == pytest.approx(losses(one), rel=2e-4)
    assert furthest(weights(one), weights(two)) < CLOSE
    first, second = (run.outcome() for run in (one, two))
    assert first is not None
    assert second is not None
    assert second.summary["pairs"] == first.summary["pairs"]
    # Whole tensors: one process could go on where two stopped.
    saved = [state.read(checkpoints(run.checkpoints)[0].path).tensors for run in (one, two)]
    assert furthest(*saved) < CLOSE
    return one, two


def test_two_processes_with_a_sharded_generator_equal_one(alignment_run, write_pairs):
    cut = {"sharding": "fsdp", "micro_pairs": 1, "gradient_checkpointing": True}
    compare_two_with_one(alignment_run, write_pairs(), **cut)


@pytest.mark.faults
def test_two_processes_with_whole_generators_equal_one(alignment_run, write_pairs):
    compare_two_with_one(alignment_run, write_pairs(), micro_pairs=1)


@pytest.mark.faults
def test_two_sharded_networks_of_which_a_process_asks_one_equal_one_process(
    alignment_run, write_pairs, tmp_path
):
    """Wan 2.2: with a pair a process, one may have need of a network that the other has not."""
    prompts = ["a red circle moving left on a dark background", "two blue bars moving up"]
    build("wan-2.2-t2v", corpus=prompts * 2).save_pretrained(str(tmp_path / "two-networks"))
    pairs, runs = write_pairs(), []
    config = {"pairs_per_step": 2, "steps": 6, "timesteps": {"distribution": "shifted", "shift": 7}}
    for name, cut in (("one", {}), ("two", {"processes": 2, "sharding": "fsdp"})):
        run = alignment_run(name, {**config, **cut}, pairs)
        inputs = {**inputs_of(run), "generator": Input(str(tmp_path / "two-networks"))}
        run.prepare(run.config(), inputs, media_root=run.media_root())
        runs.append(run)
    one, two = runs
    assert supervise(train, one) == 0
    assert ended(two, started(two, processes=2)) == 0
    assert losses(two) == pytest.approx(losses(one), rel=2e-4)
    assert furthest(weights(one), weights(two)) < CLOSE


def test_a_number_of_processes_that_was_not_started_is_refused(alignment_run):
    run = alignment_run("run", {"processes": 3})
    assert supervise(train, run) == ExitCode.BAD_CONFIG
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.message.startswith("the config wants 3 processes, but 1 was started; use ")


@pytest.mark.faults
@pytest.mark.promise("A1")
@pytest.mark.promise("A2")
def test_a_run_killed_at_any_moment_comes_to_the_same_adapter(alignment_run, write_pairs, figures):
    pairs, chance = write_pairs(), random.Random(0)
    config = {"steps": 120, "noise_draws": 2, "reference": "cached"}
    whole = alignment_run("whole", config, pairs)
    assert supervise(train, whole) == 0
    run = alignment_run("run", {**config, "save_every": 1}, pairs)
    for _ in range(KILLS):
        seen = len(losses(run)) + chance.randrange(12)
        child = started(run)
        deadline = time.monotonic() + 60
        while child.poll() is None and len(losses(run)) <= seen and time.monotonic() < deadline:
            time.sleep(chance.uniform(0.0, 0.02))
        child.kill()
        assert ended(run, child) == -signal.SIGKILL
        newest = newest_verified(run.checkpoints, print)
        assert newest is not None
        assert state.read(newest.path).step == newest.step
    assert ended(run, started(run)) == 0
    assert furthest(weights(whole), weights(run)) == 0
    figures("A2", kills_of_an_alignment=KILLS, largest_difference=0)
