"""The votes of the demo are neither easy nor hopeless: DESIGN 6 pins how hard they are."""

import numpy as np
import pytest

from demo.annotators import SIDES, THETA, Annotator, random_crowd
from demo.difficulty import consensus, difficulty
from demo.recipes import SPAN
from demo.worlds import WORLDS
from formats.supervised import BadConfigError


@pytest.mark.parametrize("world", list(WORLDS))
@pytest.mark.parametrize("votes", [1, 3])
def test_ties_and_the_label_noise_ceiling_lie_where_they_are_wanted(votes: int, world: str) -> None:
    found = difficulty(2500, votes, seed=1, world=world)
    assert set(found) == set(WORLDS[world].dimensions)
    for each in found.values():
        assert 0.3 <= each.tie_share <= 0.5
        assert 0.75 <= each.ceiling <= 0.93


def test_a_person_without_habits_follows_bradley_terry_with_ties() -> None:
    # Rao-Kupper at difference 0 and theta 3: P(left) = P(right) = 1 / (1 + 3) = 1/4, tie 1/2.
    rng = np.random.default_rng(0)
    assert THETA == 3
    assert Annotator().probabilities(0.0, rng) == pytest.approx((0.25, 0.5, 0.25))
    left, tie, right = Annotator().probabilities(1.3, rng)
    assert tie == pytest.approx((THETA**2 - 1) * left * right)


def test_habits_show_in_the_answers() -> None:
    rng = np.random.default_rng(1)
    plain = Annotator().probabilities(0.5, rng)
    assert Annotator(tie=1.5).probabilities(0.5, rng)[1] > plain[1]
    assert Annotator(side_bias=1.0).probabilities(0.5, rng)[0] > plain[0]


def test_a_careless_person_answers_at_random_in_most_cases() -> None:
    rng = np.random.default_rng(2)
    good, bad = {"VQ": 9.0}, {"VQ": -9.0}
    answers = [Annotator(careless=True).judge(good, bad, rng)["VQ"] for _ in range(2000)]
    # 0.4 + 0.6 / 3 = 0.6 of the answers are the right one.
    assert answers.count("left") / 2000 == pytest.approx(0.6, abs=0.04)
    assert set(answers) == set(SIDES)


def test_a_crowd_has_as_many_careless_people_as_asked() -> None:
    crowd = random_crowd(12, 3, np.random.default_rng(3))
    assert [each.careless for each in crowd] == [False] * 9 + [True] * 3


def test_a_split_is_no_consensus() -> None:
    assert consensus([1, 0, -1]) is None
    assert consensus([1, 1, -1]) == 1
    assert consensus([0, 0, 1]) == 0


def test_impossible_habits_are_refused() -> None:
    with pytest.raises(BadConfigError, match="noise of an annotator"):
        Annotator(noise=-1)
    with pytest.raises(BadConfigError, match="tie threshold"):
        Annotator(tie=0)


def test_scores_of_one_clip_are_whole_and_rise_with_its_quality() -> None:
    rng = np.random.default_rng(3)
    person = Annotator(noise=0.4)
    given = {
        share: [
            person.score({key: share * span for key, span in SPAN.items()}, rng) for _ in range(400)
        ]
        for share in (0.0, 0.5, 1.0)
    }
    assert all(each[key] in range(1, 6) for rows in given.values() for each in rows for key in SPAN)
    for key in SPAN:
        low, middle, high = (np.mean([row[key] for row in rows]) for rows in given.values())
        assert low + 0.8 < middle < high - 0.8


def test_a_lenient_person_gives_more_points_and_the_same_votes() -> None:
    half = {key: span / 2 for key, span in SPAN.items()}
    strict, lenient = Annotator(), Annotator(leniency=1.0)
    points = [
        np.mean([each.score(half, np.random.default_rng(n))["VQ"] for n in range(400)])
        for each in (strict, lenient)
    ]
    assert points[1] - points[0] == pytest.approx(1.0, abs=0.3)
    assert strict.judge(half, half, np.random.default_rng(4)) == lenient.judge(
        half, half, np.random.default_rng(4)
    )
