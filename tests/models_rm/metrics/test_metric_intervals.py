"""Bootstrap over prompts: the fast way equals the plain one, and two models share resamples."""

import time

import numpy as np
import pytest

from models_rm.metrics import (
    accuracy_at,
    accuracy_with_ties,
    accuracy_without_ties,
    at,
    clustered_interval,
    compare,
    resampled_accuracy_with_ties,
    resampled_accuracy_without_ties,
)
from models_rm.metrics.intervals import draws


@pytest.fixture
def judged() -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(5)
    human = rng.choice([-1, 0, 1], 90)
    gap = (0.5 * human + rng.normal(size=90)).round(1)  # many equal |differences|
    return human, gap, [f"prompt {n}" for n in rng.integers(0, 17, 90)]


def test_a_resample_draws_as_many_prompts_as_there_are_and_keeps_their_pairs(judged) -> None:
    _, _, prompts = judged
    _, cluster = np.unique(prompts, return_inverse=True)
    (weights,) = draws(cluster, 50, 0)
    assert weights.shape == (50, 90)
    for row in weights:
        per_prompt = [row[cluster == index] for index in range(17)]
        assert all(len(set(each)) == 1 for each in per_prompt)
        assert sum(each[0] for each in per_prompt) == 17


def test_a_weighted_statistic_is_the_plain_one_of_the_repeated_pairs(judged) -> None:
    human, gap, prompts = judged
    _, cluster = np.unique(prompts, return_inverse=True)
    (weights,) = draws(cluster, 200, 3)
    fast = (
        resampled_accuracy_with_ties(human, gap, weights),
        resampled_accuracy_without_ties(human, gap, weights),
        at(0.7)(human, gap, weights),
    )
    for n, row in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(90), row)
        plain = (
            accuracy_with_ties(human[drawn], gap[drawn]).accuracy,
            accuracy_without_ties(human[drawn], gap[drawn]),
            accuracy_at(human[drawn], gap[drawn], 0.7),
        )
        assert [each[n] for each in fast] == pytest.approx(plain)


def test_blocks_of_resamples_are_those_of_one_draw(judged, monkeypatch: pytest.MonkeyPatch) -> None:
    human, gap, prompts = judged
    whole = clustered_interval(human, gap, prompts, statistic=resampled_accuracy_with_ties)
    monkeypatch.setattr("models_rm.metrics.intervals._CELLS", 90 * 7)
    assert clustered_interval(human, gap, prompts, statistic=resampled_accuracy_with_ties) == whole


def test_pairs_without_a_label_take_their_prompt_with_them(judged) -> None:
    human, gap, prompts = judged
    some = [*human.astype(float), float("nan"), None]
    found = clustered_interval(some, [*gap, 1.0, 2.0], [*prompts, "x", "y"])
    assert found == clustered_interval(human, gap, prompts)


def test_one_prompt_gives_an_interval_without_width() -> None:
    found = clustered_interval([1, -1, 1], [1.0, 1.0, 1.0], ["only"] * 3)
    assert (found.low, found.high) == pytest.approx((2 / 3, 2 / 3))


def test_a_resample_without_a_decided_pair_is_passed_over() -> None:
    found = clustered_interval([1, 0, 0], [1.0, 0.2, 0.3], ["a", "b", "c"], resamples=300)
    assert (found.low, found.high) == (1.0, 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    inside = 0
    for seed in range(150):
        hard = rng.random(40)  # each prompt has its own share of right pairs, 0.5 on average
        right = rng.random((40, 5)) < hard[:, None]
        gap = np.where(right, 1.0, -1.0).ravel()
        prompts = np.repeat(np.arange(40), 5)
        found = clustered_interval(np.ones(200), gap, prompts, resamples=300, seed=seed)
        inside += found.low <= 0.5 <= found.high
    assert 0.87 <= inside / 150 <= 0.99


def test_a_model_against_itself_differs_by_nothing(judged) -> None:
    human, gap, prompts = judged
    same = compare(human, gap, gap, prompts, statistic=resampled_accuracy_with_ties)
    assert (same.difference, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_swapping_the_models_turns_the_difference(judged) -> None:
    human, gap, prompts = judged
    other = gap + np.random.default_rng(0).normal(size=90)
    one, two = compare(human, gap, other, prompts), compare(human, other, gap, prompts)
    assert (one.difference, one.low, one.high) == pytest.approx(
        (-two.difference, -two.high, -two.low)
    )
    assert one.p_value == two.p_value


def test_on_the_same_pairs_a_small_difference_shows_that_two_intervals_hide() -> None:
    rng = np.random.default_rng(2)
    human = rng.choice([-1, 1], 400)
    gap = human + rng.normal(size=400)
    spoiled = (human * gap > 0) & (rng.random(400) < 0.05)
    worse = np.where(spoiled, -gap, gap)  # the same but for a few pairs
    prompts = [n // 4 for n in range(400)]
    between = compare(human, gap, worse, prompts)
    assert between.low > 0
    assert between.p_value < 0.05
    first, second = (clustered_interval(human, each, prompts) for each in (gap, worse))
    assert first.low < second.high


def test_ten_thousand_pairs_a_thousand_times_take_seconds() -> None:
    rng = np.random.default_rng(0)
    human = rng.choice([-1, 0, 1], 10_000)
    gap = human + rng.normal(size=10_000)
    prompts = rng.integers(0, 2000, 10_000)
    start = time.process_time()
    found = clustered_interval(human, gap, prompts, statistic=resampled_accuracy_with_ties)
    # About a quarter of a second; a loop over resamples takes half a minute.
    assert time.process_time() - start < 5
    assert found.high - found.low < 0.03


def test_clusters_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pairs and 1 clusters"):
        clustered_interval([1, -1], [1.0, 2.0], ["a"])
