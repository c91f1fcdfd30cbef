"""A whole training run: what it leaves, how it resumes, and how it refuses."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import checkpoints
from formats.dimensions import ANIME_GROUPS
from formats.files import read_jsonl
from formats.labels import Label
from formats.outcome import ExitCode, Outcome, OutputKind
from formats.records import PreferenceRecord
from formats.run_dir import Input, RunDir
from formats.supervised import Supervised, supervise
from models_rm.config import RewardModelConfig
from models_rm.preferences.data import PairOrder, pairs_of
from models_rm.training import objective
from models_rm.training.objective import rate_factor
from models_rm.training.run import train
from models_rm.training.trainer import Trainer

Make = Callable[..., RunDir]


def finished(run: RunDir) -> Outcome:
    code = supervise(train, run)
    outcome = run.outcome()
    assert outcome is not None
    assert outcome.exit_code == code
    return outcome


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "reward_model" / "weights.safetensors")


def equal(one: RunDir, other: RunDir) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def metrics(run: RunDir, name: str) -> dict[int, float]:
    lines, _ = run.metrics_from(0)
    return {line.step: line.values[name] for line in lines if name in line.values}


def test_a_run_leaves_a_model_with_its_figures(make_run: Make) -> None:
    run = make_run()
    outcome = finished(run)
    assert (outcome.exit_code, outcome.message) == (0, "trained for 4 steps")
    output = outcome.outputs[0]
    assert (output.kind, output.path) == (OutputKind.REWARD_MODEL, "outputs/reward_model")
    assert output.meta["dimensions"] == ["VQ", "MQ", "TA"]
    figures = outcome.summary["evaluation"]["test"]["VQ"]
    # Two test pairs: number 10 is decisive, number 11 a tie.
    assert (figures["pairs"], figures["decisive"], figures["baseline_always_tie"]) == (2, 1, 0.5)
    assert figures["threshold_btt"] == pytest.approx(1.5261, abs=1e-4)
    assert outcome.summary["calibration"]["source"] == "validation"
    assert sorted(metrics(run, "loss")) == [1, 2, 3, 4]
    assert sorted(metrics(run, "validation/loss")) == [2, 4]
    card = (run.root / output.path / "README.md").read_text()
    assert "| VQ | 5 |" in card


def test_the_best_weights_are_chosen_by_the_loss_that_is_learned(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, np.ndarray]] = []
    outputs = Trainer.outputs

    def remembered(trainer: Trainer, pairs: Any) -> Any:
        found = outputs(trainer, pairs)
        seen.append((pairs, found.mean))
        return found

    monkeypatch.setattr(Trainer, "outputs", remembered)
    run = make_run(loss="bt", dimension_weights={"TA": 0.0, "MQ": 2.0})
    finished(run)
    pairs, rewards = seen[0]
    gap = rewards[pairs.a] - rewards[pairs.b]
    losses, weights = 0.0, 0.0
    for said, row in zip(pairs.preference, gap, strict=True):
        for place, weight in ((0, 1.0), (1, 2.0)):  # VQ and MQ; TA weighs nothing
            if said[place]:
                losses += weight * np.log1p(np.exp(-said[place] * row[place]))
                weights += weight
    assert metrics(run, "validation/loss")[2] == pytest.approx(losses / weights, rel=1e-5)


def test_it_learns_which_clip_is_better(make_run: Make) -> None:
    run = make_run(steps=40, log_every=5, eval_every=40, save_every=40)
    finished(run)
    losses = metrics(run, "loss")
    assert losses[40] < 0.6 * losses[5]
    assert metrics(run, "accuracy/VQ")[40] > 0.8


def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(make_run: Make) -> None:
    one, same, other = make_run("one"), make_run("same"), make_run("other", seed=1)
    for run in (one, same, other):
        finished(run)
    assert equal(one, same)
    assert not equal(one, other)


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_stopped_run_goes_on_bit_for_bit(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    settings: dict[str, Any] = {
        "language": "lora", "lora_r": 2, "lora_alpha": 2, "lora_dropout": 0.3, "steps": 5
    }  # fmt: skip
    whole, stopped = make_run("whole", **settings), make_run("stopped", **settings)
    finished(whole)
    learn = Trainer.learn

    def asked_to_stop(trainer: Trainer) -> None:
        learn(trainer)
        if trainer.step == stop_at:
            stopped.write_want("pause")
            trainer.run._next_look = 0.0  # now, not in a fifth of a second

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "learn", asked_to_stop)
        assert supervise(train, stopped) == ExitCode.RUN_ME_AGAIN
    assert stopped.outcome() is None
    assert checkpoints(stopped.checkpoints)[0].step == stop_at
    stopped.want_file.unlink()
    finished(stopped)
    assert equal(whole, stopped)


def test_a_damaged_checkpoint_is_passed_over(
    make_run: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, again = make_run("whole"), make_run("again")
    finished(whole)
    finished(again)
    newest = checkpoints(again.checkpoints)[0]
    assert newest.step == 4
    state = newest.path / "state.safetensors"
    content = state.read_bytes()
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.rmtree(again.outputs / "reward_model")
    again.outcome_file.unlink()
    finished(again)
    assert "ckpt-00000004-0 is not used" in capfd.readouterr().out
    assert equal(whole, again)


def test_four_parts_of_one_pair_make_the_step_of_one_part_of_four(make_run: Make) -> None:
    one, four = make_run("one", steps=2), make_run("four", steps=2, accumulation=4)
    for run in (one, four):
        finished(run)
    a, b = weights(one), weights(four)
    assert metrics(one, "loss")[1] == pytest.approx(metrics(four, "loss")[1], abs=1e-6)
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-4


def test_a_loss_that_is_not_finite_stops_before_the_step(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    losses = objective.entry_losses
    steps: list[int] = []

    def broken(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        steps.append(1)
        values, weights = losses(*args)
        return values * (float("nan") if len(steps) == 3 else 1.0), weights

    monkeypatch.setattr("models_rm.training.trainer.entry_losses", broken)
    outcome = finished(run)
    assert (outcome.exit_code, outcome.reason) == (ExitCode.NON_FINITE, "non_finite")
    assert "step 3" in outcome.message
    state = load_file(checkpoints(run.checkpoints)[0].path / "state.safetensors")
    assert all(torch.isfinite(each).all() for each in state.values())


def test_invalid_and_missing_labels_never_enter_the_loss(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    silent = [
        replace(row, labels=dict.fromkeys(row.labels, Label.INVALID)) if n % 2 else row
        for n, row in enumerate(records)
    ]
    absent = [replace(row, labels={}) if n % 2 else row for n, row in enumerate(records)]
    one, other = make_run("one", rows=silent), make_run("other", rows=absent)
    assert finished(one).exit_code == finished(other).exit_code == 0
    assert equal(one, other)


def test_pairs_without_any_opinion_train_nothing(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    run = make_run(rows=[replace(row, labels={}) for row in records])
    outcome = finished(run)
    assert outcome.exit_code == 0
    assert metrics(run, "loss") == {}
    assert outcome.summary["evaluation"]["test"]["VQ"] == {"pairs": 0}


@pytest.mark.parametrize("loss", ["bt", "regression"])
def test_other_losses_train_too(make_run: Make, records: list[PreferenceRecord], loss: str) -> None:
    scores = dict.fromkeys(("VQ", "MQ", "TA"), 4.0)
    rows = [replace(row, scores_a=scores, scores_b=dict.fromkeys(scores, 2.0)) for row in records]
    run = make_run(rows=rows, loss=loss)
    assert finished(run).exit_code == 0
    assert len(metrics(run, "loss")) == 4


def test_a_split_opinion_trains_as_a_soft_label_only(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    torn = {"posterior": {"VQ": [0.5, 0.0, 0.5]}, "labels": {}}
    rows = [replace(row, **torn) for row in records]
    hard, soft = make_run("hard", rows=rows), make_run("soft", rows=rows, labels="posterior")
    assert finished(hard).exit_code == finished(soft).exit_code == 0
    assert metrics(hard, "loss") == {}
    assert len(metrics(soft, "loss/VQ")) == 4


def test_three_pairs_without_validation_are_enough(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    run = make_run(rows=records[:3])
    outcome = finished(run)
    assert outcome.exit_code == 0
    assert outcome.summary["calibration"]["source"] == "train"
    assert outcome.summary["evaluation"]["test"]["VQ"] == {"pairs": 0}


def test_any_dimension_set_trains(make_run: Make, records: list[PreferenceRecord]) -> None:
    labels = {"appearance": Label.A, "consistency": Label.TIE}
    rows = [replace(row, labels=labels) for row in records]
    run = make_run(
        rows=rows, dimensions=ANIME_GROUPS, theta={"appearance": 2.0, "consistency": 9.0}
    )
    assert finished(run).outputs[0].meta["theta"] == {"appearance": 2.0, "consistency": 9.0}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_every_family_trains(make_run: Make, family: str) -> None:
    side = 64 if family == "qwen3_vl" else 56
    run = make_run(family=family, steps=2, min_pixels=side**2, max_pixels=side**2)
    assert finished(run).exit_code == 0


def test_patience_ends_a_run_that_gets_no_better(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    # Nobody judged the training pairs, so nothing changes and each evaluation is equal.
    rows = [replace(row, labels={}) if row.split == "train" else row for row in records]
    run = make_run(rows=rows, steps=50, eval_every=1, patience=2)
    # The first evaluation is the best; two more without a better one end it.
    assert finished(run).message.startswith("trained for 3 steps")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"tehta": 5.0}, "unknown key 'tehta'; did you mean 'theta'?"),
        ({"theta": 1.0}, "theta must be above 1, got 1.0"),
        ({"theta": {"VQ": 3.0}}, "theta must name exactly the dimensions VQ, MQ, TA"),
        ({"language": "lora", "lora_targets": ["zz"]}, "no linear layer of the language part"),
    ],
)
def test_a_bad_config_is_refused_in_one_sentence(
    make_run: Make, config: dict[str, Any], message: str
) -> None:
    run = make_run(**config)
    outcome = finished(run)
    assert (outcome.exit_code, outcome.reason) == (ExitCode.BAD_CONFIG, "bad_config")
    assert message in outcome.message
    assert not (run.outputs / "reward_model").exists()


def test_a_backbone_that_is_not_there_is_refused(make_run: Make) -> None:
    run = make_run()
    inputs = {
        "snapshot": Input(str(run.input("snapshot"))),
        "backbone": Input("nobody/no-such-model"),
    }
    run.prepare(run.config(), inputs, media_root=run.media_root())
    outcome = finished(run)
    assert outcome.exit_code == ExitCode.BAD_CONFIG
    assert "backbone 'nobody/no-such-model' is not there" in outcome.message


def test_unreadable_clips_are_reported_and_their_pairs_left_out(
    make_run: Make, records: list[PreferenceRecord], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a clip")
    damaged = replace(records[0].video_a, path=str(broken), sha256="0" * 64)
    gone = replace(records[0].video_a, path="gone.mp4", sha256="0" * 64)
    rows = [
        replace(records[0], video_a=gone),
        replace(records[1], video_b=damaged),
        replace(records[2], video_a=damaged),
        *records[3:],
    ]
    run = make_run(rows=rows)
    outcome = finished(run)
    assert outcome.exit_code == ExitCode.DONE
    assert outcome.summary["unreadable"] == {"clips": 2, "pairs": 3}
    assert outcome.summary["pairs"]["train"] == 5
    report = [row for _, row in read_jsonl(run.root / "unreadable.jsonl", "unreadable_clips/1")]
    assert [(row["path"], row["pairs"]) for row in report] == [
        (str(broken), [rows[1].pair_id, rows[2].pair_id]),
        ("gone.mp4", [rows[0].pair_id]),
    ]
    assert report[0]["error"].startswith("the clip cannot be read: ")
    assert report[1]["error"] == "the clip is missing"


def test_a_train_split_without_readable_clips_is_refused(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    gone = replace(records[0].video_a, path="gone.mp4", sha256="0" * 64)
    outcome = finished(make_run(rows=[replace(row, video_a=gone) for row in records[:8]]))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "no pair in its train split that can be read: gone.mp4: the clip is" in outcome.message


def test_a_snapshot_of_which_no_clip_can_be_read_is_refused(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    gone = replace(records[0].video_a, path="gone.mp4", sha256="0" * 64)
    rows = [replace(row, video_a=gone, video_b=gone) for row in records[:8]]
    outcome = finished(make_run(rows=rows))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "none of the 1 clips can be read: the clip is missing" in outcome.message


def test_a_snapshot_without_training_pairs_is_refused(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    outcome = finished(make_run(rows=[replace(row, split="test") for row in records]))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "no pair in its train split" in outcome.message


def test_every_pair_comes_once_per_epoch_and_prompts_stay_together() -> None:
    prompts = [f"prompt {n // 5}" for n in range(40)]
    order = PairOrder(prompts, seed=3)
    first = [order.step(step, 10) for step in range(4)]
    assert sorted(np.concatenate(first)) == list(range(40))
    assert all(len({prompts[n] for n in step}) == 2 for step in first)
    assert not np.array_equal(first[0], order.step(4, 10))
    # A pure function of the step, whatever was asked before.
    assert np.array_equal(PairOrder(prompts, seed=3).step(2, 10), first[2])


def test_a_clip_that_pairs_share_is_one_row(records: list[PreferenceRecord]) -> None:
    a, b = records[0].video_a, records[0].video_b
    rows = [records[0], replace(records[0], pair_id="x", video_a=b, video_b=a)]
    pairs = pairs_of(rows, ("VQ",))
    assert len(pairs.rows) == 2
    assert (pairs.a.tolist(), pairs.b.tolist()) == ([0, 1], [1, 0])


def test_the_rate_rises_then_falls_to_zero() -> None:
    config = RewardModelConfig(steps=100, warmup=0.1, schedule="cosine")
    assert rate_factor(0, config) == pytest.approx(0.1)
    assert rate_factor(9, config) > 0.97
    assert rate_factor(99, config) < 0.001
    assert rate_factor(99, RewardModelConfig(steps=100, warmup=0.0)) == 1.0


def test_a_run_of_another_worker_stops_without_saving(make_run: Make) -> None:
    run = make_run()
    run.write_lease(fence=1, deadline=1e12)

    def body(supervised: Supervised) -> Outcome:
        run.write_lease(fence=2, deadline=1e12)
        return train(supervised)

    assert supervise(body, run) == ExitCode.RUN_ME_AGAIN
    assert checkpoints(run.checkpoints) == []
