"""Probabilities, correlations, differences by generator, the human ceiling."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, spearmanr

from models_rm.losses import btt_nll, btt_probabilities
from models_rm.metrics import (
    NotFiniteError,
    brier_score,
    btt_log_probabilities,
    by_generators,
    consensus_of,
    gap_histogram,
    human_ceiling,
    kendall_tau_b,
    negative_log_likelihood,
    pearson,
    reliability,
    spearman,
    tie_fit,
    tie_separation,
    wilson,
    within_groups,
)
from models_rm.networks.uncertainty import uncertain_probabilities


def drawn(theta: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Differences, and labels that people give by BTT with `theta`."""
    rng = np.random.default_rng(seed)
    gap = rng.normal(scale=2.0, size=count)
    cumulated = np.cumsum(np.exp(btt_log_probabilities(gap, theta)), axis=-1)
    place = (rng.random(count)[:, None] > cumulated).sum(-1)
    return 1 - np.minimum(place, 2), gap


@pytest.mark.parametrize("theta", [1.0001, 2.0, 5.0, 40.0])
def test_probabilities_are_those_of_the_loss(theta: float) -> None:
    gap = np.linspace(-6, 6, 25)
    expected = btt_probabilities(torch.from_numpy(gap), theta).numpy()
    found = np.exp(btt_log_probabilities(gap, theta))
    assert found == pytest.approx(expected, abs=1e-12)
    assert found.sum(-1) == pytest.approx(np.ones(25), abs=1e-12)


def test_probabilities_with_a_variance_are_those_of_the_uncertain_model() -> None:
    gap, variance = torch.linspace(-5, 5, 11).double(), torch.linspace(0, 9, 11).double()
    expected = uncertain_probabilities(gap, variance, 5.0).numpy()
    assert np.exp(btt_log_probabilities(gap, 5.0, variance)) == pytest.approx(expected, abs=1e-9)


def test_the_likelihood_is_the_loss_and_finite_at_any_difference() -> None:
    gap, human = np.array([1000.0, -1000.0, 1000.0, 0.3]), np.array([-1, 0, 1, 1])
    logs = btt_log_probabilities(gap, 5.0)
    loss = btt_nll(torch.from_numpy(gap), torch.zeros(4).double(), torch.from_numpy(human), 5.0)
    assert negative_log_likelihood(human, logs) == pytest.approx(float(loss.mean()))
    assert math.isfinite(negative_log_likelihood(human, logs))


def test_theta_may_differ_by_dimension() -> None:
    gap = np.zeros((4, 2))
    ties = np.exp(btt_log_probabilities(gap, [5.0, 3.0]))[..., 1]
    assert ties[0] == pytest.approx([4 / 6, 2 / 4])


def test_a_model_that_means_what_it_says_lies_on_the_diagonal() -> None:
    human, gap = drawn(5.0, 6000)
    probabilities = np.exp(btt_log_probabilities(gap, 5.0))
    found = reliability(human, probabilities)
    assert found.mean_error < 0.02
    for bins in found.bins.values():
        assert sum(each.count for each in bins) == 6000
        good = [each.observed_low <= each.predicted <= each.observed_high for each in bins]
        assert np.mean(good) >= 0.7
    sure = np.exp(btt_log_probabilities(3 * gap, 5.0))
    assert reliability(human, sure).mean_error > 0.08
    assert brier_score(human, sure) > brier_score(human, probabilities)


def test_bins_by_hand() -> None:
    # P(A) 0.95 and 0.9 in the last bin, one of them right; 0.05 in the first.
    given = [[0.95, 0.05, 0.0], [0.9, 0.1, 0.0], [0.05, 0.05, 0.9]]
    found = reliability([1, 0, -1], given)
    first, last = found.bins["A"]
    assert (last.count, last.predicted, last.observed) == (2, pytest.approx(0.925), 0.5)
    assert (first.count, first.observed) == (1, 0.0)
    assert found.error["A"] == pytest.approx((2 * 0.425 + 0.05) / 3)


def test_swapping_sides_swaps_the_curves_of_a_and_b() -> None:
    human, gap = drawn(3.0, 300)
    one = reliability(human, np.exp(btt_log_probabilities(gap, 3.0)))
    two = reliability(-human, np.exp(btt_log_probabilities(-gap, 3.0)))
    assert one.error["A"] == pytest.approx(two.error["B"])
    assert one.error["tie"] == pytest.approx(two.error["tie"])


def test_the_interval_of_a_share_is_wilsons() -> None:
    # 176 of 400, the example of ML.md 6.4.
    assert wilson(0.44, 400) == pytest.approx((0.392, 0.489), abs=5e-4)


@pytest.mark.parametrize("theta", [2.0, 5.0, 12.0])
def test_the_theta_that_fits_best_is_the_one_that_people_have(theta: float) -> None:
    human, gap = drawn(theta, 8000, seed=1)
    found = tie_fit(human, gap, np.exp(btt_log_probabilities(gap, 5.0)))
    assert found.best == pytest.approx(theta, rel=0.08)
    assert found.observed == pytest.approx((human == 0).mean())
    assert found.equal_quality <= found.best  # unequal pairs need more for the same share
    right = tie_fit(human, gap, np.exp(btt_log_probabilities(gap, theta)))
    assert right.predicted == pytest.approx(right.observed, abs=0.02)


def test_only_ties_or_no_tie_leave_theta_without_a_bound() -> None:
    gap = np.array([0.5, -0.2])
    given = np.exp(btt_log_probabilities(gap, 5.0))
    assert (tie_fit([0, 0], gap, given).best, tie_fit([0, 0], gap, given).equal_quality) == (
        None, None,
    )  # fmt: skip
    assert (tie_fit([1, -1], gap, given).best, tie_fit([1, -1], gap, given).equal_quality) == (
        None, 1.0,
    )  # fmt: skip


# Correlations.


def test_correlations_agree_with_scipy_and_by_counting() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        x, y = rng.integers(0, 5, 12), rng.normal(size=12).round(1)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
        assert kendall_tau_b(x, y) == pytest.approx(kendalltau(x, y).statistic)
        signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(12) for j in range(i)]
        above = sum(a * b for a, b in signs)
        below = math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
        assert kendall_tau_b(x, y) == pytest.approx(above / below)


def test_fifty_thousand_clips_are_no_matter() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50_000)
    assert kendall_tau_b(x, x + rng.normal(size=50_000)) == pytest.approx(0.5, abs=0.02)


def test_a_number_that_is_none_is_refused() -> None:
    for correlation in (spearman, kendall_tau_b, pearson):
        with pytest.raises(NotFiniteError):
            correlation([1.0, float("nan")], [1.0, 2.0])


def test_within_prompts_a_difference_between_prompts_does_not_count() -> None:
    prompts = ["p"] * 3 + ["q"] * 3 + ["lonely"]
    x, y = [1, 2, 3, 11, 12, 13, 5], [13, 12, 11, 3, 2, 1, 5]
    assert pearson(x, y) < -0.9
    within = within_groups(x, [3, 4, 5, 0, 1, 2, 7], prompts, spearman)
    assert (within.mean, within.groups) == (pytest.approx(1.0), 2)


# Differences.


def test_a_histogram_turns_decided_pairs_to_the_preferred_and_shares_ties() -> None:
    found = gap_histogram([1, -1, -1, 0], [2.0, -2.0, 1.0, 1.5], bins=4)
    assert sum(found.decided) == 3
    assert found.decided[1] + found.decided[0] == 1  # the pair that the model gets wrong
    assert found.tied == (0.5, 0.0, 0.0, 0.5)
    swapped = gap_histogram([-1, 1, 1, 0], [-2.0, 2.0, -1.0, -1.5], bins=4)
    assert swapped == found
    assert gap_histogram([], []) is None


def test_equal_differences_have_a_histogram_too() -> None:
    found = gap_histogram([1, 0], [0.0, 0.0])
    assert sum(found.decided) + sum(found.tied) == 2
    assert found.edges[0] == -1.0


def test_the_separation_of_ties_is_a_share_of_pairs_of_pairs() -> None:
    human, gap = [1, -1, 0, 0], [3.0, -1.0, 0.5, 1.0]
    # (3 > 0.5, 3 > 1, 1 > 0.5, 1 = 1): 3.5 of 4.
    assert tie_separation(human, gap) == 3.5 / 4
    assert tie_separation(human, 100 * np.array(gap)) == 3.5 / 4
    assert tie_separation([1, -1], [1.0, 2.0]) is None
    assert tie_separation([0, 0], [1.0, 2.0]) is None


def test_generators_are_compared_whichever_stood_on_the_left() -> None:
    rows = by_generators([1, -1, 0, 1], [1.0, 2.0, 0.5, -1.0], ["x", "y", "x", "z"],
                         ["y", "x", "y", "z"])  # fmt: skip
    pair, alone = rows
    assert (pair.first, pair.second, pair.pairs, pair.decided) == ("x", "y", 3, 2)
    # People: x, x, tie. The model: x, y, x.
    assert (pair.human_win, pair.model_win) == (pytest.approx(2.5 / 3), pytest.approx(2 / 3))
    assert pair.accuracy == 0.5
    assert (alone.first, alone.second, alone.accuracy) == ("z", "z", 0.0)
    with pytest.raises(ValueError, match="two names"):
        by_generators([1], [1.0], ["x"], [])


# The human ceiling.


@pytest.mark.parametrize(
    ("words", "consensus"),
    [
        (["A"], "A"),
        (["A", "A", "B"], "A"),
        (["A", "B"], None),
        (["A", "tie", "B"], None),
        (["tie", "tie", "invalid"], "tie"),
        (["A", "invalid"], None),
        (["invalid"], None),
        ([], None),
    ],
)
def test_a_consensus_is_a_strict_majority(words: list[str], consensus: str | None) -> None:
    assert consensus_of(words) == consensus


def test_one_annotator_is_held_against_the_others() -> None:
    said = [
        [("ann", "A"), ("ben", "A"), ("cat", "B")],  # ann and ben see a split; cat is wrong
        [("ann", "tie"), ("ben", "A"), ("cat", "A")],  # ann ties what the others decide
        [("ann", "B"), ("ben", "B"), ("cat", "B")],  # all right, three times
        [("ann", "invalid"), ("ben", "A"), ("cat", "A")],  # ben against cat alone is 'A' of 2
    ]
    found = human_ceiling(said, ["p", "q", "r", "s"], resamples=100)
    # cat 0; ann a tie against A, then ben and cat see (tie, A): no majority; three times 1;
    # in the last the others of ben are invalid and A: half invalid, no consensus.
    assert found.judgements == 5
    assert found.with_ties == pytest.approx(3 / 5)
    assert found.without_ties == pytest.approx((0 + 0.5 + 3) / 5)
    assert found.with_ties_interval.low <= 0.6 <= found.with_ties_interval.high


def test_without_single_votes_no_ceiling_is_made_up() -> None:
    assert human_ceiling([[], []], ["p", "q"]) is None
    assert human_ceiling([[("ann", "A")]], ["p"]) is None
    only_ties = human_ceiling([[("ann", "tie"), ("ben", "tie")]], ["p"])
    assert (only_ties.with_ties, only_ties.without_ties) == (1.0, None)
