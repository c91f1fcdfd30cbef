"""Runs that learn theta, some dimensions, other kinds of losses, single votes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from formats.dimensions import ANIME
from formats.files import sha256_of
from formats.labels import Label
from formats.outcome import Outcome
from formats.records import PreferenceRecord
from formats.run_dir import Input, RunDir
from formats.snapshot import write_snapshot
from formats.supervised import NonFiniteError, supervise
from models_rm.config import RewardModelConfig
from models_rm.losses import btt_nll, btt_probabilities
from models_rm.networks.network import RewardNetwork, Rewards
from models_rm.networks.thetas import Thetas
from models_rm.reward_models.checkpoints import read_card
from models_rm.reward_models.streaming import Scored
from models_rm.scores.run import record_of
from models_rm.scoring import RewardModel
from models_rm.training.run import train
from tests.models_rm.ready_preferences import said

Make = Callable[..., RunDir]


def finished(run: RunDir) -> Outcome:
    supervise(train, run)
    outcome = run.outcome()
    assert outcome is not None
    return outcome


def of_dimensions(run: RunDir, *keys: str) -> RunDir:
    """The same run, for some dimensions of its snapshot."""
    inputs = {
        "snapshot": Input(str(run.input("snapshot"))), "backbone": Input(str(run.input("backbone")))
    }  # fmt: skip
    run.prepare({**run.config(), "dimensions": list(keys)}, inputs, media_root=run.media_root())
    return run


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "reward_model" / "weights.safetensors")


def test_a_theta_finds_the_one_that_people_vote_by() -> None:
    torch.manual_seed(0)
    gap = 2 * torch.randn(6000, 2)
    for true in (1.5, 8.0):
        chances = btt_probabilities(gap, true).cumsum(-1)
        label = 1 - (torch.rand(6000, 2, 1) > chances).sum(-1)
        theta = Thetas([5.0, 5.0], learned=True)
        theta.start_at([float((label[:, d] == 0).float().mean()) for d in range(2)])
        assert theta.values().detach().max() < true + 1  # pairs differ, so the start is too low
        optimizer = torch.optim.Adam(theta.parameters(), 0.05)
        for _ in range(400):
            optimizer.zero_grad()
            btt_nll(gap, torch.zeros_like(gap), label, theta.values()).mean().backward()
            optimizer.step()
        assert theta.values().tolist() == pytest.approx([true, true], rel=0.08)


@pytest.mark.parametrize("rate", [0.0, 0.474, 1.0])
def test_a_start_is_the_theta_of_equal_pairs_and_always_above_one(rate: float) -> None:
    theta = Thetas([5.0], learned=True)
    theta.start_at([rate])
    found = theta.values().item()
    assert 1.02 < found < 40
    if rate == 0.474:
        assert found == pytest.approx(2.80, abs=0.01)  # ML.md 1.1
    fixed = Thetas([5.1])
    fixed.start_at([rate])
    assert fixed.by_key(["VQ"]) == {"VQ": 5.1}
    assert not list(fixed.parameters())
    assert not fixed.state_dict()


def test_a_learned_theta_moves_and_stands_in_the_card_and_the_weights(make_run: Make) -> None:
    run = make_run(learn_theta=True, theta_learning_rate=0.3, steps=6, theta=3.0)
    outcome = finished(run)
    theta = outcome.outputs[0].meta["theta"]
    start = (1 + 3 / 11) / (1 - 3 / 11)  # eight training pairs, two of them ties
    assert all(abs(value - start) > 1e-3 for value in theta.values())
    lines, _ = run.metrics_from(0)
    logged = [line.values["theta/VQ"] for line in lines if "theta/VQ" in line.values]
    assert len(logged) == 6
    assert logged[-1] == pytest.approx(theta["VQ"])
    card = read_card(run.outputs / "reward_model")
    assert card.theta == theta
    assert outcome.summary["evaluation"]["test"]["VQ"]["theta"] == theta["VQ"]
    found = [theta[key] for key in ("VQ", "MQ", "TA")]
    raw = weights(run)["thetas.raw"]
    assert (1 + torch.nn.functional.softplus(raw)).tolist() == pytest.approx(found, abs=1e-3)
    model = RewardModel.load(run.outputs / "reward_model")
    assert model.theta == theta
    thetas = model.members[0].network.thetas
    assert thetas.values().tolist() == pytest.approx(found)


def test_some_of_the_dimensions_train_and_the_others_are_not_looked_at(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    run = of_dimensions(make_run("some"), "TA", "VQ")
    outcome = finished(run)
    assert outcome.outputs[0].meta["dimensions"] == ["VQ", "TA"]
    assert weights(run)["tokens"].shape[0] == weights(run)["heads"].shape[0] == 2
    other = [replace(row, labels={**row.labels, "MQ": Label.B}) for row in records]
    again = of_dimensions(make_run("again", rows=other), "TA", "VQ")
    finished(again)
    one, two = weights(run), weights(again)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"loss": {"VQ": "btt"}}, "loss must name exactly the dimensions VQ, MQ, TA; got VQ"),
        ({"dimension_weights": {"XX": 2.0}}, "dimension_weights names XX; the dimensions are VQ"),
        (
            {"dimension_weights": {"VQ": 0, "MQ": 0, "TA": 0}},
            "dimension_weights must leave one dimension above 0",
        ),
        ({"loss": "regression"}, "the loss 'regression' of VQ needs 1-5 scores, and no training"),
        ({"labels": "votes"}, "labels 'votes' needs the single judgements"),
    ],
)
def test_what_does_not_fit_the_snapshot_is_refused(
    make_run: Make, config: dict[str, Any], message: str
) -> None:
    outcome = finished(make_run(**config))
    assert outcome.reason == "bad_config"
    assert message in outcome.message


def test_a_dimension_that_nobody_judged_is_refused(make_run: Make) -> None:
    outcome = finished(of_dimensions(make_run(), "VQ", "XX"))
    assert outcome.reason == "bad_config"
    assert "dimension 'XX' is not in the set 'videoalign' (VQ, MQ, TA)" in outcome.message


@pytest.mark.parametrize("uncertainty", [False, True])
def test_six_dimensions_of_five_kinds_train_on_one_backbone(
    make_run: Make, records: list[PreferenceRecord], uncertainty: bool
) -> None:
    kinds = ("btt", "bt", "margin", "constant_margin", "regression", "btt")
    scores = dict.fromkeys(ANIME.keys, 4.0)
    rows = [
        replace(
            row, labels=dict.fromkeys(ANIME.keys, row.labels["VQ"]), scores_a=scores,
            scores_b=dict.fromkeys(scores, 2.5),
        )
        for row in records
    ]  # fmt: skip
    run = make_run(
        rows=rows, dimensions=ANIME, steps=2, uncertainty=uncertainty, learn_theta=True,
        loss=dict(zip(ANIME.keys, kinds, strict=True)), shared_head=True,
    )  # fmt: skip
    assert finished(run).exit_code == 0
    lines, _ = run.metrics_from(0)
    logged = {name for line in lines for name in line.values}
    assert {f"loss/{key}" for key in ANIME.keys} <= logged
    assert weights(run)["heads"].shape[0] == 1


def run_of_votes(
    make_run: Make, rows: list[PreferenceRecord], annotators: Any, name: str, **config: Any
) -> RunDir:
    """A run whose snapshot says how reliable its annotators are."""
    run = make_run(name, labels="votes", annotator_weights="reliability", **config)
    from formats.dimensions import VIDEOALIGN

    folder = Path(run.root.parent) / f"{name}-votes"
    sha256 = write_snapshot(folder, VIDEOALIGN, rows, {}, annotators)
    inputs = {"snapshot": Input(str(folder), sha256), "backbone": Input(str(run.input("backbone")))}
    run.prepare(run.config(), inputs, media_root=run.media_root())
    assert sha256 == sha256_of(folder / "manifest.json")
    return run


def test_a_careless_annotator_without_weight_changes_nothing(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    good = [replace(r, judgements=said(("x", "VQ", r.labels["VQ"].value))) for r in records]
    noisy = [replace(row, judgements=[*row.judgements, *said(("y", "VQ", "B"))]) for row in good]
    worth = {"x": {"VQ": 1.0}, "y": {"VQ": 0.0}}
    runs = [
        run_of_votes(make_run, good, worth, "good"), run_of_votes(make_run, noisy, worth, "noisy"),
        run_of_votes(make_run, noisy, {**worth, "y": {"VQ": 1.0}}, "trusted"),
    ]  # fmt: skip
    assert [finished(run).exit_code for run in runs] == [0, 0, 0]
    one, same, other = (weights(run) for run in runs)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["heads"], other["heads"])


def test_an_all_tie_campaign_trains_to_a_model_without_an_order(
    make_run: Make, records: list[PreferenceRecord]
) -> None:
    ties = [replace(row, labels=dict.fromkeys(row.labels, Label.TIE)) for row in records]
    run = make_run(rows=ties, learn_theta=True, uncertainty=True, theta_learning_rate=0.1)
    outcome = finished(run)
    assert outcome.exit_code == 0
    figures = outcome.summary["evaluation"]["test"]["VQ"]
    assert (figures["decisive"], figures["accuracy_without_ties"]) == (0, None)
    assert figures["accuracy_with_ties"] == figures["baseline_always_tie"] == 1.0
    assert np.isfinite(figures["nll"])
    assert all(theta > 2 for theta in outcome.outputs[0].meta["theta"].values())
    assert all(torch.isfinite(each).all() for each in weights(run).values())


def test_one_annotator_is_enough(make_run: Make, records: list[PreferenceRecord]) -> None:
    rows = [replace(r, judgements=said(("x", "VQ", r.labels["VQ"].value))) for r in records]
    run = run_of_votes(make_run, rows, {"x": {"VQ": 1.0}}, "one")
    assert finished(run).summary["evaluation"]["test"]["VQ"]["pairs"] == 2


def test_configs_and_cards_of_older_versions_are_read() -> None:
    old = RewardModelConfig.from_json({"loss": "btt", "soft_labels": True})
    assert (old.labels, old.uncertainty, old.dimensions) == ("posterior", False, ())
    assert RewardModelConfig.from_json({"soft_labels": False}).labels == "consensus"


def test_a_snapshot_keeps_what_annotators_are_worth(tmp_path: Path) -> None:
    from formats.dimensions import VIDEOALIGN
    from formats.errors import FormatError
    from formats.snapshot import read_snapshot

    worth = {"x": {"VQ": 0.5}}
    write_snapshot(tmp_path / "good", VIDEOALIGN, [], {}, worth)
    assert read_snapshot(tmp_path / "good").annotators == worth
    write_snapshot(tmp_path / "none", VIDEOALIGN, [], {})
    assert read_snapshot(tmp_path / "none").annotators == {}
    write_snapshot(tmp_path / "bad", VIDEOALIGN, [], {}, {"x": {"VQ": 1.5}})
    with pytest.raises(FormatError, match="the reliability of 'x' on VQ must be from 0 to 1, got"):
        read_snapshot(tmp_path / "bad")


def test_a_reward_that_is_no_number_is_named_with_its_clip(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = RewardNetwork.rewards_at

    def broken(network: RewardNetwork, states: torch.Tensor) -> Rewards:
        found = healthy(network, states)
        found.mean.data[-1, 1] = float("nan")
        return found

    monkeypatch.setattr(RewardNetwork, "rewards_at", broken)
    outcome = finished(make_run())
    assert outcome.reason == "non_finite"
    assert "rewards are not finite numbers; the first is the MQ of clip" in outcome.message
    assert "for the prompt 'prompt" in outcome.message


def test_a_score_that_is_no_number_is_no_score(model_of_run: RewardModel) -> None:
    scored = Scored(0, np.array([1.0, np.nan, 0.0]), None)
    with pytest.raises(NonFiniteError, match="the MQ of clip 'v' for the prompt 'a cat' is no"):
        record_of(model_of_run, ("v", "p", "a cat"), scored)


@pytest.fixture
def model_of_run(make_run: Make) -> RewardModel:
    run = make_run(steps=1)
    finished(run)
    return RewardModel.load(run.outputs / "reward_model")
