"""What enters a loss and with which weight: labels, soft labels, votes, margins, dimensions."""

from typing import Any

import numpy as np
import pytest
import torch

from formats.errors import FormatError
from formats.files import read_jsonl, write_jsonl
from formats.records import PreferenceRecord
from formats.snapshot import Snapshot
from formats.supervised import BadConfigError
from models_rm.config import RewardModelConfig
from models_rm.losses import btt_nll, btt_soft_nll
from models_rm.networks.network import Rewards
from models_rm.networks.thetas import Thetas
from models_rm.preferences.data import Pairs, pairs_of
from models_rm.preferences.targets import (
    class_weights,
    entry_weights,
    refuse_useless,
    refuse_without_judgements,
    tie_rates,
)
from models_rm.training.objective import entry_losses
from tests.models_rm.ready_preferences import pair, said

KEYS = ("VQ", "MQ")


def everything(pairs: Pairs) -> np.ndarray:
    return np.arange(len(pairs))


def classes(rows: list[PreferenceRecord], reliability: Any = None, **config: Any) -> Any:
    """Class weights as nested lists."""
    pairs = pairs_of(rows, KEYS, reliability)
    return class_weights(pairs, everything(pairs), RewardModelConfig(**config)).tolist()


def mean_loss(
    rows: list[PreferenceRecord], gap: float = 1.0, keys: tuple[str, ...] = KEYS, **config: Any
) -> float:
    """The loss of a step over all rows, at one difference of rewards everywhere."""
    pairs, settings = pairs_of(rows, keys), RewardModelConfig(**config)
    a = torch.full((len(pairs), len(keys)), gap)
    theta = Thetas(settings.theta_of(keys))
    losses, weights = entry_losses(
        Rewards(a), Rewards(torch.zeros_like(a)), pairs, everything(pairs), settings, theta
    )
    return float(losses.sum() / weights.sum())


def test_a_consensus_is_one_vote_and_invalid_is_none() -> None:
    rows = [pair(1, {"VQ": "A", "MQ": "tie"}), pair(2, {"VQ": "invalid"})]
    assert classes(rows) == [[[1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_a_posterior_is_used_where_there_is_one_and_the_label_elsewhere() -> None:
    rows = [pair(1, {"MQ": "B"}, posterior={"VQ": [0.5, 0.25, 0.25]})]
    assert classes(rows, labels="posterior") == [[[0.5, 0.25, 0.25], [0, 0, 1]]]
    assert classes(rows) == [[[0, 0, 0], [0, 0, 1]]]


def test_a_soft_label_costs_its_cross_entropy() -> None:
    rows = [pair(1, {}, posterior={"VQ": [0.5, 0.25, 0.25]})]
    expected = btt_soft_nll(torch.ones(1, 1), torch.zeros(1, 1), torch.tensor([0.5, 0.25, 0.25]), 5)
    assert mean_loss(rows, labels="posterior") == pytest.approx(expected.item(), abs=1e-6)


VOTES = said(("x", "VQ", "A"), ("y", "VQ", "tie"), ("z", "VQ", "A"), ("x", "MQ", "invalid"))


def test_votes_count_one_each_and_an_invalid_one_nothing() -> None:
    rows = [pair(1, {"VQ": "A"}, judgements=VOTES)]
    assert classes(rows, labels="votes") == [[[2, 1, 0], [0, 0, 0]]]


def test_an_imported_label_is_one_vote_and_an_invalid_consensus_none() -> None:
    rows = [pair(1, {"VQ": "B"}, source="import"), pair(2, {"VQ": "invalid"}, judgements=VOTES)]
    assert classes(rows, labels="votes") == [[[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_votes_weigh_what_their_annotators_are_worth() -> None:
    rows = [pair(1, {"VQ": "A"}, judgements=VOTES)]
    worth = {"x": {"VQ": 1.0}, "y": {"VQ": 0.25}, "z": {"VQ": 0.0}}
    assert classes(rows, worth, labels="votes") == [[[1, 0.25, 0], [0, 0, 0]]]
    # Who is in no list, or not on this dimension, counts fully.
    assert classes(rows, {"x": {"MQ": 0.0}}, labels="votes") == [[[2, 1, 0], [0, 0, 0]]]


def test_three_votes_cost_the_mean_of_three_labels() -> None:
    rows = [pair(1, {"VQ": "A"}, judgements=VOTES)]
    one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    each = [btt_nll(one, zero, torch.tensor([[label]]), 5.0).item() for label in (1, 0, 1)]
    assert mean_loss(rows, labels="votes") == pytest.approx(np.mean(each), abs=1e-6)


@pytest.mark.parametrize("loss", ["bt", "margin", "constant_margin"])
def test_a_tie_says_nothing_to_a_loss_without_ties(loss: str) -> None:
    scores = {"scores_a": {"VQ": 4.0}, "scores_b": {"VQ": 2.0}}
    rows = [pair(1, {"VQ": "tie"}, **scores), pair(2, {"VQ": "A"}, **scores)]
    assert classes(rows, loss=loss) == [[[0, 0, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]]


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_a_margin_is_the_difference_of_the_mean_scores() -> None:
    rows = [pair(1, {"VQ": "B"}, scores_a={"VQ": 2.0}, scores_b={"VQ": 3.5})]
    assert mean_loss(rows, loss="margin") == pytest.approx(softplus(1 + 1.5), abs=1e-6)


def test_a_margin_against_the_vote_counts_as_none() -> None:
    rows = [pair(1, {"VQ": "A"}, scores_a={"VQ": 2.0}, scores_b={"VQ": 3.5})]
    assert mean_loss(rows, loss="margin") == pytest.approx(softplus(-1), abs=1e-6)


def test_a_pair_without_scores_has_no_margin_and_is_left_out() -> None:
    with_scores = pair(1, {"VQ": "A"}, scores_a={"VQ": 3.5}, scores_b={"VQ": 2.0})
    half = pair(2, {"VQ": "A"}, scores_a={"VQ": 3.5})
    pairs = pairs_of([with_scores, half], KEYS)
    weights = entry_weights(pairs, everything(pairs), RewardModelConfig(loss="margin"))
    assert weights.tolist() == [[1, 0], [0, 0]]
    assert mean_loss([with_scores, half], loss="margin") == pytest.approx(softplus(0.5), abs=1e-6)
    plain = mean_loss([half], loss="margin", margin_without_scores="no_margin")
    assert plain == pytest.approx(softplus(-1), abs=1e-6)


def test_the_constant_margin_is_a_setting() -> None:
    rows = [pair(1, {"VQ": "A"})]
    assert mean_loss(rows, loss="constant_margin") == pytest.approx(softplus(-0.43), abs=1e-6)
    other = mean_loss(rows, loss="constant_margin", constant_margin=1.5)
    assert other == pytest.approx(softplus(0.5), abs=1e-6)


def test_regression_is_the_mean_over_scored_clips() -> None:
    # Rewards 1 and 0; scores 5 and 3 are 2 and 0, and 4 is 1.
    rows = [
        pair(1, {"VQ": "A"}, scores_a={"VQ": 5.0}, scores_b={"VQ": 3.0}),
        pair(2, {}, scores_a={"VQ": 4.0}),
    ]
    assert mean_loss(rows, loss="regression") == pytest.approx((1 + 0 + 0) / 3, abs=1e-6)


def test_each_dimension_has_its_own_kind_of_loss() -> None:
    rows = [pair(1, {"VQ": "A", "MQ": "tie"}, scores_a={"MQ": 5.0}, scores_b={"MQ": 3.0})]
    both = mean_loss(rows, loss={"VQ": "bt", "MQ": "regression"})
    # softplus(-1) of the vote, and (1 - 2)^2 and (0 - 0)^2 of the two scores.
    assert both == pytest.approx((softplus(-1) + 0.5) / 2, abs=1e-6)


def test_dimensions_weigh_what_the_config_says() -> None:
    rows = [pair(1, {"VQ": "A", "MQ": "B"})]
    a, b = mean_loss(rows[:1], loss="bt", keys=("VQ",)), softplus(1)
    weighted = mean_loss(rows, loss="bt", dimension_weights={"MQ": 3.0})
    assert weighted == pytest.approx((a + 3 * b) / 4, abs=1e-6)
    alone = mean_loss(rows, loss="bt", dimension_weights={"MQ": 0.0})
    assert alone == pytest.approx(a, abs=1e-6)


def test_what_is_masked_may_be_anything() -> None:
    pairs = pairs_of([pair(1, {"VQ": "A"})], KEYS)
    poisoned = torch.tensor([[1.0, float("nan")]], requires_grad=True)
    losses, weights = entry_losses(
        Rewards(poisoned), Rewards(torch.zeros(1, 2)), pairs, everything(pairs),
        RewardModelConfig(), Thetas([5.0, 5.0]),
    )  # fmt: skip
    losses.sum().backward()
    assert weights.tolist() == [[1, 0]]
    assert losses[0, 1] == 0
    assert poisoned.grad[0, 1] == 0
    assert torch.isfinite(poisoned.grad).all()


def test_an_all_tie_campaign_has_a_loss_that_pulls_rewards_together() -> None:
    pairs = pairs_of([pair(n, {"VQ": "tie", "MQ": "tie"}) for n in range(3)], KEYS)
    a = torch.full((3, 2), 2.0, requires_grad=True)
    losses, _ = entry_losses(
        Rewards(a), Rewards(torch.zeros(3, 2)), pairs, everything(pairs), RewardModelConfig(),
        Thetas([5.0, 5.0]),
    )  # fmt: skip
    losses.sum().backward()
    assert (a.grad > 0).all()
    assert tie_rates(pairs, RewardModelConfig()) == pytest.approx([4 / 6, 4 / 6])


def test_a_dimension_without_labels_has_no_weight_and_a_theta() -> None:
    pairs = pairs_of([pair(n, {"VQ": "A"}) for n in range(3)], KEYS)
    assert entry_weights(pairs, everything(pairs), RewardModelConfig())[:, 1].tolist() == [0, 0, 0]
    # Without a vote a tie is one of three.
    assert tie_rates(pairs, RewardModelConfig())[1] == pytest.approx(1 / 3)


def test_a_loss_from_scores_without_scores_is_refused() -> None:
    pairs = pairs_of([pair(1, {"VQ": "A", "MQ": "A"}, scores_a={"VQ": 3.0})], KEYS)
    refuse_useless(pairs, RewardModelConfig(loss="btt"))
    mixed = RewardModelConfig(loss={"VQ": "regression", "MQ": "btt"})
    refuse_useless(pairs, mixed)
    with pytest.raises(BadConfigError, match="the loss 'margin' of VQ needs 1-5 scores, and no"):
        refuse_useless(pairs, RewardModelConfig(loss={"VQ": "margin", "MQ": "btt"}))


def test_votes_are_refused_where_a_snapshot_keeps_none() -> None:
    from formats.dimensions import VIDEOALIGN

    old = Snapshot(VIDEOALIGN, [pair(1, {"VQ": "A"})], {})
    with pytest.raises(BadConfigError, match="needs the single judgements, and this snapshot has"):
        refuse_without_judgements(old, RewardModelConfig(labels="votes"))
    voted = Snapshot(VIDEOALIGN, [pair(1, {"VQ": "A"}, judgements=VOTES)], {})
    refuse_without_judgements(voted, RewardModelConfig(labels="votes"))
    weighed = RewardModelConfig(labels="votes", annotator_weights="reliability")
    with pytest.raises(BadConfigError, match="a snapshot that says how reliable its annotators"):
        refuse_without_judgements(voted, weighed)


def test_a_judgement_outside_the_words_names_its_line(tmp_path: Any) -> None:
    file = tmp_path / "preferences.jsonl"
    PreferenceRecord.write(file, [pair(1, {"VQ": "A"}, judgements=VOTES)])
    assert PreferenceRecord.read(file)[0].judgements == VOTES
    rows = [row for _, row in read_jsonl(file, PreferenceRecord.SCHEMA)]
    rows[0]["judgements"][1][2] = "Same"
    write_jsonl(file, PreferenceRecord.SCHEMA, rows)
    with pytest.raises(FormatError, match=r"jsonl:2: .*'Same' is not a valid Label"):
        PreferenceRecord.read(file)
