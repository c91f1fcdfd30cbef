"""What pairs weigh in a training, and which ones are refused before it."""

from typing import Any

import pytest
import torch

from formats.errors import FormatError
from formats.records import PairRecord, VideoRef
from models_align.config import AlignmentConfig
from models_align.methods.rwr import rwr_weights
from models_align.weighting import pair_weights

pytestmark = pytest.mark.one_engine

CLIP = VideoRef("v", "v.mp4", "0" * 64, fps=8.0, num_frames=9)


def pair(reward_w: float, reward_l: float, gap: float = 1.0, prompt: str = "p") -> PairRecord:
    return PairRecord(
        pair_id=f"{prompt}-pair", prompt_id=prompt, prompt=prompt, split="train", chosen=CLIP,
        rejected=CLIP, gap=gap, reward_w=reward_w, reward_l=reward_l, source="rewards",
    )  # fmt: skip


def config(method: str, **settings: Any) -> AlignmentConfig:
    return AlignmentConfig.from_json({"method": method, "settings": settings})


PAIRS = [pair(0.85, 0.60), pair(0.30, 0.05), pair(0.70, 0.69), pair(1.0, 0.0)]


def test_gapo_weighs_both_clips_of_a_pair_by_its_factor():
    weights = pair_weights(PAIRS, config("gapo", normalise_gap=False))
    assert weights[:, 0].tolist() == pytest.approx([0.2868, 0.1959, 0.0112, 1.0], abs=1e-4)
    assert torch.equal(weights[:, 0], weights[:, 1])


def test_the_mean_factor_of_all_pairs_is_one_and_their_ratios_stay():
    plain = pair_weights(PAIRS, config("gapo", normalise_gap=False))
    weights = pair_weights(PAIRS, config("gapo"))
    assert weights.mean().item() == pytest.approx(1.0)
    assert torch.allclose(weights / weights[3], plain / plain[3])


def test_rwr_weighs_within_a_prompt_and_the_rest_weighs_nothing():
    pairs = [pair(1.0, 0.0, prompt="a"), pair(0.5, 0.0, prompt="b")]
    weights = pair_weights(pairs, config("rwr", temperature=0.5))
    # Twice the softmax of (2, 0), and of (1, 0).
    expected = [1.7616, 0.2384, 1.4621, 0.5379]
    assert weights.flatten().tolist() == pytest.approx(expected, abs=1e-4)
    for method in ("sft", "flow_dpo", "safe_dpo"):
        assert pair_weights(pairs, config(method)).tolist() == [[1, 1], [1, 1]]


def test_rwr_over_all_clips_favours_the_better_prompt():
    pairs = [pair(1.0, 0.5, prompt="a"), pair(0.5, 0.0, prompt="b")]
    weights = pair_weights(pairs, config("rwr", temperature=0.5, within="all"))
    # Four times the softmax of (2, 1, 1, 0).
    expected = [2.1374, 0.7863, 0.7863, 0.2893]
    assert weights.flatten().tolist() == pytest.approx(expected, abs=1e-3)


def test_a_group_of_one_weighs_one():
    assert rwr_weights([0.9, 0.1, 0.7], [0, 1, 2], 0.1, 5.0).tolist() == [1.0, 1.0, 1.0]
    # Both clips of the only pair of a prompt are equal: nothing to prefer.
    assert pair_weights([pair(0.5, 0.5)], config("rwr")).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("method", ["flow_dpo", "safe_dpo", "gapo"])
@pytest.mark.parametrize("gap", [0.0, -0.5, float("nan")])
def test_a_tie_is_no_preference(method, gap):
    with pytest.raises(FormatError, match=r"the pair p-pair has a gap of .*: a tie is no pref"):
        pair_weights([pair(0.8, 0.2), pair(0.7, 0.3, gap=gap)], config(method))


@pytest.mark.parametrize("method", ["gapo", "rwr"])
@pytest.mark.parametrize("rewards", [(1.2, 0.1), (0.5, -0.1), (float("nan"), 0.1)])
def test_a_reward_outside_0_and_1_is_refused(method, rewards):
    with pytest.raises(FormatError, match=r"p-pair has a reward of .* clip; .* lie in \[0, 1\]"):
        pair_weights([pair(*rewards)], config(method))


@pytest.mark.parametrize("rewards", [(0.5, 0.5), (0.4, 0.6)])
def test_gapo_refuses_a_chosen_clip_that_is_worth_no_more(rewards):
    with pytest.raises(FormatError, match=r"a reward of 0\.\d for the chosen and 0\.\d for the re"):
        pair_weights([pair(*rewards)], config("gapo"))
    # Flow-DPO follows the people, whatever a reward model says.
    assert pair_weights([pair(*rewards)], config("flow_dpo")).tolist() == [[1.0, 1.0]]


def test_gapo_takes_rewards_that_differ_in_their_last_digits():
    weights = pair_weights([pair(0.5 + 1e-12, 0.5)], config("gapo", normalise_gap=False))
    assert weights.dtype == torch.float32
    assert weights.tolist() == [[pytest.approx(0.98e-12, rel=0.01)] * 2]
