"""M1 to M5 of ML.md 3.1: what the released metric gets wrong, and ours does not.

`released_*` are the algorithms of VideoAlign's evaluation script in our own words; each test shows
that they fail where ours gives the right value.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from models_rm.metrics import (
    NotFiniteError,
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
)
from tests.models_rm.metrics.test_accuracy_metrics import CURVE, HUMAN, PREDICTED

WORDS = {"A": 1, "B": -1, "same": 0}


def released_with_ties(human: list[float], predicted: list[float]) -> float:
    """One pass over the pairs by |difference|, scored after each of them; the best of the scores.

    There is no score before the first pair, and none waits for the end of a group of equals.
    """
    order = sorted(range(len(human)), key=lambda n: abs(predicted[n]))
    concordant = sum(human[n] * predicted[n] > 0 for n in order if human[n] != 0)
    human_ties, both = sum(h == 0 for h in human), 0
    best = -math.inf
    for n in order:
        if human[n] == 0:
            human_ties, both = human_ties - 1, both + 1
        elif human[n] * predicted[n] > 0:
            concordant -= 1
        best = max(best, (concordant + both) / len(human))
    return best


def released_guarded(human: Any, predicted: Any) -> float:
    """As the script calls it: whatever goes wrong becomes 0."""
    try:
        return released_with_ties(human, predicted)
    except Exception:  # noqa: BLE001, this is the trap
        return 0


def released_labels(words: list[str]) -> list[float]:
    """A lookup without a check: what it does not know becomes a missing number."""
    return [WORDS.get(word, float("nan")) for word in words]


def test_m1_the_state_without_any_tie_is_scored() -> None:
    human, predicted = [1, -1, 1, -1], [3, -2, 1, -0.5]
    assert released_with_ties(human, predicted) == 0.75
    found = accuracy_with_ties(human, predicted)
    assert (found.accuracy, found.threshold) == (1.0, 0.0)


def test_m2_equal_differences_flip_together_in_any_order_of_rows() -> None:
    human, predicted = [0, 1, 1, 1], [1, 1, 1, 1]
    assert released_with_ties(human, predicted) == 1.0  # no threshold reaches that
    found = accuracy_with_ties(human, predicted)
    assert (found.accuracy, found.threshold) == (0.75, 0.0)
    reachable = {accuracy_at(human, predicted, eps) for eps in (0.0, 0.5, 1.0, 2.0)}
    assert released_with_ties(human, predicted) not in reachable


def test_m2_the_worked_example_has_one_value_for_every_order() -> None:
    rng = np.random.default_rng(0)
    released, ours = set(), set()
    for _ in range(200):
        order = rng.permutation(len(HUMAN))
        human, predicted = [HUMAN[n] for n in order], [PREDICTED[n] for n in order]
        released.add(round(released_with_ties(human, predicted), 6))
        found = accuracy_with_ties(human, predicted)
        ours.add((round(found.accuracy, 6), found.threshold))
        assert dict(found.curve) == pytest.approx(CURVE)
    assert released == {0.666667, 0.75}
    assert ours == {(0.666667, 0.25)}


def test_m2_the_released_value_is_often_wrong_where_scores_are_discrete() -> None:
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(500):
        size = rng.integers(2, 9)
        human = rng.choice([-1, 0, 1], size).tolist()
        predicted = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], size).tolist()
        ours = accuracy_with_ties(human, predicted).accuracy
        wrong += not math.isclose(released_with_ties(human, predicted), ours)
    assert wrong > 50


def test_m3_an_unknown_label_is_left_out_and_not_counted_as_wrong() -> None:
    human = released_labels(["A", "B", "invalid"])
    predicted = [1.0, -1.0, 0.3]
    assert released_with_ties(human, predicted) < 0.67
    assert accuracy_with_ties(human, predicted).accuracy == 1.0
    assert accuracy_without_ties(human, predicted) == 1.0


@pytest.mark.parametrize("magic", [22, 2, -22, 0.5])
def test_m3_a_number_that_is_no_label_is_an_error(magic: float) -> None:
    with pytest.raises(ValueError, match=r"must be \+1, 0 or -1"):
        accuracy_with_ties([1, magic], [1.0, 1.0])


def test_m4_nothing_to_judge_is_none_and_an_error_is_an_error() -> None:
    assert released_with_ties([], []) == -math.inf
    assert released_guarded([1, 0], ["x", "y"]) == 0
    assert accuracy_with_ties([], []) is None
    assert accuracy_without_ties([0, 0, 0], [1.0, 2.0, 3.0]) is None  # divides by zero there
    with pytest.raises(ValueError, match="could not convert"):
        accuracy_with_ties([1, 0], ["x", "y"])
    with pytest.raises(NotFiniteError, match="pair 1 is not a finite number"):
        accuracy_with_ties([1, 0], [0.5, float("nan")])


def test_m5_the_threshold_is_given_back_and_held_out_pairs_are_judged_with_it() -> None:
    """Fitted on the same 100 pairs the accuracy is too good; with one from elsewhere it is not."""
    rng = np.random.default_rng(0)
    in_sample, held_out = [], []
    for _ in range(60):
        sets = []
        for _ in range(2):
            human = rng.choice([-1, 0, 1], 100, p=[0.3, 0.4, 0.3])
            sets.append((human, 0.6 * human + rng.normal(size=100)))
        (human, gap), (other_human, other_gap) = sets
        in_sample.append(accuracy_with_ties(human, gap).accuracy)
        fitted = accuracy_with_ties(other_human, other_gap).threshold
        held_out.append(accuracy_at(human, gap, fitted))
    assert np.mean(in_sample) > np.mean(held_out) + 0.02
    assert all(one >= other for one, other in zip(in_sample, held_out, strict=True))


# Properties (R2): thousands of small cases with many equal |differences|.


def brute_force(human: np.ndarray, gap: np.ndarray) -> tuple[float, float]:
    """Every threshold tried by counting C, D, Th, Tm and Thm of Deutsch et al. one by one."""
    best, at = -1.0, math.inf
    for eps in sorted({0.0, *np.abs(gap).tolist()}):
        right = 0
        for h, m in zip(human, gap, strict=True):
            tie = abs(m) <= eps
            right += (h == 0) if tie else (h != 0 and h * m > 0)
        if right / len(human) > best:
            best, at = right / len(human), eps
    return best, at


def cases(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = int(rng.integers(1, 13))
        human = rng.choice([-1, 0, 1], size)
        coarse = rng.random() < 0.7
        gap = rng.integers(-3, 4, size) / 2 if coarse else rng.normal(size=size).round(3)
        yield human, gap, rng


def test_fast_equals_brute_force_on_thousands_of_cases() -> None:
    for human, gap, _ in cases(3000, 0):
        found = accuracy_with_ties(human, gap)
        assert (found.accuracy, found.threshold) == pytest.approx(brute_force(human, gap))


def test_order_sides_and_scale_do_not_matter_on_a_thousand_cases() -> None:
    for human, gap, rng in cases(1000, 1):
        found, plain = accuracy_with_ties(human, gap), accuracy_without_ties(human, gap)
        order = rng.permutation(len(human))
        assert accuracy_with_ties(human[order], gap[order]) == found
        assert accuracy_with_ties(-human, -gap) == found
        stretched = accuracy_with_ties(human, np.sinh(gap))  # odd and rising
        assert stretched.accuracy == found.accuracy
        assert accuracy_without_ties(human, np.sinh(gap)) == plain


@pytest.mark.parametrize("labels", list(itertools.product([-1, 0, 1], repeat=2)))
def test_all_ties_and_no_ties_are_legal(labels: tuple[int, int]) -> None:
    found = accuracy_with_ties(labels, [2.0, -1.0])
    assert found.accuracy == pytest.approx(brute_force(np.array(labels), np.array([2.0, -1.0]))[0])
