"""The exact test of leaning to a side, for many people at once, says what scipy says for each."""

import numpy as np
import pytest
from scipy.stats import binomtest

from annotation.dashboards.people import chance_of_leaning, side_row

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
