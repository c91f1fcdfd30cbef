"""The alignment run: where it starts, how it resumes, what it leaves, what stops it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from formats.checkpoints import verify_folder
from formats.errors import FormatError
from formats.run_dir import MetricLine, RunDir
from formats.supervised import BadConfigError, NonFiniteError, Supervised
from models_align import trainer
from models_align.adapters import ADAPTER
from models_align.generators.wan import load_wan
from models_align.training import train

METHODS: list[dict[str, Any]] = [
    {"method": "flow_dpo", "settings": {"beta": 100.0}},
    {"method": "flow_dpo", "settings": {"beta": 100.0, "beta_schedule": "squared"}},
    {"method": "gapo", "settings": {"beta": 100.0}},
    {"method": "rwr", "settings": {"temperature": 0.5}},
    {"method": "sft"},
]


def logs(run: RunDir) -> list[MetricLine]:
    return [line for line in run.metrics_from(0)[0] if line.stage == "training"]


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "adapter" / "pytorch_lora_weights.safetensors")


class Stopped(Exception):
    pass


class StopsAt(Supervised):
    """Asked to stop after a number of looks."""

    def __init__(self, run_dir: RunDir, looks: int):
        super().__init__(run_dir)
        self.looks = looks

    def check(self, save: Callable[[], None] | None = None) -> None:
        if save is None:
            return
        self.looks -= 1
        if self.looks < 0:
            save()
            raise Stopped


@pytest.mark.parametrize("config", METHODS, ids=lambda each: each["method"])
def test_every_method_trains_and_leaves_a_verified_adapter(alignment_run, config):
    run = alignment_run("run", config)
    outcome = train(Supervised(run))
    (output,) = outcome.outputs
    verify_folder(run.root / output.path)
    card = json.loads((run.root / output.path / "card.json").read_text())
    assert card["config"]["reduction"] == "mean"
    assert card["method"] == config["method"]
    assert [line.step for line in logs(run)] == [1, 2, 3, 4]
    assert any(each.abs().max() > 0 for name, each in weights(run).items() if "lora_B" in name)


@pytest.mark.parametrize("config", METHODS[:3], ids=["dpo", "squared", "gapo"])
def test_the_first_loss_is_ln_2(alignment_run, config):
    # GAPO's factors have mean 1 over all pairs, and these are four.
    run = alignment_run("run", {**config, "steps": 1, "pairs_per_step": 4})
    train(Supervised(run))
    values = logs(run)[0].values
    assert values["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert values["implicit_accuracy"] == 0.5
    assert values["winner_drift"] == values["loser_drift"] == values["z_max"] == 0.0


def test_gapo_without_normalisation_starts_at_the_factor_times_ln_2(alignment_run):
    settings = {"beta": 100.0, "normalise_gap": False}
    run = alignment_run(
        "run", {"method": "gapo", "settings": settings, "steps": 1, "pairs_per_step": 4}
    )
    train(Supervised(run))
    factors = [2 ** (0.6 + 0.1 * (n % 3)) - 2**0.2 for n in range(4)]
    assert logs(run)[0].values["loss"] == pytest.approx(sum(factors) / 4 * math.log(2), abs=1e-6)


def test_training_lowers_the_loss_and_parts_winners_from_losers(alignment_run):
    run = alignment_run(
        "run", {"settings": {"beta": 200.0}, "steps": 40, "lr": 5e-3, "pairs_per_step": 4}
    )
    train(Supervised(run))
    last = logs(run)[-1].values
    assert last["loss"] < 0.6
    assert last["implicit_accuracy"] > 0.5
    assert last["winner_drift"] < last["loser_drift"]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(alignment_run, write_pairs):
    pairs = write_pairs()
    config = {"lora": {"r": 2, "alpha": 4, "dropout": 0.2}, "caption_dropout": 0.3, "steps": 5}
    whole = alignment_run("whole", config, pairs)
    train(Supervised(whole))
    broken = alignment_run("broken", {**config, "save_every": 2}, pairs)
    with pytest.raises(Stopped):
        train(StopsAt(broken, looks=3))
    train(Supervised(broken))
    assert weights(whole).keys() == weights(broken).keys()
    for name, each in weights(whole).items():
        assert torch.equal(each, weights(broken)[name]), name
    assert logs(whole)[-1].values == logs(broken)[-1].values


def test_the_adapter_loads_through_diffusers_with_its_scale(alignment_run, tiny_wan_folder):
    run = alignment_run("run", {"lora": {"r": 2, "alpha": 8}, "lr": 1e-2})
    train(Supervised(run))
    folder = run.outputs / "adapter"
    generator = load_wan(tiny_wan_folder)
    x, t = torch.randn(1, 6, 3, 8, 8), torch.tensor([0.5])
    text = generator.encode_prompts(["a red circle"])
    with torch.no_grad():
        base = generator.velocity(x, t, text)
        generator.pipeline.load_lora_weights(str(folder), adapter_name=ADAPTER)
        module = generator.transformer.blocks[0].attn1.to_q
        assert module.scaling[ADAPTER] == 8 / 2
        assert not torch.equal(generator.velocity(x, t, text), base)
        generator.pipeline.disable_lora()
        # Adapter off is the base, bit for bit: the reference needs no second model.
        assert torch.equal(generator.velocity(x, t, text), base)


@pytest.mark.promise("A4")
def test_a_loss_that_is_not_finite_stops_before_the_step(alignment_run, monkeypatch):
    run = alignment_run("run", {})
    stepped = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: stepped.append(1))
    monkeypatch.setattr(
        trainer, "pair_losses", lambda _c, _b, errors: errors.policy_w * float("nan")
    )
    with pytest.raises(NonFiniteError, match="step 0: the loss is nan"):
        train(Supervised(run))
    assert not stepped
    assert not (run.outputs / "adapter").exists()


def test_pairs_of_other_splits_are_never_trained_on(alignment_run, write_pairs):
    run = alignment_run("run", {}, write_pairs(split="test"))
    with pytest.raises(FormatError, match=r"pairs.jsonl: no pair of the split 'train' among 4"):
        train(Supervised(run))


def test_a_clip_that_changed_or_broke_is_found_before_the_first_step(alignment_run, tmp_path: Path):
    run = alignment_run("run", {})
    clip = tmp_path / "media" / "w1.mp4"
    clip.write_bytes((tmp_path / "media" / "w0.mp4").read_bytes())
    with pytest.raises(FormatError, match=r"w1.mp4: the clip w1 has changed"):
        train(Supervised(run))
    clip.write_bytes(b"broken")
    with pytest.raises(FormatError, match=r"w1.mp4: the clip cannot be read"):
        train(Supervised(run))
    assert not logs(run)


def test_targets_that_match_no_layer_are_refused(alignment_run):
    run = alignment_run("run", {"lora": {"targets": ["to_nothing"]}})
    with pytest.raises(BadConfigError, match="LoRA cannot go on to_nothing"):
        train(Supervised(run))
