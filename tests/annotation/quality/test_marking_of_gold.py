"""How wrong an answer is, when gold pauses work, and where the good time ended: pure rules."""

import numpy as np
import pytest

from annotation.adjudicating import entropy
from annotation.quality.marking import (
    error_of,
    errors_of,
    last_good,
    right_by_dimension,
    share_wrong,
    standing,
)
from annotation.quality.standings import longest_runs


@pytest.mark.parametrize(
    ("expected", "said", "error"),
    [
        ("A", "A", 0),
        ("A", "B", 1),
        ("B", "tie", 0.5),
        ("tie", "A", 0.5),
        ("tie", "tie", 0),
        ("invalid", "invalid", 0),
        ("invalid", "tie", 1),
        ("A", "invalid", 1),
        (3, 3, 0),
        (3, 4, 0.5),
        (3, 2, 0.5),
        (3, 5, 1),
        (3, "invalid", 1),
    ],
)
def test_a_flip_is_one_error_and_same_against_a_winner_is_half(
    expected: str | int, said: str | int, error: float
) -> None:
    assert error_of(expected, said) == error


def test_an_answer_is_marked_on_the_dimensions_that_are_known() -> None:
    errors = errors_of({"VQ": "A", "TA": "tie"}, {"VQ": "B", "MQ": "A", "TA": "A"})
    assert errors == {"VQ": 1, "TA": 0.5}
    assert share_wrong(errors) == 0.75
    assert share_wrong({}) == 0


def test_shares_by_dimension_leave_out_what_was_not_asked() -> None:
    shares = right_by_dimension([{"VQ": 0, "MQ": 1}, {"VQ": 0.5}])
    # On VQ half an error in two answers, on MQ one in one.
    assert shares == {"VQ": 0.75, "MQ": 0.0}


def test_the_window_is_the_last_forty() -> None:
    assert standing([], 0.65).right is None
    assert standing([1.0] * 20 + [0.0] * 40, 0.65).right == 1.0
    found = standing([0.5] * 10, 0.65)
    assert (found.answers, found.right, found.failed) == (10, 0.5, False)


def test_fourteen_errors_in_forty_are_sixty_five_percent_and_are_kept() -> None:
    assert not standing([1.0] * 14 + [0.0] * 26, 0.65).failed
    assert standing([1.0] * 14 + [0.5] + [0.0] * 25, 0.65).failed


def test_who_has_used_up_the_errors_is_found_before_the_window_is_full() -> None:
    assert not standing([1.0] * 14, 0.65).failed
    assert standing([1.0] * 15, 0.65).failed


def test_the_good_time_ends_where_errors_begin_to_outweigh() -> None:
    # Allowed are 0.35 a question: -0.35 four times, then +0.65 three times: lowest after four.
    assert last_good([0, 0, 0, 0, 1, 1, 1], 0.65) == 4
    assert last_good([1, 1, 1], 0.65) == 0
    assert last_good([0, 0, 0], 0.65) == 3
    # 1 - 0.35 = 0.65; two right answers bring -0.05: all three are one good stretch.
    assert last_good([1, 0, 0, 1], 0.65) == 3


def test_every_stretch_up_to_the_good_time_is_good_and_every_later_one_is_not() -> None:
    chance = np.random.default_rng(5)
    for _ in range(200):
        errors = chance.choice([0.0, 0.5, 1.0], size=30, p=[0.6, 0.2, 0.2]).tolist()
        end = last_good(errors, 0.65)
        for start in range(end):
            assert np.mean(errors[start:end]) <= 0.35 + 1e-9
        for later in range(end + 1, len(errors) + 1):
            assert np.mean(errors[end:later]) > 0.35 - 1e-9


def test_entropy_is_that_of_information_theory() -> None:
    assert entropy([1, 0, 0]) == 0
    assert entropy([0.5, 0, 0.5]) == 1
    assert entropy([1 / 3] * 3) == pytest.approx(np.log2(3))


def test_a_run_counts_votes_of_one_person_with_one_key_on_all_dimensions() -> None:
    left, same, right, mixed = [0, 0, 0], [1, 1, 1], [2, 2, 2], [0, 1, 2]
    keys = np.array([left, left, mixed, right, right, same, right, right])
    # The second person's two come in between in time, but belong to their own run.
    person = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    at = np.array([1, 2, 3, 4, 6, 9, 5, 7])
    assert longest_runs(person, at, keys, 3) == [2, 2, 0]
    assert longest_runs(np.zeros(2, int), np.array([2, 1]), np.array([mixed, mixed]), 1) == [0]
