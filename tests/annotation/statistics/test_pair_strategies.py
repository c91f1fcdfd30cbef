"""Which pairs are asked about: balance, connection, seeds, and what a vote is expected to tell."""

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.errors import CampaignError
from annotation.statistics.gaining import Belief, expected_gain, information, probabilities
from annotation.statistics.strategies import (
    Asked,
    Candidate,
    Strategy,
    plan_of,
    propose,
    stratum_of,
)

MODELS = "abcd"


def clips(prompts: int, models: str = MODELS, each: int = 1) -> list[Candidate]:
    return [
        Candidate(prompt, model, f"{prompt}{model}{n}")
        for prompt in range(prompts)
        for model in models
        for n in range(each)
    ]


def keys(picks) -> set[frozenset[str]]:
    return {frozenset(each.clip for each in pick) for pick in picks}


def test_all_asks_every_two_generators_on_every_prompt():
    picks = propose(clips(5), Strategy.ALL)
    assert len(picks) == 5 * 6  # 4 generators: 6 pairs
    assert Counter(map(stratum_of, picks)) == dict.fromkeys(combinations(MODELS, 2), 5)


@given(
    prompts=st.integers(1, 8),
    models=st.integers(2, 6),
    each=st.integers(1, 2),
    budget=st.integers(1, 60),
    seed=st.integers(0, 99),
    strategy=st.sampled_from(list(Strategy)),
)
@settings(max_examples=60, deadline=None)
def test_every_strategy_keeps_its_promises(prompts, models, each, budget, seed, strategy):
    candidates = clips(prompts, "abcdef"[:models], each)
    picks = propose(candidates, strategy, budget=budget, seed=seed)
    assert len(picks) <= budget
    assert len(keys(picks)) == len(picks)  # no pair twice, also not mirrored
    for a, b in picks:
        assert a.prompt == b.prompt
        assert a.generator != b.generator
    shuffled = random.Random(seed).sample(candidates, len(candidates))
    assert propose(shuffled, strategy, budget=budget, seed=seed) == picks


def test_balanced_asks_each_two_generators_and_each_clip_equally_often():
    picks = propose(clips(10), Strategy.BALANCED, budget=40)
    pairs = Counter(map(stratum_of, picks))
    used = Counter(each.clip for pick in picks for each in pick)
    prompts = Counter(pick[0].prompt for pick in picks)
    assert max(pairs.values()) - min(pairs.values()) <= 1  # 40 of 6: 6 or 7 each
    assert max(prompts.values()) - min(prompts.values()) <= 2
    assert max(used.values()) - min(used.values()) <= 2  # 80 places of 40 clips


def test_what_was_asked_before_counts_and_is_not_asked_again():
    asked = Asked()
    first = propose(clips(6), Strategy.BALANCED, budget=15, asked=asked)
    second = propose(clips(6), Strategy.BALANCED, budget=15, asked=asked)
    assert not keys(first) & keys(second)
    pairs = Counter(map(stratum_of, [*first, *second]))
    assert set(pairs.values()) == {5}
    assert len(propose(clips(6), Strategy.ALL, asked=asked)) == 36 - 30


def test_a_chain_ties_the_clips_of_a_prompt_together_with_the_fewest_pairs():
    picks = propose(clips(4, "abcde"), Strategy.CHAIN)
    assert len(picks) == 4 * 4  # 5 clips need 4 pairs
    for prompt in range(4):
        tied = {min(pick).clip: max(pick).clip for pick in picks if pick[0].prompt == prompt}
        uses = Counter(each.clip for pick in picks if pick[0].prompt == prompt for each in pick)
        assert len(tied) <= 4
        assert sorted(uses.values()) == [1, 1, 2, 2, 2]  # a line through all of them
    orders = {tuple(p for pick in picks if pick[0].prompt == n for p in stratum_of(pick))
              for n in range(4)}  # fmt: skip
    assert len(orders) > 1  # another order on every prompt


def test_active_asks_about_the_two_whose_order_is_least_known():
    # a is far above all; b and c are close and unsure; d is far below.
    belief = Belief(
        names=list("abcd"),
        mean=np.array([6.0, 0.1, -0.1, -6.0]),
        covariance=np.diag([0.01, 0.5, 0.5, 0.01]),
        theta=1.5,
    )
    picks = propose(clips(30), Strategy.ACTIVE, budget=20, beliefs=[belief])
    assert Counter(map(stratum_of, picks))[("b", "c")] == 20


def test_active_knows_nothing_and_so_begins_in_balance():
    picks = propose(clips(10), Strategy.ACTIVE, budget=30)
    asked = Counter(each.generator for pick in picks for each in pick)
    assert max(asked.values()) - min(asked.values()) <= 2
    assert len(Counter(map(stratum_of, picks))) == 6


def test_active_turns_to_others_as_it_learns():
    belief = Belief(list("abcd"), np.zeros(4), np.diag([2.0, 2.0, 1.0, 1.0]))
    picks = propose(clips(60), Strategy.ACTIVE, budget=60, beliefs=[belief])
    assert stratum_of(picks[0]) == ("a", "b")
    assert len(Counter(map(stratum_of, picks))) == 6


def test_single_clips_are_asked_about_each_once_and_by_generators_in_turns():
    picks = propose(clips(5), Strategy.BALANCED, budget=8, single=True)
    assert Counter(map(stratum_of, picks)) == dict.fromkeys([(m,) for m in MODELS], 2)
    assert len(propose(clips(5), Strategy.ALL, single=True)) == 20


def test_unknown_generators_may_meet_each_other():
    unknown = [Candidate(1, "", f"c{n}") for n in range(3)]
    assert len(propose(unknown, Strategy.ALL)) == 3


def test_a_plan_counts_before_anything_is_written():
    plan = plan_of(propose(clips(5), Strategy.ALL), votes_wanted=3)
    assert (plan.pairs, plan.votes, plan.prompts, plan.clips) == (30, 90, 5, 20)
    assert plan.by_generators["a / b"] == 5
    assert (plan.pairs_per_prompt, plan.pairs_per_clip) == ((6, 6), (3, 3))


@pytest.mark.parametrize("budget", [0, -1, 2_000_000])
def test_a_budget_has_bounds(budget):
    with pytest.raises(CampaignError, match="a budget must be from 1"):
        propose(clips(2), Strategy.ALL, budget=budget)


def test_strategies_without_an_end_want_a_budget():
    with pytest.raises(CampaignError, match="draws until a budget"):
        propose(clips(2), Strategy.BALANCED)


# What a vote tells.


def gain(mean: float, variance: float, theta: float) -> float:
    return float(expected_gain(np.array([mean]), np.array([variance]), theta)[0])


def test_chances_are_those_of_rao_and_kupper():
    # d = 0, theta = 5: P(A) = P(B) = 1/6, P(tie) = 24/36
    assert probabilities(0.0, 5.0) == pytest.approx([1 / 6, 2 / 3, 1 / 6])


def test_the_expected_gain_is_the_mutual_information_found_by_sampling():
    mean, variance, theta = 0.4, 0.8, 2.0
    draws = np.random.default_rng(1).normal(mean, variance**0.5, 200_000)
    chances = probabilities(draws, theta)
    entropy = -(chances * np.log(chances)).sum(-1)
    marginal = chances.mean(0)
    wanted = -(marginal * np.log(marginal)).sum() - entropy.mean()
    assert gain(mean, variance, theta) == pytest.approx(wanted, rel=0.01)


def test_the_information_is_the_slope_squared_by_differences():
    d, theta, step = 0.7, 3.0, 1e-5
    up, down, here = (probabilities(d + s, theta) for s in (step, -step, 0.0))
    wanted = (((up - down) / (2 * step)) ** 2 / here).sum()
    assert information(d, theta) == pytest.approx(wanted, rel=1e-6)


def test_a_sure_difference_tells_nothing_more():
    assert gain(0.0, 1e-9, 2.0) == pytest.approx(0, abs=1e-8)
    assert gain(0.0, 1.0, 2.0) > gain(5.0, 1.0, 2.0) > 0


def test_votes_tell_of_a_difference_alone():
    belief = Belief(list("abc"), np.zeros(3), np.eye(3))
    before = belief.gains([("a", "b"), ("a", "c")])
    belief.learn("ab", votes=1000)
    known, still = belief.gains([("a", "b"), ("a", "c")])
    assert known < before[0] / 50
    assert still > before[1] / 2  # how both stand to c, nobody has asked
    # Of a difference of variance 2, 1000 looks with information i leave 1 / (1/2 + 1000 i).
    look = np.array([1.0, -1.0, 0.0])
    wanted = 1 / (1 / 2 + 1000 * information(0.0, belief.theta))
    assert look @ belief.covariance @ look == pytest.approx(wanted)
