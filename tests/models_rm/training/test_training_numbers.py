"""What a step computes: its precision, its parts, its rates; and data that has little to say."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from formats.labels import Label
from formats.outcome import ExitCode, Outcome
from formats.records import PreferenceRecord
from formats.run_dir import RunDir
from formats.supervised import Supervised, supervise
from models_rm.config import RewardModelConfig
from models_rm.training import objective
from models_rm.training.materials import gather
from models_rm.training.run import train
from models_rm.training.step_report import StepSums
from models_rm.training.trainer import Trainer
from trainers.world import World

Make = Callable[..., RunDir]
QUICK: dict[str, Any] = {"steps": 1, "save_every": 9, "eval_every": 9, "probe_pairs": 0}


def finished(run: RunDir) -> Outcome:
    supervise(train, run)
    outcome = run.outcome()
    assert outcome is not None
    return outcome


def before(run: RunDir) -> dict[str, torch.Tensor]:
    """What learns, as it is before the first step."""
    config = RewardModelConfig.from_json(run.config())
    torch.manual_seed(config.seed)
    network = gather(Supervised(run), config, World(torch.device("cpu"))).network
    return {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}


def after(run: RunDir) -> dict[str, torch.Tensor]:
    assert finished(run).exit_code == 0
    found: dict[str, torch.Tensor] = load_file(run.outputs / "reward_model/weights.safetensors")
    return found


@pytest.fixture
def gradients(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, torch.Tensor]]:
    """The gradients of every step, before they are clipped."""
    found: list[dict[int, torch.Tensor]] = []

    def keep(parameters: Any, *_args: Any) -> torch.Tensor:
        grads = [each.grad for each in parameters]
        found.append({n: g.clone() for n, g in enumerate(grads) if g is not None})
        return torch.tensor(1.0)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", keep)
    return found


def farthest(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    size = max(float(each.abs().max()) for each in one.values())
    return max(float((one[n] - other[n]).abs().max()) for n in one) / size


# Precision.


def test_a_bfloat16_backbone_learns_at_the_rate_of_the_paper(make_run: Make) -> None:
    rates = dict.fromkeys(("learning_rate", "vision_learning_rate", "head_learning_rate"), 2e-6)
    settings = {**QUICK, "dtype": "bfloat16", "warmup": 0.0, "language": "lora", "lora_r": 2}
    run = make_run(**settings, **rates)
    start, end = before(run), after(run)
    assert {each.dtype for each in end.values()} == {torch.float32}
    weight = "backbone.visual.blocks.0.mlp.fc1.weight"
    moved = (end[weight] - start[weight]).abs()
    # Adam's first step is as long as the rate.
    assert float(moved.median()) == pytest.approx(2e-6, rel=0.05)
    # In bfloat16, whose steps at 0.02 are 1.2e-4 wide, the same update is lost everywhere else.
    lost = start[weight].bfloat16() + (end[weight] - start[weight]).bfloat16()
    assert float((lost == start[weight].bfloat16()).float().mean()) > 0.95


def test_rewards_and_losses_are_float32_behind_a_bfloat16_backbone(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[torch.dtype] = set()

    def look(first: Any, second: Any, *rest: Any) -> Any:
        losses, weights = objective.entry_losses(first, second, *rest)
        seen.update((first.mean.dtype, second.mean.dtype, losses.dtype))
        return losses, weights

    monkeypatch.setattr("models_rm.training.trainer.entry_losses", look)
    run = make_run(**QUICK, dtype="bfloat16", language="frozen", vision="frozen")
    assert finished(run).exit_code == 0
    assert seen == {torch.float32}
    learned = load_file(run.outputs / "reward_model/weights.safetensors")
    assert {name: each.dtype for name, each in learned.items()} == {
        "heads": torch.float32, "tokens": torch.float32,
    }  # fmt: skip


def test_gradient_checkpointing_changes_no_gradient(
    make_run: Make, gradients: list[dict[int, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    checkpoint = torch.utils.checkpoint.checkpoint

    def counted(function: Any, *args: Any, use_reentrant: bool, **more: Any) -> Any:
        calls.append(use_reentrant)
        return checkpoint(function, *args, use_reentrant=use_reentrant, **more)

    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", counted)
    monkeypatch.setattr("transformers.modeling_utils.checkpoint", counted, raising=False)
    assert finished(make_run("plain", **QUICK)).exit_code == 0
    plain_calls = len(calls)
    assert finished(make_run("saving", **QUICK, gradient_checkpointing=True)).exit_code == 0
    assert len(calls) > plain_calls
    assert set(calls[plain_calls:]) == {False}
    assert farthest(gradients[0], gradients[1]) < 1e-6


# Parts of a step.


@pytest.fixture
def uneven(records: list[PreferenceRecord]) -> list[PreferenceRecord]:
    """Training pairs of which each says less than the one before: 3, 2, 1, 0 dimensions."""
    return [
        replace(row, labels=dict(list(row.labels.items())[n % 4 :]))
        for n, row in enumerate(records)
    ]


def test_parts_with_unlike_numbers_of_judgements_make_the_gradient_of_one_batch(
    make_run: Make, uneven: list[PreferenceRecord], gradients: list[dict[int, torch.Tensor]]
) -> None:
    settings = {**QUICK, "pairs_per_step": 8, "rows": uneven}
    for parts in (1, 2, 8):
        run = make_run(f"parts-{parts}", **settings, accumulation=parts)
        assert finished(run).exit_code == 0
    assert farthest(gradients[0], gradients[1]) < 1e-5
    assert farthest(gradients[0], gradients[2]) < 1e-5


def test_a_mean_of_the_means_of_parts_would_be_another_gradient(
    make_run: Make,
    uneven: list[PreferenceRecord],
    gradients: list[dict[int, torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the released code: `loss * mask`, then the mean of what each part has."""

    def mean_of_means(self: Trainer, step: int, weight: float) -> Any:
        pairs, sums = self.splits["train"], StepSums.nothing(self.network.keys)
        for part in np.split(self.order.step(step, 8), 8):
            losses, weights, gaps = self._losses(pairs, part)
            if float(weights.sum()):
                (losses.sum() / weights.sum() / 8).backward()
            sums = sums.plus(pairs, part, losses, weights, gaps)
        return sums

    settings = {**QUICK, "pairs_per_step": 8, "rows": uneven, "accumulation": 8}
    assert finished(make_run("ours", **settings)).exit_code == 0
    monkeypatch.setattr(Trainer, "_backward", mean_of_means)
    assert finished(make_run("theirs", **settings)).exit_code == 0
    assert farthest(gradients[0], gradients[1]) > 0.05


def test_the_log_says_how_many_entries_each_dimension_had(
    make_run: Make, uneven: list[PreferenceRecord]
) -> None:
    run = make_run(**{**QUICK, "pairs_per_step": 8}, rows=uneven, accumulation=4)
    assert finished(run).exit_code == 0
    lines, _ = run.metrics_from(0)
    values = next(line.values for line in lines if "loss" in line.values)
    # Eight pairs, two of each kind: VQ is in the first, MQ in two, TA in three of four.
    assert [values[f"entries/{key}"] for key in ("VQ", "MQ", "TA")] == [2, 4, 6]
    mean = sum(values[f"loss/{k}"] * values[f"entries/{k}"] for k in ("VQ", "MQ", "TA")) / 12
    assert values["loss"] == pytest.approx(mean)


# Rates.


def test_each_group_learns_at_its_own_rate_and_warms_up(make_run: Make) -> None:
    run = make_run(
        **{**QUICK, "steps": 4},
        learning_rate=1e-4, vision_learning_rate=2e-4, head_learning_rate=4e-4,
        theta_learning_rate=8e-4, learn_theta=True, warmup=0.5, max_grad_norm=1e9,
    )  # fmt: skip
    config = RewardModelConfig.from_json(run.config())
    world = World(torch.device("cpu"))
    torch.manual_seed(0)
    made = Trainer(Supervised(run), gather(Supervised(run), config, world), world)
    start = {n: p.detach().clone() for n, p in made.network.named_parameters()}
    made.learn()
    moved = {
        name: float((parameter.detach() - start[name]).abs().max())
        for name, parameter in made.network.named_parameters()
        if parameter.requires_grad
    }
    # Half of each rate in the first of two steps of warm-up; Adam's first step is the rate.
    for name, rate in {
        "backbone.language_model.layers.0.mlp.up_proj.weight": 1e-4,
        "backbone.visual.blocks.0.mlp.fc1.weight": 2e-4,
        "heads": 4e-4,
        "tokens": 4e-4,
        "thetas.raw": 8e-4,
    }.items():
        assert moved[name] == pytest.approx(rate / 2, rel=0.02), name


def test_epochs_decide_the_steps(make_run: Make) -> None:
    # Eight training pairs, three times, in steps of four: six steps.
    run = make_run(**{**QUICK, "steps": 999}, epochs=3.0)
    assert finished(run).message == "trained for 6 steps"
    assert RewardModelConfig(epochs=0.01).for_pairs(5).steps == 1
    assert RewardModelConfig(steps=7).for_pairs(5).steps == 7


# Data that says little.


@pytest.fixture
def lonely(records: list[PreferenceRecord]) -> list[PreferenceRecord]:
    return [replace(row, split="train") for row in records[:2]]


def test_one_prompt_is_enough_to_train_and_says_what_it_lacks(
    make_run: Make, lonely: list[PreferenceRecord]
) -> None:
    outcome = finished(make_run(**QUICK, rows=lonely))
    assert outcome.exit_code == 0
    assert outcome.summary["calibration"]["source"] == "train"
    assert outcome.summary["evaluation"]["test"]["VQ"]["pairs"] == 0


@pytest.mark.parametrize("setting", [{"keep": "best"}, {"patience": 2}])
def test_what_relies_on_validation_prompts_is_refused_without_any(
    make_run: Make, lonely: list[PreferenceRecord], setting: dict[str, Any]
) -> None:
    outcome = finished(make_run(**QUICK, rows=lonely, **setting))
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "needs validation prompts with judgements, and this snapshot has none" in outcome.message


@pytest.mark.parametrize(("loss", "learned"), [("btt", True), ("bt", False)])
def test_a_campaign_of_ties_alone_has_a_defined_result(
    make_run: Make, records: list[PreferenceRecord], loss: str, learned: bool
) -> None:
    rows = [replace(row, labels=dict.fromkeys(row.labels, Label.TIE)) for row in records]
    outcome = finished(make_run(**{**QUICK, "steps": 2}, rows=rows, loss=loss))
    assert outcome.exit_code == 0
    # Plain Bradley-Terry has nothing to learn from a tie, and says so.
    assert outcome.summary["steps_without_opinion"] == (0 if learned else 2)
    assert ("nothing to learn from" in outcome.message) is not learned
    figures = outcome.summary["evaluation"]["test"]["VQ"]
    assert figures["accuracy_without_ties"] is None
    assert figures["accuracy_with_ties"] == 1.0


def test_steps_without_an_opinion_move_nothing(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    silent = [
        replace(row, labels={}) if row.split == "train" and n >= 4 else row
        for n, row in enumerate(records)
    ]
    run = make_run(**{**QUICK, "steps": 8, "pairs_per_step": 1, "log_every": 1}, rows=silent)
    outcome = finished(run)
    assert outcome.summary["steps_without_opinion"] == 4
    lines, _ = run.metrics_from(0)
    assert len([line for line in lines if "loss" in line.values]) == 4
    assert all(math.isfinite(value) for line in lines for value in line.values.values())


def test_a_share_of_the_data_is_a_share_of_its_prompts(make_run: Make) -> None:
    outcome = finished(make_run(**QUICK, data_fraction=0.5))
    # Four training prompts of two pairs each; the other splits stay whole.
    assert outcome.summary["pairs"] == {"train": 4, "validation": 2, "test": 2}
