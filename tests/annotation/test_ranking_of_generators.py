"""Bradley-Terry with ties gives back the strengths that votes were drawn from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from annotation.ranking import Ranking, fit_btt, rank_ranges

STRENGTH = np.array([0.9, 0.3, 0.0, -0.4, -0.8])
THETA = 1.8
Votes = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def draw(count: int, rng: np.random.Generator) -> Votes:
    a = rng.integers(0, 5, count)
    b = (a + rng.integers(1, 5, count)) % 5
    gap, log_theta = STRENGTH[a] - STRENGTH[b], np.log(THETA)
    chance, drawn = expit(gap - log_theta), rng.random(count)
    worse = expit(-gap - log_theta)
    return a, b, np.where(drawn < chance, 1, np.where(drawn < chance + worse, -1, 0))


def test_strengths_and_theta_are_found_again() -> None:
    votes = draw(40_000, np.random.default_rng(0))
    found = fit_btt(*votes, np.arange(40_000) % 2000, 5, rounds=20)
    assert found.strength == pytest.approx(STRENGTH - STRENGTH.mean(), abs=0.06)
    assert found.theta == pytest.approx(THETA, abs=0.03)
    assert found.strength.sum() == pytest.approx(0, abs=1e-9)
    assert (found.low < found.strength).all()
    assert (found.strength < found.high).all()


def test_without_ties_it_is_bradley_terry() -> None:
    # Agresti, Categorical Data Analysis (1990), table 10.5: baseball 1987, wins of row over column:
    # Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore.
    wins = np.array(
        [
            [0, 7, 9, 7, 7, 9, 11],
            [6, 0, 7, 5, 11, 9, 9],
            [4, 6, 0, 7, 7, 8, 12],
            [6, 8, 6, 0, 6, 7, 10],
            [6, 2, 6, 7, 0, 7, 12],
            [4, 4, 5, 6, 6, 0, 6],
            [2, 4, 1, 3, 1, 7, 0],
        ]
    )
    winner, loser = (
        np.repeat(side.ravel(), wins.ravel()) for side in np.mgrid[0:7, 0:7]
    )  # fmt: skip
    found = fit_btt(winner, loser, np.ones(len(winner)), np.arange(len(winner)), 7, rounds=2)
    published = [1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0.0]
    assert found.strength - found.strength[-1] == pytest.approx(published, abs=0.005)
    assert found.theta == pytest.approx(1.0, abs=1e-3)


def test_mirrored_votes_and_another_order_give_the_same() -> None:
    a, b, label = draw(800, np.random.default_rng(1))
    prompt, order = np.arange(800) % 40, np.random.default_rng(2).permutation(800)
    one = fit_btt(a, b, label, prompt, 5, rounds=2)
    other = fit_btt(b[order], a[order], -label[order], prompt[order], 5, rounds=2)
    assert other.strength == pytest.approx(one.strength, abs=1e-4)
    assert other.theta == pytest.approx(one.theta, abs=1e-4)


def test_votes_on_few_prompts_make_a_wide_interval() -> None:
    rng = np.random.default_rng(3)
    a, b, label = draw(200, rng)
    # Each vote ten times, as if ten people said the same of one prompt.
    votes = [np.repeat(each, 10) for each in (a, b, label)]
    by_prompt = fit_btt(*votes, np.repeat(np.arange(200), 10), 5, rounds=60)
    by_vote = fit_btt(*votes, np.arange(2000), 5, rounds=60)
    assert _width(by_prompt) > 2 * _width(by_vote)


def _width(ranking: Ranking) -> float:
    return float((ranking.high - ranking.low).mean())


def test_a_model_that_wins_everything_stays_finite() -> None:
    found = fit_btt([0, 0, 0, 1], [1, 1, 1, 2], [1, 1, 1, 0], [0, 1, 2, 3], 3, rounds=5)
    assert np.isfinite(found.strength).all()
    assert found.strength[0] > found.strength[1]


def test_rank_ranges_overlap_where_intervals_do() -> None:
    strength = np.array([2.0, 0.1, 0.0])
    ranking = Ranking(strength, strength - 0.5, strength + 0.5, 1.5)
    assert rank_ranges(ranking) == [(1, 1), (2, 3), (2, 3)]


@pytest.mark.parametrize(
    ("votes", "complaint"),
    [
        (([0], [3], [1], [0]), "n_models = 3"),
        (([0], [1], [2], [0]), "labels are"),
        (([0, 1], [1], [1], [0]), "equally long"),
        (([], [], [], []), "one vote or more"),
    ],
)
def test_votes_that_are_none_are_refused(votes: tuple[list[int], ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        fit_btt(*votes, 3)
