"""Which clips become preference pairs, and which never do."""

import pytest

from formats.labels import Label
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord, VideoRef
from pipelines.pairing import (
    PairingConfig,
    pairs_from_scores,
    pairs_from_votes,
    unit_map,
    weighted_mean,
)
from pipelines.step_configs import StepConfigError


def _video(name: str, seed: int = 0) -> VideoRef:
    return VideoRef(name, f"{name}.mp4", name * 8, 8.0, 9, "g", seed)


def _clips(prompt: str, count: int, split: str = "train") -> list[GenerationRecord]:
    return [
        GenerationRecord(prompt, f"text of {prompt}", split, _video(f"{prompt}{n}", n))
        for n in range(count)
    ]


def _scores(clips: list[GenerationRecord], *totals: float) -> list[ScoreRecord]:
    return [
        ScoreRecord(clip.video.id, clip.prompt_id, clip.prompt, {}, {"VQ": total, "TA": total})
        for clip, total in zip(clips, totals, strict=True)
    ]


def test_the_best_and_the_worst_clip_of_a_prompt_make_the_pair() -> None:
    clips = _clips("p", 4)
    found = pairs_from_scores(clips, _scores(clips, 0.1, 2.0, -1.0, 0.5), PairingConfig())
    (pair,) = found.pairs
    assert (pair.chosen.id, pair.rejected.id) == ("p1", "p2")
    assert pair.gap == pytest.approx(3.0)
    assert pair.source == "rewards"


def test_clips_with_equal_scores_never_become_a_pair() -> None:
    clips = _clips("p", 3)
    found = pairs_from_scores(clips, _scores(clips, 1.0, 1.0, 1.0), PairingConfig())
    assert found.pairs == []
    assert found.refused == {"group of equal scores": 1}


def test_a_gap_below_the_minimum_makes_no_pair() -> None:
    clips = _clips("p", 2)
    scores = _scores(clips, 0.4, 0.0)
    assert pairs_from_scores(clips, scores, PairingConfig(minimum_gap=0.5)).pairs == []
    assert len(pairs_from_scores(clips, scores, PairingConfig(minimum_gap=0.3)).pairs) == 1


def test_prompts_outside_the_training_split_are_left_alone() -> None:
    clips = [*_clips("p", 2), *_clips("q", 2, "test")]
    found = pairs_from_scores(clips, _scores(clips, 0, 1, 0, 1), PairingConfig())
    assert [pair.prompt_id for pair in found.pairs] == ["p"]
    assert found.refused["clip of another split"] == 2


def test_a_clip_that_could_not_be_read_is_neither_good_nor_bad() -> None:
    clips = _clips("p", 3)
    scores = _scores(clips, 0.0, 1.0, -9.0)
    scores[2] = ScoreRecord("p2", "p", "text of p", error="cannot be read")
    (pair,) = pairs_from_scores(clips, scores, PairingConfig()).pairs
    assert pair.rejected.id == "p0"


@pytest.mark.parametrize("mapping", ["quantile", "minmax"])
def test_rewards_lie_in_zero_to_one_and_the_chosen_one_is_higher(mapping: str) -> None:
    clips = [clip for n in range(20) for clip in _clips(f"p{n}", 3)]
    totals = [((7 * n) % 11) / 3 - 2 + n * 1e-6 for n in range(len(clips))]
    found = pairs_from_scores(clips, _scores(clips, *totals), PairingConfig(mapping=mapping))
    assert found.pairs
    for pair in found.pairs:
        assert 0 <= pair.reward_l < pair.reward_w <= 1


def test_quantiles_are_midranks() -> None:
    # Four totals, one value twice: shares below plus half of itself: 1/8, 4/8 (twice), 7/8.
    to_unit = unit_map([0.0, 5.0, 5.0, 9.0], "quantile")
    assert [to_unit(x) for x in (0.0, 5.0, 9.0)] == pytest.approx([0.125, 0.5, 0.875])


def test_two_pairs_of_a_prompt_share_no_clip() -> None:
    clips = _clips("p", 4)
    config = PairingConfig(pairs_per_prompt=2)
    found = pairs_from_scores(clips, _scores(clips, 3, 2, 1, 0), config)
    used = [clip.id for pair in found.pairs for clip in (pair.chosen, pair.rejected)]
    assert sorted(used) == ["p0", "p1", "p2", "p3"]


def test_weights_decide_what_counts() -> None:
    # (3 * 1 + 1 * 5) / 4 = 2
    assert weighted_mean({"VQ": 1.0, "TA": 5.0}, {"VQ": 3, "TA": 1}) == pytest.approx(2.0)
    with pytest.raises(StepConfigError, match="no score for dimension 'MQ'; there are TA, VQ"):
        weighted_mean({"VQ": 1.0, "TA": 5.0}, {"MQ": 1})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"minimum_gapp": 1}, "unknown key 'minimum_gapp'; did you mean 'minimum_gap'?"),
        ({"minimum_gap": -1}, "minimum_gap must be a number, 0 or more, got -1"),
        ({"mapping": "softmax"}, "mapping must be one of quantile, minmax, got 'softmax'"),
        ({"weights": {"VQ": 0}}, "weights must be above 0 somewhere"),
        ({"split": "all"}, "split must be one of train, validation, test"),
    ],
)
def test_a_bad_pairing_config_is_refused_in_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(StepConfigError, match=sentence.replace("?", r"\?")):
        PairingConfig.from_json(values)


# What people said.


def _vote(labels: dict[str, str], split: str = "train", **more: object) -> PreferenceRecord:
    words = {key: Label(word) for key, word in labels.items()}
    return PreferenceRecord("id", "a prompt", split, _video("a"), _video("b"), words, **more)  # type: ignore[arg-type]


def test_the_side_that_won_more_dimensions_is_chosen() -> None:
    # A wins VQ, ties TA, B wins nothing: share of A = (1 + 1/2) / 2 = 3/4, gap = 2 * 3/4 - 1.
    (pair,) = pairs_from_votes([_vote({"VQ": "A", "TA": "tie"})], PairingConfig()).pairs
    assert (pair.chosen.id, pair.reward_w, pair.reward_l) == ("a", 0.75, 0.25)
    assert pair.gap == pytest.approx(0.5)
    assert pair.source == "votes"


def test_a_tie_as_a_whole_makes_no_pair() -> None:
    records = [_vote({"VQ": "A", "TA": "B"}), _vote({"VQ": "tie"}), _vote({"VQ": "invalid"})]
    found = pairs_from_votes(records, PairingConfig())
    assert found.pairs == []
    assert found.refused == {"tie": 2, "no usable label": 1}


def test_a_posterior_says_more_than_its_label() -> None:
    # P(A) + P(tie) / 2 = 0.2 + 0.1 = 0.3: B is chosen with 0.7.
    record = _vote({"VQ": "B"}, posterior={"VQ": [0.2, 0.2, 0.6]})
    (pair,) = pairs_from_votes([record], PairingConfig()).pairs
    assert (pair.chosen.id, pair.reward_w) == ("b", pytest.approx(0.7))


def test_a_dimension_without_weight_is_not_asked() -> None:
    record = _vote({"VQ": "A", "TA": "B"})
    (pair,) = pairs_from_votes([record], PairingConfig(weights={"VQ": 1})).pairs
    assert pair.chosen.id == "a"
