"""Pairs that tell a committee of reward models most about all pairs."""

import numpy as np
import pytest

from annotation.errors import CampaignError
from annotation.statistics.committee import Committee, most_telling
from annotation.statistics.strategies import Asked, Candidate

THETA = 5.0


def committee(rewards: np.ndarray) -> Committee:
    """[members, clips]; one dimension."""
    names = [str(n) for n in range(rewards.shape[1])]
    return Committee.of(names, rewards[..., None], [THETA])


def clips(count: int, per_prompt: int = 0) -> list[Candidate]:
    return [Candidate(n // (per_prompt or count), "x", str(n)) for n in range(count)]


def drawn(picks) -> list[set[str]]:
    return [{each.clip for each in pick} for pick in picks]


def test_the_members_differ_on_a_pair_as_their_rewards_do():
    found = committee(np.array([[0.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 6.0]]))
    mean, variance = found.difference("0", "1")
    gaps = np.array([-1.0, -3.0, 1.0, -1.0])
    assert mean[0] == pytest.approx(gaps.mean())
    assert variance[0] == pytest.approx(gaps.var(ddof=1))


def test_what_one_member_adds_to_all_its_rewards_is_no_difference():
    chance = np.random.default_rng(0)
    rewards = chance.normal(size=(5, 6))
    shifted = rewards + chance.normal(size=(5, 1)) * 100
    for pair in (("0", "1"), ("2", "5")):
        for one, other in zip(
            committee(rewards).difference(*pair), committee(shifted).difference(*pair), strict=True
        ):
            assert one == pytest.approx(other)


def test_pairs_that_hang_together_are_asked_once():
    """Clips 0 to 3 differ by one open question, 4 and 5 by another; 6 and 7 by none."""
    chance = np.random.default_rng(1)
    first, second = chance.normal(size=(2, 12, 1))
    rewards = np.concatenate(
        [first, -first, first, -first, 0.8 * second, -0.8 * second, 0 * first, 0 * first + 9], 1
    )
    found = committee(rewards)
    picks = drawn(most_telling(clips(8, per_prompt=2), found, budget=3, votes=50))
    assert picks[0] in ({"0", "1"}, {"2", "3"})
    assert picks[1] == {"4", "5"}  # and not the other one of the first question
    assert {"6", "7"} not in picks


def test_a_pair_that_tells_of_many_goes_before_one_that_tells_of_itself():
    chance = np.random.default_rng(2)
    shared, own = chance.normal(size=(2, 16, 1))
    many = np.concatenate([shared, -shared] * 6, 1)
    alone = np.concatenate([1.3 * own, -1.3 * own], 1)
    picks = most_telling(clips(14, per_prompt=2), committee(np.hstack([many, alone])), budget=1)
    assert drawn(picks)[0] != {"12", "13"}


def test_what_was_asked_is_not_asked_again_and_what_is_known_not_at_all():
    chance = np.random.default_rng(3)
    rewards = chance.normal(size=(6, 4))
    asked = Asked()
    asked.note((clips(4)[0], clips(4)[1]))
    picks = drawn(most_telling(clips(4), committee(rewards), budget=99, asked=asked))
    assert {"0", "1"} not in picks
    assert len(picks) == len({frozenset(pick) for pick in picks}) <= 5
    certain = committee(np.tile([0.0, 9.0, 0.0], (6, 1)))
    assert most_telling(clips(3), certain, budget=9) == []


def test_looking_at_the_best_alone_finds_what_looking_at_all_finds():
    from annotation.statistics import committee as module

    chance = np.random.default_rng(4)
    found = committee(chance.normal(size=(8, 60)))
    few = drawn(most_telling(clips(60, per_prompt=6), found, budget=25))
    looked = module._LOOKED_AT
    module._LOOKED_AT = 10**6  # type: ignore[misc]
    try:
        everything = drawn(most_telling(clips(60, per_prompt=6), found, budget=25))
    finally:
        module._LOOKED_AT = looked  # type: ignore[misc]
    assert few == everything


def test_equal_input_gives_equal_pairs():
    found = committee(np.random.default_rng(5).normal(size=(6, 30)))
    plans = [drawn(most_telling(clips(30, per_prompt=5), found, budget=9, seed=3)) for _ in "ab"]
    assert plans[0] == plans[1]


def test_committees_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at least 4 members, got 3"):
        committee(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        committee(np.full((4, 2), np.nan))
    with pytest.raises(ValueError, match="theta must be above 1"):
        Committee.of(["0"], np.zeros((4, 1, 1)), [1.0])
    with pytest.raises(CampaignError, match="a budget must be from 1"):
        most_telling(clips(2), committee(np.zeros((4, 2))), budget=0)
