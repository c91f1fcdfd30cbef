"""Which clips become preference pairs, and which never do."""

import math
from dataclasses import fields
from typing import Any

import pytest

from formats.errors import FormatError
from formats.labels import Label
from formats.records import GenerationRecord, PreferenceRecord, ScoreRecord, VideoRef
from pipelines.pairing import map_of, pairs_of
from pipelines.pairs.material import Material
from pipelines.pairs.of_people import judged_by_people, pairs_from_votes
from pipelines.pairs.of_rewards import pairs_from_scores
from pipelines.pairs.rules import PRESETS, Fault, PairingConfig, Rules, summary_of
from pipelines.rewards.maps import RewardMap, fitted
from pipelines.scoring import Reward, weighted_mean
from pipelines.step_configs import StepConfigError


def _video(name: str, seed: int = 0) -> VideoRef:
    return VideoRef(name, f"{name}.mp4", name * 8, 8.0, 9, "g", seed)


def _clips(prompt: str, count: int, split: str = "train") -> list[GenerationRecord]:
    return [
        GenerationRecord(prompt, f"text of {prompt}", split, _video(f"{prompt}{n}", n))
        for n in range(count)
    ]


def _scores(clips: list[GenerationRecord], *totals: float) -> list[ScoreRecord]:
    return [_score(clip, VQ=total, TA=total) for clip, total in zip(clips, totals, strict=True)]


def _score(clip: GenerationRecord, **values: float) -> ScoreRecord:
    return ScoreRecord(clip.video.id, clip.prompt_id, clip.prompt, {}, values)


# From rewards.


def test_the_best_and_the_worst_clip_of_a_prompt_make_the_pair() -> None:
    clips = _clips("p", 4)
    found = pairs_from_scores(clips, _scores(clips, 0.1, 2.0, -1.0, 0.5), PairingConfig())
    (pair,) = found.pairs
    assert (pair.chosen.id, pair.rejected.id) == ("p1", "p2")
    assert pair.gap == pytest.approx(3.0)
    assert pair.source == "rewards"
    assert (pair.rewards_w, pair.rewards_l) == ({"VQ": 2.0, "TA": 2.0}, {"VQ": -1.0, "TA": -1.0})


def test_clips_with_equal_scores_never_become_a_pair() -> None:
    clips = _clips("p", 3)
    found = pairs_from_scores(clips, _scores(clips, 1.0, 1.0, 1.0), PairingConfig())
    assert found.pairs == []
    assert found.refused == {"group of equal scores": 1}


def test_a_clip_that_is_alone_with_its_prompt_makes_no_pair() -> None:
    clips = _clips("p", 1)
    found = pairs_from_scores(clips, _scores(clips, 1.0), PairingConfig())
    assert found.pairs == []
    assert found.refused == {"prompt with too few clips": 1}
    (example,) = found.examples
    assert (example.prompt, example.chosen) == ("text of p", clips[0].video)


def test_a_gap_below_the_minimum_makes_no_pair() -> None:
    clips = _clips("p", 2)
    scores = _scores(clips, 0.4, 0.0)
    narrow = pairs_from_scores(clips, scores, PairingConfig(minimum_gap=0.5))
    assert narrow.pairs == []
    assert narrow.examples[0].fault == Fault("gap below the minimum", "0.4, wanted 0.5")
    assert len(pairs_from_scores(clips, scores, PairingConfig(minimum_gap=0.3)).pairs) == 1


def test_prompts_outside_the_training_split_are_left_alone() -> None:
    clips = [*_clips("p", 2), *_clips("q", 2, "test")]
    found = pairs_from_scores(clips, _scores(clips, 0, 1, 0, 1), PairingConfig())
    assert [pair.prompt_id for pair in found.pairs] == ["p"]
    assert found.left_out == {"clip of another split": 2}


def test_a_clip_that_could_not_be_read_is_neither_good_nor_bad() -> None:
    clips = _clips("p", 3)
    scores = _scores(clips, 0.0, 1.0, -9.0)
    scores[2] = ScoreRecord("p2", "p", "text of p", error="cannot be read")
    found = pairs_from_scores(clips, scores, PairingConfig())
    assert found.pairs[0].rejected.id == "p0"
    assert found.left_out == {"clip without a score": 1}


def test_a_withdrawn_clip_is_not_paired() -> None:
    clips = _clips("p", 3)
    rules = Rules(withdrawn=frozenset({clips[0].video.sha256}))
    found = pairs_from_scores(clips, _scores(clips, 9, 1, 0), PairingConfig(), rules)
    assert found.pairs[0].chosen.id == "p1"
    assert found.left_out == {"a clip was withdrawn": 1}


def test_two_pairs_of_a_prompt_share_no_clip() -> None:
    clips = _clips("p", 4)
    config = PairingConfig(pairs_per_prompt=2)
    found = pairs_from_scores(clips, _scores(clips, 3, 2, 1, 0), config)
    used = [(pair.chosen.id, pair.rejected.id) for pair in found.pairs]
    assert used == [("p0", "p3"), ("p1", "p2")]
    three = pairs_from_scores(clips[:3], _scores(clips[:3], 3, 2, 1), config)
    assert (len(three.pairs), three.refused) == (1, {"prompt with too few clips": 1})


def test_pareto_takes_the_widest_pair_that_is_worse_in_no_dimension() -> None:
    clips = _clips("p", 3)
    # Best against worst: p0 wins by 8 in all, and loses TA. p0 against p1 loses nothing.
    scores = [
        _score(clips[0], VQ=10.0, TA=0.0),
        _score(clips[1], VQ=5.0, TA=0.0),
        _score(clips[2], VQ=0.0, TA=2.0),
    ]
    assert pairs_from_scores(clips, scores, PairingConfig()).pairs[0].rejected.id == "p2"
    found = pairs_from_scores(clips, scores, PairingConfig(pareto=True))
    assert [(pair.chosen.id, pair.rejected.id) for pair in found.pairs] == [("p0", "p1")]
    assert found.replaced == {"not at least as good in every dimension": 1}
    assert found.refused == {}
    assert found.examples[0].fault.detail == "worse in TA by 2"
    # A dimension that does not count cannot forbid.
    only = PairingConfig(pareto=True, weights={"VQ": 1.0, "TA": 0.0})
    assert pairs_from_scores(clips, scores, only).replaced == {}


def test_weights_decide_what_counts() -> None:
    # (3 * 1 + 1 * 5) / 4 = 2
    assert weighted_mean({"VQ": 1.0, "TA": 5.0}, {"VQ": 3, "TA": 1}) == pytest.approx(2.0)
    with pytest.raises(StepConfigError, match="no score for dimension 'MQ'; there are TA, VQ"):
        weighted_mean({"VQ": 1.0, "TA": 5.0}, {"MQ": 1})
    clips = _clips("p", 2)
    scores = [_score(clips[0], VQ=1.0, TA=0.0), _score(clips[1], VQ=0.0, TA=3.0)]
    chosen = {
        key: pairs_from_scores(clips, scores, PairingConfig(weights={key: 1.0})).pairs[0].chosen.id
        for key in ("VQ", "TA")
    }
    assert chosen == {"VQ": "p0", "TA": "p1"}


def test_clips_that_were_judged_on_different_dimensions_are_not_compared() -> None:
    clips = _clips("p", 2)
    scores = [_score(clips[0], VQ=1.0, TA=0.0), _score(clips[1], VQ=0.0)]
    with pytest.raises(FormatError, match="clip 'p1' has no score for dimension 'TA'"):
        pairs_from_scores(clips, scores, PairingConfig())
    scores[1] = _score(clips[1], VQ=0.0, TA=math.nan)
    with pytest.raises(FormatError, match="score of clip 'p1' on TA is nan; expected a finite"):
        pairs_from_scores(clips, scores, PairingConfig())


def test_one_file_under_two_seeds_is_no_pair() -> None:
    clips = _clips("p", 2)
    twin = GenerationRecord("p", clips[0].prompt, "train", VideoRef(
        "other", "other.mp4", clips[0].video.sha256, 8.0, 9, "g", 7))  # fmt: skip
    both = [clips[0], twin]
    found = pairs_from_scores(both, _scores(both, 1.0, 0.0), PairingConfig())
    assert found.refused == {"both clips are the same file": 1}


# The map to [0, 1].


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
    to_unit = fitted([0.0, 5.0, 5.0, 9.0], "quantile")
    assert [to_unit(x) for x in (0.0, 5.0, 9.0)] == pytest.approx([0.125, 0.5, 0.875])


def test_a_quantile_map_rises_beyond_what_it_was_fitted_on() -> None:
    to_unit = fitted([0.0, 1.0, 2.0, 3.0], "quantile")
    places = [-50.0, -2.0, -1.0, 0.0, 3.0, 4.0, 5.0, 30.0]
    values = [to_unit(each) for each in places]
    assert values == sorted(set(values))
    assert values[0] >= 0
    assert values[-1] <= 1
    # 1 - (1 - 7/8) exp(-1) one deviation beyond the last knot, that of 0, 1, 2, 3 being sqrt(1.25).
    assert to_unit(3 + math.sqrt(1.25)) == pytest.approx(1 - 0.125 * math.exp(-1))


def test_two_totals_beyond_a_stretched_map_make_no_pair() -> None:
    clips = _clips("p", 2)
    rules = Rules(to_unit=fitted([0.0, 1.0], "minmax"))
    found = pairs_from_scores(clips, _scores(clips, 3.0, 2.0), PairingConfig(), rules)
    assert found.examples[0].fault == Fault("rewards map to the same value", "both 1")


@pytest.mark.parametrize(
    ("knots", "sentence"),
    [
        ((), "needs knots of finite numbers"),
        (((0.0, 0.1), (0.0, 0.2)), "must rise, in totals and in values"),
        (((0.0, 0.2), (1.0, 0.2)), "must rise, in totals and in values"),
        (((0.0, -0.1), (1.0, 0.9)), r"must stay in \[0, 1\]; its values go from -0.1 to 0.9"),
        (((0.0, 0.1), (1.0, 1.5)), r"must stay in \[0, 1\]; its values go from 0.1 to 1.5"),
        (((0.0, 0.1), (math.nan, 0.5)), "needs knots of finite numbers"),
    ],
)
def test_a_map_that_would_leave_zero_to_one_is_refused(knots: Any, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        RewardMap("quantile", knots)


def _material(**given: Any) -> Material:
    lists = [each.name for each in fields(Material) if each.name != "reward_map"]
    return Material(**{**{name: [] for name in lists}, "reward_map": None, **given})


def test_the_map_is_fitted_on_clips_of_validation_prompts_where_there_are_some() -> None:
    clips, held_out = _clips("p", 2), _clips("v", 4, "validation")
    scores = _scores(clips, 1.0, 0.0)
    own = map_of(_material(clips=clips, scores=scores), PairingConfig())
    assert own is not None
    assert (own.fitted_on, own.clips) == ("train", 2)
    both = [*clips, *held_out]
    mixed = _scores(both, 1.0, 0.0, -2.0, -1.0, 1.0, 2.0)
    found = map_of(_material(clips=both, scores=mixed), PairingConfig())
    assert found is not None
    assert (found.fitted_on, found.clips) == ("validation", 4)
    # Shares of validation totals below -2, -1, 1, 2, a midrank each.
    assert found.knots == ((-2.0, 0.125), (-1.0, 0.375), (1.0, 0.625), (2.0, 0.875))
    apart = _material(
        clips=clips, scores=scores, validation_clips=held_out, validation_scores=mixed[2:]
    )
    assert map_of(apart, PairingConfig()) == found
    by_people = _material(
        clips=clips, scores=scores, judged_clips=held_out, judged_scores=mixed[2:]
    )
    assert map_of(by_people, PairingConfig()) == found


def test_validation_clips_that_say_nothing_are_an_error_and_no_silent_fallback() -> None:
    clips, wrong = _clips("p", 2), _clips("v", 2, "test")
    given = _material(
        clips=clips,
        scores=_scores(clips, 1.0, 0.0),
        validation_clips=wrong,
        validation_scores=_scores(wrong, 0.0, 1.0),
    )
    with pytest.raises(FormatError, match="of 2 clips in 'validation', 0 are scored and of valid"):
        map_of(given, PairingConfig())


# The config.


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"minimum_gapp": 1}, "unknown key 'minimum_gapp'; did you mean 'minimum_gap'?"),
        ({"minimum_gap": -1}, "minimum_gap must be a number, 0 or more, got -1"),
        ({"minimum_margin": 1}, "minimum_margin must be below 1, got 1"),
        ({"mapping": "softmax"}, "mapping must be one of quantile, minmax, got 'softmax'"),
        ({"weights": {"VQ": 0}}, "weights must be above 0 somewhere"),
        ({"split": "all"}, "split must be one of train, validation, test"),
        ({"pareto": 1}, "pareto must be true or false, got 1"),
        ({"method": "magic"}, "method must be one of sft, "),
        ({"human_rewards": "both"}, "human_rewards must be one of model, share"),
        ({"allow": "size"}, "allow must be a list of guards, got 'size'"),
        ({"allow": ["colour"]}, "each entry of allow must be one of duration, frame_rate, size"),
    ],
)
def test_a_bad_pairing_config_is_refused_in_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(StepConfigError, match=sentence.replace("?", r"\?")):
        PairingConfig.from_json(values)


def test_the_named_configs_are_configs() -> None:
    for each in PRESETS:
        PairingConfig.from_json(each.values)
        assert "arXiv" in each.source


# What people said.


def _vote(labels: dict[str, str], split: str = "train", **more: Any) -> PreferenceRecord:
    words = {key: Label(word) for key, word in labels.items()}
    sides = {"video_a": _video("a"), "video_b": _video("b")} | more
    return PreferenceRecord("id", "a prompt", split, labels=words, **sides)


def test_the_side_that_won_more_dimensions_is_chosen() -> None:
    # A wins VQ, ties TA, B wins nothing: share of A = (1 + 1/2) / 2 = 3/4, gap = 2 * 3/4 - 1.
    (pair,) = pairs_from_votes([_vote({"VQ": "A", "TA": "tie"})], PairingConfig()).pairs
    assert (pair.chosen.id, pair.reward_w, pair.reward_l) == ("a", 0.75, 0.25)
    assert pair.gap == pytest.approx(0.5)
    assert pair.source == "votes"
    assert pair.shares_w == {"VQ": 1.0, "TA": 0.5}


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
    assert pair.shares_w == {"VQ": pytest.approx(0.7)}
    wanted = PairingConfig(minimum_margin=0.5)  # 2 * 0.7 - 1 = 0.4
    assert pairs_from_votes([record], wanted).refused == {"margin below the minimum": 1}


@pytest.mark.parametrize(
    "posteriors",
    [{"VQ": [0.03, 0.95, 0.02]}, {"VQ": [0.6, 0.3, 0.1], "TA": [0.1, 0.5, 0.4]}],
)
def test_a_tie_of_people_is_no_pair_whichever_way_its_posterior_leans(
    posteriors: dict[str, list[float]],
) -> None:
    record = _vote(dict.fromkeys(posteriors, "tie"), posterior=posteriors)
    assert pairs_from_votes([record], PairingConfig()).refused == {"tie": 1}
    # A tie beside a decided dimension counts one half, as without a posterior.
    decided = _vote({"VQ": "tie", "MQ": "A"}, posterior={"VQ": [0.0, 0.6, 0.4]})
    (pair,) = pairs_from_votes([decided], PairingConfig()).pairs
    assert pair.shares_w == {"VQ": 0.5, "MQ": 1.0}


def test_labels_that_cancel_out_are_a_tie_though_one_is_surer() -> None:
    posterior = {"VQ": [0.99, 0.01, 0.0], "TA": [0.2, 0.2, 0.6]}
    record = _vote({"VQ": "A", "TA": "B"}, posterior=posterior)
    assert pairs_from_votes([record], PairingConfig()).refused == {"tie": 1}
    weights = PairingConfig(weights={"VQ": 0.3, "TA": 0.1})
    assert pairs_from_votes([record], weights).pairs[0].chosen.id == "a"


def test_a_dimension_without_weight_is_not_asked() -> None:
    record = _vote({"VQ": "A", "TA": "B"})
    (pair,) = pairs_from_votes([record], PairingConfig(weights={"VQ": 1})).pairs
    assert pair.chosen.id == "a"


def test_a_clip_that_was_scored_alone_is_no_pair() -> None:
    alone = _vote({}, video_b=None, scores_a={"VQ": 4.0})
    assert pairs_from_votes([alone], PairingConfig()).refused == {"no usable label": 1}


def test_people_who_prefer_the_loser_in_one_dimension_make_no_pareto_pair() -> None:
    record = _vote({"VQ": "A", "MQ": "A", "TA": "B"})
    assert len(pairs_from_votes([record], PairingConfig()).pairs) == 1
    found = pairs_from_votes([record], PairingConfig(pareto=True))
    assert found.examples[0].fault.reason == "not at least as good in every dimension"


# People and rewards.


def _rewarded(a: float, b: float) -> Rules:
    rewards = {
        ("a prompt", _video(name).sha256): Reward({"VQ": total}, total)
        for name, total in (("a", a), ("b", b))
    }
    return Rules(to_unit=fitted([0.0, 1.0, 2.0, 3.0], "quantile"), reward_of=rewards)


def test_a_human_pair_gets_the_rewards_of_its_clips() -> None:
    (pair,) = pairs_from_votes([_vote({"VQ": "A"})], PairingConfig(), _rewarded(3.0, 0.0)).pairs
    assert (pair.source, pair.gap) == ("votes", 1.0)
    assert (pair.reward_w, pair.reward_l) == pytest.approx((0.875, 0.125))
    assert (pair.rewards_w, pair.rewards_l) == ({"VQ": 3.0}, {"VQ": 0.0})


@pytest.mark.parametrize("rewards", [(0.0, 3.0), (1.0, 1.0)])
def test_rewards_that_contradict_the_people_cost_a_pair_for_gapo_alone(
    rewards: tuple[float, float],
) -> None:
    records, rules = [_vote({"VQ": "A"})], _rewarded(*rewards)
    dropped = pairs_from_votes(records, PairingConfig(method="gapo"), rules)
    assert (dropped.pairs, dropped.refused) == ([], {"rewards contradict the people": 1})
    kept = pairs_from_votes(records, PairingConfig(method="flow_dpo"), rules)
    assert kept.pairs[0].chosen.id == "a"
    assert summary_of(kept, PairingConfig())["contradicting"] == 1
    by_share = PairingConfig(method="gapo", human_rewards="share")
    assert pairs_from_votes(records, by_share, rules).pairs[0].reward_w == 1.0


def test_a_method_that_weighs_pairs_takes_all_of_them_on_one_scale() -> None:
    rules = Rules(to_unit=fitted([0.0, 1.0], "quantile"), reward_of={("other", "x"): Reward({}, 0)})
    records = [_vote({"VQ": "A"})]
    assert pairs_from_votes(records, PairingConfig(), rules).pairs[0].reward_w == 1.0
    for method in ("gapo", "rwr"):
        found = pairs_from_votes(records, PairingConfig(method=method), rules)
        assert found.refused == {"people judged clips without a reward": 1}


def test_what_people_judged_is_not_judged_again_by_rewards() -> None:
    clips = _clips("p", 3)
    text, (best, middle, worst) = clips[0].prompt, [clip.video for clip in clips]
    # People saw best and worst, mirrored, and found them equal.
    seen = PreferenceRecord("seen", text, "train", worst, best, {"VQ": Label.TIE})
    other = PreferenceRecord("other", "elsewhere", "train", best, middle, {"VQ": Label.A})
    given = _material(clips=clips, scores=_scores(clips, 2.0, 1.0, 0.0), judged=[seen, other])
    config = PairingConfig()
    found = pairs_of(given, config, Rules(to_unit=map_of(given, config)))
    assert [(pair.source, pair.chosen.id, pair.rejected.id) for pair in found.pairs] == [
        ("votes", "p0", "p1"),
        ("rewards", "p0", "p1"),  # not p2, and under another prompt people judged nothing
    ]
    assert found.refused == {"tie": 1}
    assert found.replaced == {"judged by people already": 1}
    summary = summary_of(found, config)
    assert (summary["source"], summary["sources"]) == ("mixed", {"rewards": 1, "votes": 1})
    assert judged_by_people([_vote({}, votes=2)]) == {}  # nobody has settled anything there


def test_a_summary_counts_each_source_on_its_own_scale() -> None:
    clips = [*_clips("p", 2), *_clips("q", 2)]
    given = _material(
        clips=clips, scores=_scores(clips, 5, 1, 3, 1), judged=[_vote({"VQ": "A", "TA": "tie"})]
    )
    found = summary_of(pairs_of(given, PairingConfig(), Rules()), PairingConfig())
    assert (found["pairs"], found["prompts"]) == (3, 3)
    assert found["gaps"] == {
        "rewards": {"smallest": 2.0, "median": 3.0, "largest": 4.0},
        "votes": {"smallest": 0.5, "median": 0.5, "largest": 0.5},
    }
