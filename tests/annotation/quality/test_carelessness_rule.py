"""The rule finds people who vote at random and leaves the others in peace."""

import numpy as np
import pytest

from annotation.quality.carelessness import CHANCE, MIN_COMPARISONS, carefulness
from bench.careless import CARELESS, simulate


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_simulated_careless_people_are_found(seed: int) -> None:
    people = simulate(seed)
    assert [each.careless for each in people] == [False] * (len(people) - CARELESS) + [True] * 3


def votes(random_share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """300 units seen by four people; the last answers at random in a share of cases."""
    rng = np.random.default_rng(seed)
    unit, person = np.repeat(np.arange(300), 4), np.tile(np.arange(4), 300)
    label = rng.integers(0, 3, size=300)[unit]
    guessed = (person == 3) & (rng.random(1200) < random_share)
    return unit, person, np.where(guessed, rng.integers(0, 3, size=1200), label)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_the_share_of_random_answers_is_estimated(share: float) -> None:
    # The others are always right, but the guesses lower their agreement a little as well.
    found = carefulness(*votes(share), 4)[3]
    assert found.random_share == pytest.approx(share, abs=0.15)
    assert found.comparisons == 900


def test_somebody_with_few_votes_is_never_accused() -> None:
    unit, person, label = votes(1.0)
    keep = (person != 3) | (unit < (MIN_COMPARISONS - 1) // 3)
    found = carefulness(unit[keep], person[keep], label[keep], 4)[3]
    assert found.random_share is None
    assert not found.careless


def test_two_people_cannot_say_which_of_them_is_careless() -> None:
    unit, person, label = votes(1.0)
    two = person >= 2
    found = carefulness(unit[two], person[two] - 2, label[two], 2)
    assert [each.random_share for each in found] == [None, None]


def test_mirroring_all_answers_changes_nothing() -> None:
    unit, person, label = votes(0.6)
    assert carefulness(unit, person, 2 - label, 4) == carefulness(unit, person, label, 4)


def test_chance_is_what_a_fair_die_scores() -> None:
    # Against A: (1 + 1/2 + 0) / 3 = 1/2; against a tie: (1/2 + 1 + 1/2) / 3 = 2/3.
    assert pytest.approx([1 / 2, 2 / 3, 1 / 2]) == CHANCE


def test_no_votes_give_nobody_to_accuse_and_unknown_labels_are_refused() -> None:
    assert not any(each.careless for each in carefulness([], [], [], 3))
    with pytest.raises(ValueError, match="labels are"):
        carefulness([0], [0], [3], 1)
