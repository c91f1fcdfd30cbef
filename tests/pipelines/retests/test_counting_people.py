"""Votes of a re-test into figures: the vectors of ML.md 6.4, and what must hold for any votes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.agreement import krippendorff_alpha
from formats.labels import Label
from pipelines.retests.counting import PairVotes, outcome, outcomes, overall, results, seen_from
from pipelines.retests.result import HumanTest, Share

pytestmark = pytest.mark.one_engine
KEYS = {"VQ": "Visual quality", "MQ": "Motion quality"}
WORDS = ("win", "tie", "loss", "invalid")


def pair(prompt: str, *votes: str, key: str = "VQ", **more: object) -> PairVotes:
    return PairVotes(prompt, tuple({key: word} for word in votes), **more)  # type: ignore[arg-type]


def test_176_of_400_wins_lie_between_0_392_and_0_489() -> None:
    pairs = [pair(f"p{n}", "win" if n < 176 else "loss") for n in range(400)]
    row = results(pairs, {"VQ": "Visual quality"}, votes_wanted=1)[1]
    assert (row.wins, row.ties, row.losses) == (176, 0, 224)
    for share in (row.without_ties, row.ties_half):
        found = (share.value, share.wilson_low, share.wilson_high)
        assert found == pytest.approx((0.44, 0.392, 0.489), abs=5e-4)
        assert found == pytest.approx((0.44, 0.392154263, 0.488987213), abs=1e-6)
    # The bootstrap over prompts says the same where each prompt has one pair.
    assert row.ties_half.low == pytest.approx(0.392, abs=0.006)
    assert row.ties_half.high == pytest.approx(0.489, abs=0.006)
    assert row.p_value == pytest.approx(0.018661520, abs=1e-6)


def test_ties_count_half_or_not_at_all() -> None:
    pairs = [pair(f"p{n}", word) for n, word in enumerate(["win"] * 6 + ["tie"] * 3 + ["loss"])]
    row = results(pairs, {"VQ": ""}, votes_wanted=1)[1]
    assert row.ties_half.value == pytest.approx(0.75)
    assert row.without_ties.value == pytest.approx(6 / 7)
    assert (row.ties_half.pairs, row.without_ties.pairs) == (10, 7)
    assert row.p_value == pytest.approx(2 * (1 + 7) / 2**7)


def test_a_third_vote_settles_what_two_differed_on_and_three_words_settle_nothing() -> None:
    pairs = [
        pair("a", "win", "loss", "win"),
        pair("b", "tie", "loss", "tie"),
        pair("c", "win", "tie", "loss"),
        pair("d", "win", "win"),
    ]
    row = results(pairs, {"VQ": ""}, votes_wanted=2)[1]
    assert (row.wins, row.ties, row.losses, row.undecided) == (2, 1, 0, 1)
    assert row.settled_further == 2
    assert row.votes == {"win": 5, "tie": 3, "loss": 3, "invalid": 0}


def test_clips_of_one_prompt_are_drawn_together() -> None:
    alone = [pair(f"p{n}", "win" if n % 4 else "loss") for n in range(64)]
    together = [pair(f"p{n // 16}", "win" if n // 16 else "loss") for n in range(64)]
    narrow, wide = (results(rows, {"VQ": ""}, votes_wanted=1)[1] for rows in (alone, together))
    assert narrow.ties_half.value == wide.ties_half.value == 0.75
    assert _width(wide.ties_half) > 2 * _width(narrow.ties_half)


def _width(share: Share) -> float:
    assert share.high is not None
    assert share.low is not None
    return share.high - share.low


def test_overall_is_the_side_that_wins_more_dimensions() -> None:
    assert overall(["win", "win", "loss"]) == "win"
    assert overall(["win", "loss", "tie"]) == "tie"
    assert overall(["loss", "invalid", "undecided"]) == "loss"
    assert overall(["invalid", "missing"]) == "invalid"
    assert overall(["undecided", "invalid"]) == "undecided"
    assert overall(["missing"]) == overall([]) == "missing"


def test_identical_clips_tie_and_a_ruling_goes_before_the_votes() -> None:
    same = PairVotes("p", identical=True)
    assert outcomes(same, list(KEYS)) == {"overall": "tie", "VQ": "tie", "MQ": "tie"}
    assert outcome(pair("p", "win", "win", ruled={"VQ": "loss"}), "VQ") == "loss"


def test_the_candidate_is_a_or_b() -> None:
    assert [seen_from(Label.A, side) for side in "AB"] == ["win", "loss"]
    assert [seen_from(Label.B, side) for side in "AB"] == ["loss", "win"]
    assert seen_from(Label.TIE, "B") == "tie"
    assert seen_from(Label.INVALID, "A") == "invalid"


def test_agreement_is_alpha_over_win_tie_and_loss() -> None:
    votes = [("win", "win"), ("loss", "win"), ("tie", "tie"), ("loss", "loss"), ("win", "invalid")]
    row = results([pair(f"p{n}", *v) for n, v in enumerate(votes)], {"VQ": ""}, votes_wanted=2)[1]
    counts = [[0, 0, 2], [1, 0, 1], [0, 2, 0], [2, 0, 0]]
    assert row.agreement.alpha == pytest.approx(krippendorff_alpha(counts))
    assert row.agreement.raw == pytest.approx(0.75)
    assert (row.agreement.votes, row.agreement.pairs) == (9, 4)


def test_nothing_is_said_where_nobody_voted() -> None:
    row = results([pair("p")], {"VQ": ""}, votes_wanted=2)[1]
    assert row.missing == 1
    assert row.ties_half == Share(None, None, None, None, None, 0)
    assert (row.p_value, row.agreement.alpha) == (None, None)


_PAIRS = st.lists(
    st.builds(
        lambda prompt, votes: PairVotes(
            f"prompt {prompt}", tuple(dict(zip(KEYS, vote, strict=True)) for vote in votes)
        ),
        st.integers(0, 4),
        st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), max_size=4),
    ),
    min_size=1,
    max_size=12,
)
_OTHER = {"win": "loss", "loss": "win", "tie": "tie", "invalid": "invalid"}


@settings(max_examples=30, deadline=None)
@given(_PAIRS)
def test_every_pair_ends_once_and_sides_are_alike(pairs: list[PairVotes]) -> None:
    turned = [
        PairVotes(p.prompt, tuple({k: _OTHER[w] for k, w in vote.items()} for vote in p.votes))
        for p in pairs
    ]
    mine = results(pairs, KEYS, votes_wanted=2, resamples=200)
    theirs = results(turned, KEYS, votes_wanted=2, resamples=200)
    for row, other in zip(mine, theirs, strict=True):
        ended = row.counted + row.invalid + row.undecided + row.missing
        assert ended == len(pairs)
        assert (row.wins, row.ties, row.losses) == (other.losses, other.ties, other.wins)
        assert row.p_value == other.p_value
        assert row.agreement.alpha == pytest.approx(other.agreement.alpha)
        if row.ties_half.value is not None:
            assert other.ties_half.value == pytest.approx(1 - row.ties_half.value)
            assert _width(row.ties_half) >= 0
        assert row.settled_further <= row.counted


def test_what_is_written_is_read_again(tmp_path: object) -> None:
    from pathlib import Path

    rows = results([pair("p", "win", "tie", "win")], {"VQ": "Visual quality"}, votes_wanted=2)
    result = HumanTest(
        "base", "new", 1, "Side by side 1", "videoalign", 2, 1, 1, 1, 0, 0, 0, 1, 3, 0, 0, 0, 2,
        simulated=False, counted_early="", dimensions=rows, notes=("One.",),
    )  # fmt: skip
    assert isinstance(tmp_path, Path)
    result.write(tmp_path / "human_test.json")
    assert HumanTest.read(tmp_path / "human_test.json") == result
