"""The exact test of leaning to a side, for many people at once, says what scipy says for each."""

import numpy as np
import pytest
from scipy.stats import binomtest

from annotation.dashboards.people import (
    adjusted_chances,
    chance_of_leaning,
    side_row,
    votes_for_a_side,
)

CASES = [(0, 1), (1, 1), (0, 9), (5, 10), (4, 9), (5, 9), (30, 90), (4_700, 9_001), (9, 9)]


def test_the_test_of_many_is_the_binomial_test_of_each():
    left, decided = np.array(CASES).T
    expected = [binomtest(*case).pvalue for case in CASES]
    assert chance_of_leaning(left, decided) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("left", "decided"), CASES)
def test_a_share_of_left_answers_has_the_interval_of_wilson(left, decided):
    ends = binomtest(left, decided).proportion_ci(method="wilson")
    row = side_row("one", left, decided)
    assert (row.low, row.high) == pytest.approx((ends.low, ends.high), abs=1e-12)


def test_answers_of_one_vote_are_one_trial() -> None:
    """Nobody leans, but who prefers a clip mostly prefers it on all dimensions."""
    chance = np.random.default_rng(4)
    people, votes = 20, 300
    annotator = np.repeat(np.arange(people), votes)
    accused = {"votes": 0, "answers": 0}
    for _ in range(40):
        liked = chance.random(people * votes) < 0.5  # the side of the better clip
        slips = chance.random((people * votes, 3)) < 0.1
        is_left = liked[:, None] ^ slips
        left, decided = votes_for_a_side(is_left, ~is_left, annotator, people)
        assert (left.shape, decided.tolist()) == ((people,), [votes] * people)
        all_answers = np.bincount(annotator, is_left.sum(1), people).astype(np.int64)
        for name, number, of in (("votes", left, decided), ("answers", all_answers, 3 * decided)):
            accused[name] += bool((adjusted_chances(chance_of_leaning(number, of)) < 0.05).any())
    assert accused["votes"] <= 6  # 5 % of 40 campaigns, and two standard deviations
    assert accused["answers"] > 20  # what counting them singly would do


def test_a_vote_is_for_the_side_of_most_of_its_answers() -> None:
    is_left = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)
    is_right = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=bool)
    left, decided = votes_for_a_side(is_left, is_right, np.array([0, 0, 1, 1]), 3)
    assert (left.tolist(), decided.tolist()) == ([1, 0, 0], [1, 1, 0])
