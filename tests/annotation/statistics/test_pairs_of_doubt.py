"""Pairs that a reward model is least sure of: neither the certain nor the truly equal ones."""

import numpy as np
import pytest

from annotation.errors import CampaignError
from annotation.statistics.doubting import ClipBeliefs, foreseen, most_doubtful
from annotation.statistics.gaining import probabilities
from annotation.statistics.strategies import Asked, Candidate

THETA = [5.0, 3.0]


def beliefs(**clips: tuple[float, float]) -> ClipBeliefs:
    """By clip: reward and deviation, the same on both dimensions."""
    mean, std = ([[each[n]] * 2 for each in clips.values()] for n in (0, 1))
    return ClipBeliefs.of(list(clips), np.array(mean), np.array(std), THETA)


def candidates(*names: str, prompt: int = 1) -> list[Candidate]:
    return [Candidate(prompt, f"model {name[0]}", name) for name in names]


def drawn(picks) -> list[set[str]]:
    return [{each.clip for each in pick} for pick in picks]


def test_doubt_is_neither_a_known_winner_nor_a_known_tie():
    found = beliefs(unsure=(0.0, 2.0), other=(0.3, 2.0), best=(9.0, 0.1), worst=(-9.0, 0.1),
                    same=(0.0, 0.05), twin=(0.0, 0.05))  # fmt: skip
    doubt, certain, equal = found.gains([("unsure", "other"), ("best", "worst"), ("same", "twin")])
    assert doubt > 0.3
    assert certain < 1e-3
    assert equal < 1e-2


def test_the_entropy_of_the_answer_alone_would_ask_about_equal_clips():
    """Why the gain: two clips that are known to be equal have an answer that nobody can foresee."""
    chances = probabilities(np.zeros(1), 2.0)[0]
    assert -(chances * np.log(chances)).sum() > 1.09  # almost the most, log 3
    found = beliefs(same=(0.0, 0.05), twin=(0.0, 0.05))
    assert found.gains([("same", "twin")])[0] < 1e-2


def test_the_unsure_pair_is_asked_first():
    found = beliefs(a1=(0.0, 1.5), b1=(0.2, 1.5), c1=(8.0, 0.1), d1=(8.0, 0.1), e1=(0.5, 0.7))
    picks = most_doubtful(candidates("a1", "b1", "c1", "d1", "e1"), found, budget=9)
    assert drawn(picks)[0] == {"a1", "b1"}
    assert all(not pair & {"c1", "d1"} for pair in drawn(picks))
    assert len(picks) == 3  # and not the other seven, of which a vote tells nothing


def test_two_clips_of_one_generator_may_meet_and_prompts_may_not():
    found = beliefs(a1=(0.0, 1.0), a2=(0.1, 1.0), b1=(0.0, 1.0))
    two = [*candidates("a1", "a2"), *candidates("b1", prompt=2)]
    assert drawn(most_doubtful(two, found, budget=9)) == [{"a1", "a2"}]


def test_no_clip_and_no_prompt_takes_everything():
    names = [f"{letter}{n}" for n in range(4) for letter in "abcd"]
    found = beliefs(**{name: (0.0, 1.5 if name.endswith("0") else 1.2) for name in names})
    clips = [each for n in range(4) for each in candidates(*(f"{c}{n}" for c in "abcd"), prompt=n)]
    picks = most_doubtful(clips, found, budget=8, votes=3)
    prompts = [pick[0].prompt for pick in picks]
    assert {prompts.count(n) for n in range(4)} == {2}
    uses = [name for pair in drawn(picks) for name in pair]
    assert max(uses.count(name) for name in names) == 1


def test_what_was_asked_is_not_asked_again_and_counts_for_its_prompt():
    found = beliefs(a1=(0.0, 1.0), b1=(0.0, 1.0), a2=(0.0, 1.0), b2=(0.0, 1.0), c1=(0, 1.0))
    asked = Asked()
    asked.note(tuple(candidates("a1", "b1")))
    clips = [*candidates("a1", "b1", "c1"), *candidates("a2", "b2", prompt=2)]
    picks = most_doubtful(clips, found, budget=9, asked=asked)
    assert drawn(picks)[0] == {"a2", "b2"}
    assert {"a1", "b1"} not in drawn(picks)
    assert len(picks) == 3


def test_equal_input_gives_equal_pairs_and_the_seed_decides_among_equals():
    names = [f"{letter}{n}" for letter in "abcdef" for n in range(3)]

    def plan(seed: int) -> list[set[str]]:
        found = beliefs(**dict.fromkeys(names, (0.0, 1.0)))
        return drawn(most_doubtful(candidates(*names), found, budget=5, seed=seed))

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_what_people_will_say_is_foreseen_with_the_uncertainty_in_it():
    certain = foreseen(1.0, 0.0, 5.0)
    assert certain == pytest.approx([0.352187, 0.579279, 0.068533], abs=1e-6)
    unsure = foreseen(1.0, 25.0, 5.0)
    assert sum(unsure) == pytest.approx(1)
    assert unsure[1] < 0.3  # what nobody knows is no tie
    gaps = 1.0 + 5.0 * NODES
    assert np.allclose(unsure, WEIGHTS @ probabilities(gaps, 5.0) / WEIGHTS.sum(), atol=0.03)


def test_a_vote_makes_both_clips_surer():
    found = beliefs(a=(0.0, 1.0), b=(0.0, 2.0), c=(0.0, 1.0))
    before = found.variance.copy()
    found.learn(("a", "b"), votes=3)
    assert (found.variance[:2] < before[:2]).all()
    assert (found.variance[2] == before[2]).all()
    assert found.gains([("a", "b")])[0] < beliefs(a=(0.0, 1.0), b=(0.0, 2.0)).gains([("a", "b")])[0]


def test_a_model_that_is_sure_of_everything_asks_nothing():
    found = beliefs(a=(0.0, 0.0), b=(1.0, 0.0))
    assert most_doubtful(candidates("a", "b"), found, budget=5) == []


@pytest.mark.parametrize("budget", [0, 10**7])
def test_a_budget_out_of_reach_is_refused(budget):
    with pytest.raises(CampaignError, match="a budget must be from 1 to 1000000 pairs"):
        most_doubtful(candidates("a"), beliefs(a=(0.0, 1.0)), budget=budget)


def test_beliefs_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="must be finite"):
        beliefs(a=(float("nan"), 1.0))
    with pytest.raises(ValueError, match="theta must be above 1"):
        ClipBeliefs.of(["a"], np.zeros((1, 1)), np.zeros((1, 1)), [1.0])


# Whether it is worth it: people whose truth is known, and a model that learns from their votes.

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(21)


def learned(seed: int, *, active: bool) -> float:
    """Mean squared error of the differences within prompts after 60 votes, as a share of before."""
    chance = np.random.default_rng(seed)
    prompts, each = 30, 4
    names = [f"{prompt}-{n}" for prompt in range(prompts) for n in range(each)]
    truth = chance.normal(0, 2, len(names))
    std = np.where(np.arange(len(names)) % each < 2, 1.5, 0.2)  # two of four clips are murky
    mean = truth + std * chance.normal(size=len(names))
    clips = [Candidate(n // each, "x", name) for n, name in enumerate(names)]
    found = ClipBeliefs.of(names, mean[:, None], std[:, None], [5.0])
    if active:
        picks = most_doubtful(clips, found, budget=60, seed=seed)
    else:
        asked = [
            (clips[a], clips[b])
            for a in range(len(clips))
            for b in range(a + 1, len(clips))
            if a // each == b // each
        ]
        picks = [asked[n] for n in chance.permutation(len(asked))[:60]]
    before = error(mean, truth, each)
    variance = std**2
    for pick in picks:
        vote(mean, variance, [names.index(clip.clip) for clip in pick], truth, chance)
    return error(mean, truth, each) / before


def error(mean: np.ndarray, truth: np.ndarray, each: int) -> float:
    off = (mean - truth).reshape(-1, each)
    return float(((off[:, :, None] - off[:, None, :]) ** 2).mean())


def vote(
    mean: np.ndarray, variance: np.ndarray, pair: list[int], truth: np.ndarray, chance
) -> None:
    """One BTT vote on the truth; the belief in the difference by its first two moments."""
    a, b = pair
    answer = chance.choice(3, p=probabilities(truth[a] - truth[b], 5.0))
    spread, middle = variance[a] + variance[b], mean[a] - mean[b]
    gaps = middle + spread**0.5 * NODES
    mass = WEIGHTS * probabilities(gaps, 5.0)[:, answer]
    mass /= mass.sum()
    moved, left = mass @ gaps - middle, mass @ (gaps - mass @ gaps) ** 2
    for clip, sign in ((a, 1), (b, -1)):
        share = variance[clip] / spread
        mean[clip] += sign * share * moved
        variance[clip] -= share**2 * (spread - left)


def test_votes_on_pairs_of_doubt_teach_more_than_votes_on_any_pairs():
    gone = {
        active: 1 - np.mean([learned(seed, active=active) for seed in range(20)])
        for active in (True, False)
    }
    assert gone[False] > 0.1  # any votes teach something
    assert gone[True] > 1.25 * gone[False]
