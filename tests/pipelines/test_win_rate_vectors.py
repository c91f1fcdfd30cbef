"""Win-rate intervals against other people's code and exact enumeration, to 1e-6."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipelines.win_rates import prompt_test, sign_test, wilson, win_rate

pytestmark = pytest.mark.one_engine
EXACT = 1e-6


@pytest.mark.parametrize(
    ("wins", "trials"), [(176, 400), (0, 7), (7, 7), (1, 2), (33, 72), (213, 224), (1, 946)]
)
def test_wilson_is_that_of_scipy(wins: int, trials: int) -> None:
    theirs = binomtest(wins, trials).proportion_ci(0.95, method="wilson")
    assert wilson(wins / trials, trials) == pytest.approx((theirs.low, theirs.high), abs=EXACT)


def test_the_vector_of_the_paper_has_more_digits() -> None:
    # 176 wins of 400 (ML.md 6.4: 0.392 to 0.489); z * z = 3.841459, the closed form by hand
    assert wilson(0.44, 400) == pytest.approx((0.392154, 0.488987), abs=EXACT)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_sign_test_is_that_of_scipy(wins: int, losses: int) -> None:
    if wins + losses == 0:
        return
    theirs = binomtest(wins, wins + losses, 0.5).pvalue
    assert sign_test(wins, losses) == pytest.approx(theirs, abs=EXACT)
    assert sign_test(wins, losses) == sign_test(losses, wins)


def test_the_trials_of_the_sign_test_are_prompts() -> None:
    # p is won 2 : 1, q 1 : 0, r lost 1 : 0, s is even: two prompts against one, p = 2 * 4 / 8.
    prompts, points = list("pppqrss"), [1.0, 0.2, -0.1, 3.0, -1.0, 1.0, -1.0]
    assert prompt_test(prompts, points) == win_rate(prompts, points).p_value == 1.0
    assert prompt_test(["p"] * 8, [1.0] * 8) == 1.0  # one prompt says nothing, however often
    assert prompt_test(list("abcdefgh"), [1.0] * 8) == pytest.approx(2 / 256)
    assert prompt_test(["p", "p"], [1.0, -1.0]) is None


def test_an_equal_candidate_is_called_different_as_often_as_promised() -> None:
    """Forty prompts that differ, four seeds each, and no effect: at 5 %."""
    chance = np.random.default_rng(2)
    prompts = [f"p{n}" for n in range(40) for _ in range(4)]
    by_prompt, by_pair, campaigns = 0, 0, 400
    for _ in range(campaigns):
        lean = np.repeat(chance.normal(0, 1.5, 40), 4)
        points = np.where(chance.normal(lean, 1) > 0, 1.0, -1.0)
        found = prompt_test(prompts, points.tolist())
        by_prompt += found is not None and found < 0.05
        by_pair += sign_test(int((points > 0).sum()), int((points < 0).sum())) < 0.05
    assert by_prompt / campaigns < 0.08
    assert by_pair / campaigns > 0.12  # what counting pairs singly would do


def by_hand(prompts: list[str], points: list[float], seed: int, resamples: int) -> list[float]:
    """Another way to the same interval: draw prompts, gather their clips, take the mean."""
    clips: dict[str, list[float]] = defaultdict(list)
    for prompt, point in zip(prompts, points, strict=True):
        clips[prompt].append(point)
    of_prompt = list(clips.values())
    rng = np.random.default_rng(seed)
    means = []
    for drawn in rng.multinomial(len(of_prompt), [1 / len(of_prompt)] * len(of_prompt), resamples):
        pool = [each for row, times in zip(of_prompt, drawn, strict=True) for each in row * times]
        means.append(np.mean(pool))
    return [float(each) for each in np.quantile(means, [0.025, 0.975])]


differences = st.lists(
    st.tuples(st.sampled_from("pqrstu"), st.sampled_from([-2.0, -0.1, 0.0, 0.1, 3.0])),
    min_size=2,
    max_size=24,
)


@given(differences, st.integers(0, 5))
def test_the_interval_is_that_of_drawn_prompts(rows: list[tuple[str, float]], seed: int) -> None:
    prompts, values = [list(each) for each in zip(*rows, strict=True)]
    found = win_rate(prompts, values, seed=seed, resamples=200)
    points = [1.0 if each > 0 else 0.5 if each == 0 else 0.0 for each in values]
    assert found.rate == pytest.approx(np.mean(points), abs=EXACT)
    assert (found.wins, found.ties, found.losses) == tuple(points.count(x) for x in (1.0, 0.5, 0))
    means = {
        p: np.mean([y for q, y in zip(prompts, points, strict=True) if p == q]) for p in prompts
    }
    if len({round(each, 12) for each in means.values()}) > 1:
        assert [found.low, found.high] == pytest.approx(
            by_hand(prompts, points, seed, 200), abs=EXACT
        )


@given(differences)
def test_mirrored_sides_mirror_the_rate_and_half_a_point_is_a_tie(
    rows: list[tuple[str, float]],
) -> None:
    prompts, values = [list(each) for each in zip(*rows, strict=True)]
    there = win_rate(prompts, values, resamples=50)
    back = win_rate(prompts, [-each for each in values], resamples=50)
    assert there.rate == pytest.approx(1 - back.rate, abs=EXACT)
    assert (there.low, there.high) == pytest.approx((1 - back.high, 1 - back.low), abs=EXACT)
    assert 0 <= there.low <= there.high <= 1


def test_many_draws_come_to_the_exact_distribution() -> None:
    # Four prompts: all 256 ways of drawing them can be listed.
    points = [0.0, 0.5, 1.0, 1.0]
    exact = np.quantile(
        [np.mean(each) for each in itertools.product(points, repeat=4)], [0.025, 0.975]
    )
    found = win_rate(list("pqrs"), [-1.0, 0.0, 1.0, 1.0], resamples=20_000)
    assert (found.low, found.high) == pytest.approx(tuple(exact), abs=EXACT)
