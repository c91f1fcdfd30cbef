"""Rewards of a whole split against people: every figure per dimension, and what is refused."""

import json
import math
from typing import Any

import numpy as np
import pytest

from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from formats.supervised import NonFiniteError
from models_rm.examination.evaluation import compare_models, evaluate_pairs
from models_rm.examination.figures import without_details
from models_rm.metrics import HumanCeiling, btt_threshold
from models_rm.preferences.data import Pairs, pairs_of

KEYS = ("VQ", "TA")


def made(count: int = 60, *, labels: Any = None, prompts: int = 12) -> tuple[Pairs, np.ndarray]:
    """Pairs of two generators, voted on by the truth with ties between; and rewards near it."""
    rng = np.random.default_rng(0)
    truth: dict[str, float] = {}
    records = []
    for n in range(count):
        refs = []
        for side, generator in zip("ab", ("x", "y"), strict=True):
            name = f"{n}{side}"
            truth[name] = float(rng.normal(scale=2))
            refs.append(VideoRef(name, name, name, 8.0, 9, generator))
        gap = truth[f"{n}a"] - truth[f"{n}b"]
        word = Label.TIE if abs(gap) < 1 else Label.A if gap > 0 else Label.B
        said = dict.fromkeys(KEYS, word) if labels is None else labels
        scores = [{"VQ": min(5.0, max(1.0, 3 + truth[ref.id]))} for ref in refs]
        records.append(
            PreferenceRecord(
                f"p{n:02}", f"prompt {n % prompts}", "test", *refs, said,
                scores_a=scores[0], scores_b=scores[1],
            )
        )  # fmt: skip
    pairs = pairs_of(records, KEYS)
    near = np.array([truth[row.video.id] for row in pairs.rows])
    return pairs, np.stack([near, near + rng.normal(size=len(near))], axis=1)


def test_every_figure_is_there_and_is_plain_json() -> None:
    pairs, rewards = made()
    found = evaluate_pairs(pairs, rewards, [5.0, 3.0], thresholds={"VQ": 1.0, "TA": None},
                           bootstrap=50, details=True)  # fmt: skip
    vq, ta = found["VQ"], found["TA"]
    assert (vq["pairs"], vq["prompts"], vq["accuracy_without_ties"]) == (60, 12, 1.0)
    # Rewards are the truth, so the threshold of the world makes no mistake.
    assert vq["accuracy_with_ties_fitted"] == vq["accuracy_with_ties"] == 1.0
    assert (ta["accuracy_with_ties_fitted"], ta["threshold_btt"]) == (None, btt_threshold(3.0))
    assert vq["tie_separation"] == 1.0
    assert ta["accuracy_without_ties_interval"][0] < ta["accuracy_without_ties"] < 1
    assert vq["spearman"] > 0.95
    assert vq["scored_clips"] == 120
    assert "spearman" not in ta
    (generators,) = vq["details"]["generators"]
    assert (generators["first"], generators["second"], generators["pairs"]) == ("x", "y", 60)
    json.dumps(found, allow_nan=False)
    assert "details" not in without_details(found)["VQ"]


def test_swapping_all_pairs_changes_no_figure() -> None:
    pairs, rewards = made()
    turned = Pairs(**{
        **{name: getattr(pairs, name) for name in pairs.__dataclass_fields__},
        "a": pairs.b, "b": pairs.a, "preference": -pairs.preference,
        "score_a": pairs.score_b, "score_b": pairs.score_a,
    })  # fmt: skip
    one, two = (
        without_details(evaluate_pairs(each, rewards, [5.0, 3.0], bootstrap=50))
        for each in (pairs, turned)
    )
    assert rounded(one) == rounded(two)


def rounded(value: Any) -> Any:
    """Nested figures to nine digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_named(bad: float) -> None:
    pairs, rewards = made()
    rewards[3, 1] = bad
    with pytest.raises(
        NonFiniteError, match=r"the first is the TA of 1b for the prompt 'prompt 1'"
    ):
        evaluate_pairs(pairs, rewards, [5.0, 3.0])


@pytest.mark.parametrize("labels", [{}, dict.fromkeys(KEYS, Label.INVALID)])
def test_a_dimension_that_nobody_judged_has_no_pairs(labels: dict[str, Label]) -> None:
    pairs, rewards = made(labels=labels)
    found = evaluate_pairs(pairs, rewards, [5.0, 3.0], details=True)
    assert found["TA"] == {"pairs": 0}
    assert evaluate_pairs(pairs_of([], KEYS), np.empty((0, 2)), [5.0, 3.0])["VQ"] == {"pairs": 0}


def test_all_ties_no_tie_and_one_prompt_have_defined_figures() -> None:
    pairs, rewards = made(labels=dict.fromkeys(KEYS, Label.TIE), prompts=1)
    ties = evaluate_pairs(pairs, rewards, [5.0, 3.0], bootstrap=20, details=True)["VQ"]
    assert (ties["accuracy_without_ties"], ties["accuracy_without_ties_interval"]) == (None, None)
    assert (ties["accuracy_with_ties"], ties["tie_separation"], ties["theta_best"]) == (
        1,
        None,
        None,
    )
    assert ties["accuracy_with_ties_interval"] == [1.0, 1.0]
    pairs, rewards = made(labels=dict.fromkeys(KEYS, Label.A))
    wins = evaluate_pairs(pairs, rewards, [5.0, 3.0], bootstrap=20, details=True)["VQ"]
    assert (wins["baseline_always_tie"], wins["baseline_random"]) == (0.0, 1 / 3)
    assert wins["theta_equal_quality"] == 1.0
    for found in (ties, wins):
        json.dumps(found, allow_nan=False)


def test_what_a_model_is_not_sure_of_it_says_less_of() -> None:
    pairs, rewards = made()
    sure = evaluate_pairs(pairs, rewards, [5.0, 3.0], bootstrap=0)["TA"]
    variance = np.full_like(rewards, math.log(9.0))
    variance[:, 0] = np.nan  # of a composed model: this dimension knows no variance
    unsure = evaluate_pairs(pairs, rewards, [5.0, 3.0], log_variance=variance, bootstrap=0)
    assert unsure["TA"]["nll"] != sure["nll"]
    assert unsure["TA"]["accuracy_with_ties"] == sure["accuracy_with_ties"]
    plain = evaluate_pairs(pairs, rewards, [5.0, 3.0], bootstrap=0)["VQ"]
    assert unsure["VQ"]["nll"] == pytest.approx(plain["nll"])


def test_the_ceiling_of_people_stands_beside() -> None:
    pairs, rewards = made()
    ceiling = HumanCeiling(30, 4, 0.7, None, 0.9, None)
    found = evaluate_pairs(pairs, rewards, [5.0, 3.0], ceilings={"VQ": ceiling}, bootstrap=0)
    assert found["VQ"]["human_ceiling_without_ties"] == 0.9
    assert "human_ceiling_without_ties" not in found["TA"]


def test_two_models_are_compared_per_dimension() -> None:
    pairs, rewards = made(200)
    worse = rewards + np.random.default_rng(1).normal(scale=3, size=rewards.shape)
    found = compare_models(pairs, rewards, worse, bootstrap=200)
    assert found["VQ"]["difference"] == pytest.approx(1.0 - found["VQ"]["second"])
    assert found["VQ"]["low"] > 0
    tied, same = made(labels=dict.fromkeys(KEYS, Label.TIE))
    assert compare_models(tied, same, same) == {}
