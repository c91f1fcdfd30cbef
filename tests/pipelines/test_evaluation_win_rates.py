"""Win rates against arithmetic that can be done by hand, and against brute force."""

import math

import pytest

from formats.errors import FormatError
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from pipelines.evaluation import OVERALL, Judged, compare, judged
from pipelines.win_rates import sign_test, wilson, win_rate


def _side(scores: dict[tuple[str, int], float]) -> Judged:
    return Judged({key: {"VQ": value} for key, value in scores.items()}, 0)


def test_an_exact_equality_counts_half() -> None:
    # 2 wins, 1 tie, 1 loss of 4: (2 + 1/2) / 4 = 0.625
    found = win_rate(["p", "q", "r", "s"], [1.0, 0.5, 0.0, -2.0])
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.rate == pytest.approx(0.625)


def test_the_base_against_itself_is_one_half() -> None:
    side = _side({(f"p{n}", 0): float(n) for n in range(6)})
    rate = compare(side, side).by_dimension["VQ"]
    assert (rate.rate, rate.ties, rate.p_value) == (0.5, 6, None)


def test_changing_sides_mirrors_the_figures() -> None:
    one = _side({(f"p{n}", n % 2): math.sin(n) for n in range(30)})
    other = _side({(f"p{n}", n % 2): math.cos(n) for n in range(30)})
    there = compare(one, other, seed=3).by_dimension["VQ"]
    back = compare(other, one, seed=3).by_dimension["VQ"]
    assert there.rate == pytest.approx(1 - back.rate)
    assert (there.wins, there.losses) == (back.losses, back.wins)
    assert there.p_value == back.p_value
    assert there.low == pytest.approx(1 - back.high, abs=0.02)


def test_clips_of_one_prompt_are_not_independent() -> None:
    # Four clips per prompt that always agree: ten prompts are worth ten, not forty.
    prompts = [f"p{n}" for n in range(10) for _ in range(4)]
    differences = [1.0 if n < 7 else -1.0 for n in range(10) for _ in range(4)]
    clustered = win_rate(prompts, differences)
    apart = win_rate([str(n) for n in range(40)], differences)
    assert clustered.rate == apart.rate
    assert clustered.high - clustered.low > 1.7 * (apart.high - apart.low)


def test_a_clean_sweep_of_few_prompts_is_not_certain() -> None:
    # Wilson, 10 of 10: 1 / (1 + 1.96^2 / 10) = 0.7225
    found = win_rate([f"p{n}" for n in range(10)], [1.0] * 10)
    assert (found.low, found.high) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1.0))


def test_wilson_agrees_with_the_textbook() -> None:
    # 176 of 400: 0.392 to 0.489 (ML.md 6.4)
    low, high = wilson(176 / 400, 400)
    assert (round(low, 3), round(high, 3)) == (0.392, 0.489)


def test_the_sign_test_counts_tails() -> None:
    # 9 of 10: 2 * (1 + 10) / 1024
    assert sign_test(9, 1) == pytest.approx(22 / 1024)
    assert sign_test(5, 5) == 1.0
    assert sign_test(1500, 1000) < 1e-15  # beyond the range of floats on the way


def test_overall_is_the_weighted_mean() -> None:
    base = Judged({("p", 0): {"VQ": 0.0, "TA": 0.0}}, 0)
    candidate = Judged({("p", 0): {"VQ": 1.0, "TA": -2.0}}, 0)
    assert compare(base, candidate).by_dimension[OVERALL].losses == 1  # (1 - 2) / 2 < 0
    weights = {"VQ": 3.0, "TA": 1.0}  # (3 - 2) / 4 > 0
    assert compare(base, candidate, weights=weights).by_dimension[OVERALL].wins == 1


def test_only_the_same_prompt_and_seed_is_compared() -> None:
    base = _side({("p", 0): 0.0, ("p", 1): 0.0, ("q", 0): 0.0})
    candidate = _side({("p", 0): 1.0, ("p", 2): 1.0})
    found = compare(base, candidate)
    assert found.by_dimension["VQ"].wins == 1
    assert found.unmatched == 3


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(FormatError, match="share no prompt and seed"):
        compare(_side({("p", 0): 1.0}), _side({("q", 0): 1.0}))


def _clip(name: str, seed: int) -> GenerationRecord:
    video = VideoRef(name, f"{name}.mp4", name, 8.0, 9, "g", seed)
    return GenerationRecord("p", "a prompt", "test", video)


def test_a_clip_without_a_readable_score_is_counted_apart() -> None:
    clips = [_clip("x", 0), _clip("y", 1), _clip("z", 2)]
    scores = [
        ScoreRecord("x", "p", "a prompt", {}, {"VQ": 1.0}),
        ScoreRecord("y", "p", "a prompt", error="the clip is missing"),
    ]
    found = judged(clips, scores)
    assert found.scores == {("a prompt", 0): {"VQ": 1.0}}
    assert found.unreadable == 2


def test_the_same_prompt_and_seed_twice_is_an_error() -> None:
    with pytest.raises(FormatError, match="two clips of one generator"):
        judged([_clip("x", 0), _clip("y", 0)], [ScoreRecord("x", "p", "a prompt", {}, {"VQ": 1})])
