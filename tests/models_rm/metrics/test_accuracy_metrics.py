"""Accuracies with and without ties: vectors of ML.md 3.2, 3.3 and 3.5, and their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models_rm.metrics import (
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    baselines,
    brier_score,
    btt_threshold,
    clustered_interval,
    kendall_tau_b,
    pearson,
    share_above_chance,
    spearman,
)

HUMAN = [1, 1, 0, -1, 0, 1, -1, 0, 1, -1, 0, 1]
PREDICTED = [1.5, 0.125, 0.0, -0.75, 0.25, 0.5, 0.25, -0.25, 2.0, -1.25, 0.5, -0.0625]
CURVE = {
    0.0: 7 / 12, 0.0625: 7 / 12, 0.125: 6 / 12, 0.25: 8 / 12, 0.5: 8 / 12, 0.75: 7 / 12,
    1.25: 6 / 12, 1.5: 5 / 12, 2.0: 4 / 12,
}  # fmt: skip

few_pairs = st.lists(
    st.tuples(st.sampled_from([-1, 0, 1]), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 2.0])),
    min_size=1,
    max_size=14,
)


def test_the_worked_example_gives_its_curve_and_the_smallest_best_threshold() -> None:
    found = accuracy_with_ties(HUMAN, PREDICTED)
    assert found.accuracy == pytest.approx(8 / 12)
    assert found.threshold == 0.25
    assert dict(found.curve) == pytest.approx(CURVE)


@pytest.mark.parametrize(
    ("human", "predicted", "accuracy", "threshold"),
    [
        ([1, -1, 1, -1], [3, -2, 1, -0.5], 1.0, 0.0),
        ([0, 1, 1, 1], [1, 1, 1, 1], 0.75, 0.0),
        ([0, 0], [0.5, -3.0], 1.0, 3.0),
        ([1], [0.0], 0.0, 0.0),
    ],
)
def test_further_vectors(
    human: list[int], predicted: list[float], accuracy: float, threshold: float
) -> None:
    found = accuracy_with_ties(human, predicted)
    assert (found.accuracy, found.threshold) == (accuracy, threshold)


def test_without_ties_only_decisive_pairs_count() -> None:
    assert accuracy_without_ties(HUMAN, PREDICTED) == 6 / 8
    assert accuracy_without_ties([0, 0], [1.0, 2.0]) is None


def test_a_predicted_exact_tie_is_wrong_or_half_right() -> None:
    assert accuracy_without_ties([1, 1], [0.0, 1.0]) == 0.5
    assert accuracy_without_ties([1, 1], [0.0, 1.0], ties="half") == 0.75


def test_nothing_to_judge_is_none_and_not_zero() -> None:
    assert accuracy_with_ties([], []) is None
    assert accuracy_with_ties([None, float("nan")], [1.0, 2.0]) is None
    assert accuracy_without_ties([], []) is None


def test_pairs_without_a_label_are_left_out() -> None:
    assert accuracy_with_ties([1, None, -1], [1.0, 5.0, -1.0]).accuracy == 1.0


def test_lists_arrays_and_tensors_give_the_same() -> None:
    expected = accuracy_with_ties(HUMAN, PREDICTED)
    assert accuracy_with_ties(np.array(HUMAN), np.array(PREDICTED)) == expected
    assert accuracy_with_ties(torch.tensor(HUMAN), torch.tensor(PREDICTED)) == expected


@pytest.mark.parametrize(
    ("human", "predicted", "message"),
    [
        ([1, 22], [0.1, 0.2], r"\+1, 0 or -1"),
        ([1], [float("nan")], "not a finite number"),
        ([1, 0], [0.5], "one length"),
    ],
)
def test_bad_input_is_refused(human: list[int], predicted: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accuracy_with_ties(human, predicted)


def test_nearly_equal_differences_flip_together() -> None:
    # 0.5 - 0.4 and 0.4 - 0.3 are different floats of one meaning.
    found = accuracy_with_ties([0, 1], [0.5 - 0.4, 0.4 - 0.3])
    assert (found.accuracy, found.threshold) == (0.5, 0.0)


@given(few_pairs)
@settings(max_examples=200, deadline=None)
def test_the_fast_way_equals_trying_every_threshold(pairs: list[tuple[int, float]]) -> None:
    human, predicted = zip(*pairs, strict=True)
    tries = {eps: accuracy_at(human, predicted, eps) for eps in {0.0, *map(abs, predicted)}}
    best = max(tries.values())
    found = accuracy_with_ties(human, predicted)
    assert found.accuracy == pytest.approx(best)
    assert found.threshold == min(eps for eps, value in tries.items() if value == best)


@given(few_pairs, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_order_of_rows_does_not_matter(pairs: list[tuple[int, float]], random) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert accuracy_with_ties(*zip(*pairs, strict=True)) == accuracy_with_ties(
        *zip(*shuffled, strict=True)
    )


@given(few_pairs)
@settings(max_examples=100, deadline=None)
def test_swapping_a_and_b_changes_nothing(pairs: list[tuple[int, float]]) -> None:
    human, predicted = (np.array(each) for each in zip(*pairs, strict=True))
    assert accuracy_with_ties(human, predicted) == accuracy_with_ties(-human, -predicted)
    assert accuracy_without_ties(human, predicted) == accuracy_without_ties(-human, -predicted)


def test_a_monotone_odd_transform_leaves_the_accuracy_without_ties() -> None:
    assert accuracy_without_ties(HUMAN, np.sinh(PREDICTED)) == accuracy_without_ties(
        HUMAN, PREDICTED
    )


def test_the_threshold_of_the_model_needs_no_labels() -> None:
    assert btt_threshold(5.0) == pytest.approx(1.5261, abs=1e-4)
    assert btt_threshold(2.0) == 0.0
    assert btt_threshold(1.2) == 0.0


def test_baselines_say_what_no_information_reaches() -> None:
    assert baselines([0, 0, 1, -1]) == {"always_tie": 0.5, "random": 0.5}
    assert baselines([1, 1, 1, -1]) == {"always_tie": 0.0, "random": pytest.approx(1 / 3)}


def test_share_above_chance_relates_to_the_ceiling() -> None:
    # By hand: 0.35 of 0.42.
    assert share_above_chance(0.85, 0.92) == pytest.approx(0.8333, abs=1e-4)


def test_the_interval_resamples_prompts_and_not_pairs() -> None:
    rng = np.random.default_rng(3)
    prompts = [f"prompt {n // 20}" for n in range(200)]
    right = np.repeat(rng.random(10) < 0.6, 20)  # all pairs of a prompt are right, or all wrong
    predicted = np.where(right, 1.0, -1.0)
    human = np.ones(200)
    clustered = clustered_interval(human, predicted, prompts, seed=0)
    alone = clustered_interval(human, predicted, range(200), seed=0)
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)
    assert clustered.low <= right.mean() <= clustered.high
    assert clustered == clustered_interval(human, predicted, prompts, seed=0)


def test_the_interval_is_none_where_the_statistic_is() -> None:
    assert clustered_interval([0, 0], [1.0, 2.0], ["a", "b"]) is None
    assert clustered_interval([], [], []) is None


def test_correlations_are_those_of_the_vector() -> None:
    x, y = [1, 2, 2, 4, 5], [0.1, 0.4, 0.2, 0.9, 0.7]
    assert spearman(x, y) == pytest.approx(0.872082, abs=1e-6)
    assert kendall_tau_b(x, y) == pytest.approx(0.737865, abs=1e-6)
    assert pearson(x, y) == pytest.approx(0.887105, abs=1e-6)


def test_a_side_without_variation_has_no_correlation() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert kendall_tau_b([1, 1, 1], [1, 2, 3]) is None
    assert pearson([1], [2]) is None


def test_the_brier_score_is_the_squared_distance_to_what_people_said() -> None:
    # A is right: (1-0.5)^2 + 0.3^2 + 0.2^2 = 0.38
    assert brier_score([1], [[0.5, 0.3, 0.2]]) == pytest.approx(0.38)
    assert math.isclose(brier_score([0], [[0.0, 1.0, 0.0]]), 0.0)
