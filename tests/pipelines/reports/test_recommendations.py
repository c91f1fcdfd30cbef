"""The rules of a report: one case per line, each with the rule that it must follow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.reports.recommending import (
    Evidence,
    Fall,
    Judge,
    Opinion,
    Rate,
    Word,
    more_needed,
    pairs_to_see,
    recommendation,
    verdict_on,
)

pytestmark = pytest.mark.one_engine

UP, DOWN, OPEN, EVEN = (0.6, 0.8), (0.2, 0.4), (0.4, 0.7), (0.46, 0.54)
NAMES = {
    "people": Judge.PEOPLE,
    "truth": Judge.TRUTH,
    "judge": Judge.INDEPENDENT,
    "twin": Judge.SAME_VOTES,
    "reward": Judge.TRAINING,
}
STILLER = Fall("motion", 50.0, 40.0, -5.0)  # a fifth less
A_LITTLE = Fall("motion", 50.0, 48.0, -0.5)  # beyond doubt, and next to nothing
NOISE = Fall("motion", 50.0, 40.0, 1.0)  # perhaps by chance
ALIKE = Fall("diversity", 8.0, 5.0, -1.0)
ONE_PROMPT = Fall("diversity", 8.0, 5.0, None)


def opinion(name: str, ends: tuple[float, float], n: int = 100) -> Opinion:
    low, high = ends
    return Opinion(name, NAMES[name], Rate((low + high) / 2, low, high, n), votes=2)


def evidence(said: dict[str, tuple[float, float]], *falls: Fall, name: str = "x") -> Evidence:
    return Evidence(name, tuple(opinion(each, ends) for each, ends in said.items()), falls)


@pytest.mark.parametrize(
    ("said", "falls", "word"),
    [
        # Who decides: people, truth, a judge that was not trained on.
        ({"people": UP}, (), Word.BETTER),
        ({"people": DOWN}, (), Word.NOT_BETTER),
        ({"people": EVEN}, (), Word.NOT_BETTER),
        ({"people": OPEN}, (), Word.TOO_FEW),
        ({"people": OPEN, "truth": UP, "judge": UP}, (), Word.TOO_FEW),
        ({"people": UP, "truth": DOWN}, (), Word.BETTER),
        ({"truth": UP, "judge": DOWN}, (), Word.BETTER),
        ({"truth": OPEN, "judge": UP}, (), Word.TOO_FEW),
        ({"judge": UP}, (), Word.BETTER),
        ({"judge": OPEN, "twin": UP}, (), Word.TOO_FEW),
        ({"twin": UP, "reward": UP}, (), Word.BETTER),
        # The training reward alone convinces nobody, unless it says no.
        ({"reward": UP}, (), Word.TOO_FEW),
        ({"reward": OPEN}, (), Word.TOO_FEW),
        ({"reward": DOWN}, (), Word.NOT_BETTER),
        ({"reward": EVEN}, (), Word.NOT_BETTER),
        # Hacked: the reward up, and anything else down.
        ({"reward": UP, "people": DOWN}, (), Word.HACKED),
        ({"reward": UP, "truth": DOWN}, (), Word.HACKED),
        ({"reward": UP, "judge": DOWN}, (), Word.HACKED),
        ({"reward": UP, "twin": DOWN}, (), Word.HACKED),
        ({"reward": UP, "truth": UP, "judge": DOWN}, (), Word.HACKED),
        ({"reward": OPEN, "judge": DOWN}, (), Word.NOT_BETTER),
        ({"reward": UP, "judge": OPEN}, (), Word.TOO_FEW),
        # Motion and diversity count beyond doubt, by enough, and where nobody better was asked.
        ({"reward": UP, "judge": UP}, (STILLER,), Word.HACKED),
        ({"reward": UP, "judge": UP}, (ALIKE,), Word.HACKED),
        ({"reward": UP}, (STILLER,), Word.HACKED),
        ({"reward": UP, "people": OPEN}, (STILLER,), Word.HACKED),
        ({"reward": UP, "judge": UP}, (A_LITTLE,), Word.BETTER),
        ({"reward": UP, "judge": UP}, (NOISE,), Word.BETTER),
        ({"reward": UP, "judge": UP}, (ONE_PROMPT,), Word.BETTER),
        ({"reward": UP, "people": UP}, (STILLER, ALIKE), Word.BETTER),
        ({"reward": UP, "truth": UP}, (STILLER,), Word.BETTER),
        ({"reward": OPEN, "judge": UP}, (STILLER,), Word.BETTER),
    ],
)
def test_each_case_follows_its_rule(
    said: dict[str, tuple[float, float]], falls: tuple[Fall, ...], word: Word
) -> None:
    found = verdict_on(evidence(said, *falls))
    assert found.word == word
    assert found.rule.lower().startswith(word)
    assert (found.more is not None) == (word is Word.TOO_FEW)
    # The order in which judges are named changes nothing.
    turned = evidence(dict(reversed(said.items())), *reversed(falls))
    assert verdict_on(turned).word == word


def test_nobody_is_judged_without_a_judge() -> None:
    with pytest.raises(ValueError, match="nobody judged 'x'"):
        verdict_on(evidence({}))


def test_how_many_more_comes_from_the_width_of_the_interval() -> None:
    # Half width 0.15, distance 0.05: nine times as many decide, so eight times as many more.
    assert more_needed(Rate(0.55, 0.40, 0.70, 100)) == 800
    # Half width 0.15, distance 0.1: 2.25 times as many.
    assert more_needed(Rate(0.60, 0.45, 0.75, 40)) == 50
    # At one half exactly the margin is what has to be reached: half width 0.1 to 0.05.
    assert more_needed(Rate(0.5, 0.4, 0.6, 100)) == 300
    # 0.98^2 / 0.1^2 = 96.04
    assert pairs_to_see(0.6) == 97


@given(
    rate=st.floats(0.3, 0.7),
    half=st.floats(0.01, 0.3),
    n=st.integers(1, 2000),
)
def test_that_many_more_decide_if_the_rate_stays(rate: float, half: float, n: int) -> None:
    now = Rate(rate, rate - half, rate + half, n)
    if now.up or now.down or now.even:
        return
    total = n + more_needed(now)
    narrow = half * (n / total) ** 0.5
    then = Rate(rate, rate - narrow - 1e-9, rate + narrow + 1e-9, total)
    slack = Rate(rate, rate - narrow + 1e-6, rate + narrow - 1e-6, total)
    assert slack.up or slack.down or slack.even, (now, then)


def told(*of: Evidence) -> str:
    return recommendation([verdict_on(each) for each in of], of)


def test_the_best_that_is_better_is_taken_with_what_it_lost() -> None:
    one = evidence({"truth": (0.6, 0.9)}, name="one")
    opinions = (opinion("truth", (0.7, 0.8)), opinion("reward", UP))
    other = Evidence("other", opinions, (A_LITTLE, ALIKE), lost=("MQ",))
    assert told(one, other) == (
        "Take other: it beats the base by the judge truth (win rate 0.75, 95 % interval 0.70 to "
        "0.80). It lost on MQ. Its clips move less: motion amount 48.00 instead of 50.00. "
        "Its clips of one prompt differ less: diversity amount 5.00 instead of 8.00."
    )


def test_what_people_compared_with_another_adapter_is_said_to_beat_that_one() -> None:
    better = replace(evidence({"people": UP}, name="Flow-DPO"), base="GAPO")
    assert told(better).startswith("Take Flow-DPO: it beats GAPO by ")
    worse = replace(evidence({"people": DOWN}, name="Flow-DPO"), base="GAPO")
    assert told(worse) == "Keep GAPO: no candidate is better than it."
    mixed = told(worse, evidence({"truth": DOWN}, name="SFT"))
    assert mixed == "Keep the base: no candidate is better than it."


def test_what_cannot_be_taken_is_told_with_its_reason() -> None:
    assert told(evidence({"judge": DOWN})) == "Keep the base: no candidate is better than it."
    hacked = evidence({"reward": UP, "people": DOWN}, STILLER, name="GAPO")
    assert told(evidence({"judge": DOWN}), hacked) == (
        "Keep the base for now. GAPO has hacked its reward: the reward that it was trained on "
        "(reward) says better (win rate 0.70, 95 % interval 0.60 to 0.80), but people say worse "
        "(win rate 0.30, 95 % interval 0.20 to 0.40); motion 40.00 instead of 50.00 beyond doubt."
    )
    few = told(evidence({"people": OPEN}, name="DPO"))
    assert few.endswith("about 800 more pairs judged by people (1600 votes) would decide.")
    alone = told(evidence({"reward": UP}))
    assert "and nobody else judged): about 97 pairs judged by people (194 votes)" in alone
    prompts = told(evidence({"judge": OPEN}))
    assert prompts.endswith("about 800 more test prompts would decide.")
