"""The table of a benchmark: the paper's figures, ours beside them, chance, differences."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from formats.errors import FormatError
from models_rm.benchmarks.markdown import table_of
from models_rm.benchmarks.pairs import Benchmark, Key, Pair
from models_rm.benchmarks.published import PUBLISHED
from models_rm.benchmarks.results import Model, Resampling, columns_of, on_other_prompts, results_of
from models_rm.metrics import accuracy_at, accuracy_with_ties

FEW = Resampling(resamples=50)


def benchmark(
    labels: list[Mapping[str, int]], *, name: str = "videogen_rewardbench", per_prompt: int = 2
) -> Benchmark:
    pairs = tuple(
        Pair(n + 2, f"a{n}.mp4", f"b{n}.mp4", f"prompt {n // per_prompt}", "m", "n", row)
        for n, row in enumerate(labels)
    )
    columns = tuple(dict.fromkeys(key for row in labels for key in row))
    return Benchmark(name, columns, pairs)


def model(pairs: Benchmark, gaps: Mapping[str, list[float]], name: str = "ours") -> Model:
    """Scores whose differences are `gaps`."""
    scores: dict[Key, dict[str, float]] = {}
    for index, pair in enumerate(pairs.pairs):
        scores[pair.a] = {key: row[index] for key, row in gaps.items()}
        scores[pair.b] = dict.fromkeys(gaps, 0.0)
    return Model(name, "made up", scores, dict.fromkeys(gaps, 0.25))


# The worked example of ML.md 3.2.
H = [1, 1, 0, -1, 0, 1, -1, 0, 1, -1, 0, 1]
M = [1.5, 0.125, 0.0, -0.75, 0.25, 0.5, 0.25, -0.25, 2.0, -1.25, 0.5, -0.0625]


def test_the_figures_are_those_of_the_worked_example() -> None:
    pairs = benchmark([{"VQ": h} for h in H])
    found = results_of(pairs, [model(pairs, {"VQ": M})], FEW)["models"][0]["columns"]["VQ"]
    assert found["accuracy_with_ties"] == pytest.approx(8 / 12)
    assert found["threshold_in_sample"] == 0.25
    assert found["accuracy_with_ties_fitted"] == pytest.approx(8 / 12)
    assert found["accuracy_without_ties"] == pytest.approx(6 / 8)
    assert (found["pairs"], found["decisive"], found["prompts"]) == (12, 8, 6)
    low, high = found["accuracy_without_ties_interval"]
    assert low < 0.75 < high


def test_overall_is_the_mean_of_the_dimensions_unless_a_model_has_its_own() -> None:
    rows = [{"VQ": 1, "TA": -1, "Overall": 1}, {"VQ": -1, "TA": 1, "Overall": -1}]
    pairs = benchmark(rows, per_prompt=1)
    gaps = {"VQ": [3.0, -1.0], "TA": [-1.0, 3.0]}
    ours = results_of(pairs, [model(pairs, gaps)], FEW)
    assert ours["models"][0]["columns"]["Overall"]["accuracy_without_ties"] == 0.5
    own = results_of(pairs, [model(pairs, {**gaps, "Overall": [1.0, -1.0]})], FEW)
    assert own["models"][0]["columns"]["Overall"]["accuracy_without_ties"] == 1.0


def test_invalid_labels_are_in_no_figure() -> None:
    pairs = benchmark([{"VQ": 1, "MQ": 1}, {"MQ": -1}, {"VQ": -1, "MQ": 1}])
    found = results_of(pairs, [model(pairs, {"VQ": [1.0, 1.0, -1.0], "MQ": [1.0, 1.0, 1.0]})], FEW)
    columns = found["models"][0]["columns"]
    assert (columns["VQ"]["pairs"], columns["VQ"]["accuracy_without_ties"]) == (2, 1.0)
    assert columns["MQ"]["accuracy_without_ties"] == pytest.approx(2 / 3)


def test_one_vote_for_the_clip_is_tried_with_each_dimension_and_the_mean() -> None:
    pairs = benchmark([{"vote": 1}, {"vote": -1}, {"vote": 0}], name="genai_bench")
    gaps = {"VQ": [-1.0, 1.0, 0.0], "TA": [1.0, -3.0, 0.0]}
    found = results_of(pairs, [model(pairs, gaps)], FEW)
    columns = found["models"][0]["columns"]
    assert [column["name"] for column in found["columns"]] == ["by VQ", "by TA", "by mean"]
    assert columns["by VQ"]["accuracy_without_ties"] == 0.0
    assert columns["by TA"]["accuracy_without_ties"] == 1.0
    # (1 - 1) / 2 is an exact tie, and wrong; (-3 + 1) / 2 is right.
    assert columns["by mean"]["accuracy_without_ties"] == 0.5
    assert columns["by mean"]["accuracy_without_ties_half"] == 0.75


def test_scores_that_judge_nothing_of_the_benchmark_are_refused() -> None:
    pairs = benchmark([{"VQ": 1}])
    with pytest.raises(FormatError, match="the benchmark judges VQ; the scores are of smooth"):
        columns_of(pairs, ["smooth"])


def test_chance_is_computed_from_the_votes() -> None:
    pairs = benchmark([{"VQ": h} for h in H])
    found = results_of(pairs, [model(pairs, {"VQ": M})], FEW)["baselines"]["VQ"]
    assert found["always_tie"] == pytest.approx(4 / 12)
    assert found["random"] == pytest.approx(1 / 3)
    assert found["pairs"] == 12


def test_a_score_of_one_prompt_is_not_that_of_another() -> None:
    """VideoAlign, issue 29: joined by the path alone, the labels of a shared file are mixed up."""
    pairs = Benchmark(
        "videogen_rewardbench",
        ("TA",),
        (
            Pair(2, "shared.mp4", "b.mp4", "one", "m", "n", {"TA": 1}),
            Pair(3, "shared.mp4", "c.mp4", "two", "m", "n", {"TA": -1}),
        ),
    )
    scores = {
        ("shared.mp4", "one"): {"TA": 1.0},
        ("b.mp4", "one"): {"TA": 0.0},
        ("shared.mp4", "two"): {"TA": -1.0},
        ("c.mp4", "two"): {"TA": 0.0},
    }
    right = results_of(pairs, [Model("right", "", scores)], FEW)
    assert right["models"][0]["columns"]["TA"]["accuracy_without_ties"] == 1.0
    # The released script keeps one score per path; here is what that would have said.
    by_path = {path: value for (path, _), value in scores.items()}
    mixed = {key: by_path[key[0]] for key in scores}
    wrong = results_of(pairs, [Model("wrong", "", mixed)], FEW)
    assert wrong["models"][0]["columns"]["TA"]["accuracy_without_ties"] == 0.5


def test_a_pair_without_both_scores_is_left_out_and_said() -> None:
    pairs = benchmark([{"VQ": h} for h in H])
    full, part = model(pairs, {"VQ": M}), model(pairs, {"VQ": M}, "part")
    del part.scores[pairs.pairs[0].a]  # type: ignore[attr-defined]
    found = results_of(pairs, [full, part], FEW)
    assert [each["columns"]["VQ"]["pairs"] for each in found["models"]] == [12, 11]
    (difference,) = found["differences"]
    assert difference["pairs"] == 11
    assert "part has scores for some of the pairs only: VQ 11 of 12." in table_of(found)


def test_two_models_are_compared_on_the_same_pairs_and_prompts() -> None:
    rng = np.random.default_rng(0)
    human = rng.choice([-1, 0, 1], 200)
    pairs = benchmark([{"VQ": int(h)} for h in human])
    good = model(pairs, {"VQ": list(human + rng.normal(0, 0.3, 200))})
    poor = model(pairs, {"VQ": list(rng.normal(0, 1, 200))}, "poor")
    (found,) = results_of(pairs, [good, poor], Resampling(200))["differences"]
    without = found["accuracy_without_ties"]
    assert without["low"] > 0.2
    assert without["difference"] == pytest.approx(
        _accuracy(good, pairs) - _accuracy(poor, pairs), abs=1e-9
    )
    assert without["p_value"] == pytest.approx(2 / 200)
    same = results_of(pairs, [good, Model("twin", "", good.scores)], Resampling(200))
    assert same["differences"][0]["accuracy_without_ties"]["difference"] == 0.0


def _accuracy(model: Model, pairs: Benchmark) -> float:
    found: float = results_of(pairs, [model], FEW)["models"][0]["columns"]["VQ"][
        "accuracy_without_ties"
    ]
    return found


def test_a_threshold_of_other_prompts_is_no_better_than_the_best_one() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        human, gap = rng.choice([-1, 0, 1], 40), rng.normal(0, 1, 40)
        prompts = [f"p{n // 2}" for n in range(40)]
        found, best = on_other_prompts(human, gap, prompts), accuracy_with_ties(human, gap)
        assert found is not None
        assert best is not None
        assert found <= best.accuracy + 1e-12
    # Where a tie is always a small difference, other prompts find the same threshold.
    human = np.array([1, 0, -1, 0] * 10)
    gap = np.where(human == 0, 0.1, human * 2.0)
    assert on_other_prompts(human, gap, [f"p{n}" for n in range(40)]) == 1.0
    assert accuracy_at(human, gap, 0.1) == 1.0
    assert on_other_prompts(human, gap, ["one"] * 40) is None


def test_the_table_has_the_papers_rows_and_ours() -> None:
    pairs = benchmark([{"VQ": h} for h in H])
    found = results_of(pairs, [model(pairs, {"VQ": M}), model(pairs, {"VQ": M}, "a|b<i>")], FEW)
    table = table_of(found)
    assert "| VideoReward | 59.68 / 75.66 |" in table
    assert "| always a tie | 33.33 / 0.00 |" in table
    assert "| random | 33.33 / 50.00 |" in table
    assert "| **ours** | 66.67 / 75.00 |" in table
    assert (
        "Not comparable with the published rows: they are of 26,457 pairs, this file has 12."
        in table
    )
    assert r"**a\|b&lt;i>**" in table  # a name ends no cell and begins no tag
    assert "| ours - a" in table


def test_the_published_vote_is_that_of_text_alignment() -> None:
    pairs = benchmark([{"vote": 1}, {"vote": 0}], name="genai_bench")
    found = results_of(pairs, [model(pairs, {"VQ": [1.0, 0.0], "TA": [1.0, 0.0]})], FEW)
    assert "| VideoReward | – | 49.41 / 72.89 | – |" in table_of(found)


def test_published_figures_are_shares_and_complete() -> None:
    figures: list[Any] = [
        value
        for rows in PUBLISHED.values()
        for row in rows
        for pair in row.figures.values()
        for value in pair
    ]
    assert all(value is None or 0 < value < 1 for value in figures)
    videoreward = {row.model: row.figures for row in PUBLISHED["videogen_rewardbench"]}
    assert videoreward["VideoReward"]["Overall"] == pytest.approx((0.6126, 0.7359))
