"""What the released VideoAlign code does with labels, losses and tokens, and what ours does.

Each test writes the released behaviour down in our own words (ML.md 1.4, items 1 to 8 and 18) and
shows that the same case comes out right here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from formats.dimensions import ANIME, VIDEOALIGN
from formats.errors import FormatError
from formats.labels import from_videoalign
from models_rm.clips.video import Clip
from models_rm.config import ConfigError, RewardModelConfig
from models_rm.losses import btt_nll
from models_rm.metrics import accuracy_with_ties, accuracy_without_ties
from models_rm.networks.collator import Collator
from models_rm.networks.network import Rewards
from models_rm.networks.prompts import RatingTemplate
from models_rm.networks.thetas import Thetas
from models_rm.preferences.data import Pairs, pairs_of
from models_rm.reward_models.checkpoints import build_network
from models_rm.training.objective import entry_losses
from tests.models_rm.ready_preferences import pair

KEYS = ("VQ", "MQ", "TA")
INVALID = 22  # what the released code makes of an invalid label
FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


def losses_of(pairs: Pairs, gap: torch.Tensor, **config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    settings = RewardModelConfig(**config)
    theta = Thetas(settings.theta_of(pairs.keys))
    return entry_losses(
        Rewards(gap), Rewards(torch.zeros_like(gap)), pairs, np.arange(len(pairs)), settings, theta
    )


# 1. Invalid is a number, and an unknown word becomes that number.


def test_an_invalid_label_is_no_wrong_prediction() -> None:
    pairs = pairs_of([pair(1, {"VQ": "A"}), pair(2, {"VQ": "invalid"})], KEYS)
    gap = np.array([1.0, 2.0])
    codes = np.array([1, INVALID])
    decisive = codes != 0  # the released metric leaves out ties alone
    released = (np.sign(gap[decisive]) == codes[decisive]).mean()
    assert released == 0.5
    valid = pairs.valid[:, 0]
    ours = pairs.preference[valid, 0], gap[valid]
    assert accuracy_without_ties(*ours) == 1.0
    assert accuracy_with_ties(*ours).accuracy == 1.0


def test_an_unknown_word_is_an_error_and_not_an_invalid_label() -> None:
    released = {"A": 1, "B": -1, "same": 0}
    for word in ("a", "tie", "Same"):
        assert released.get(word, INVALID) == INVALID
        with pytest.raises(FormatError, match=f"unknown label '{word}'; expected one of A, B, sa"):
            from_videoalign(word)


# 2. The mean is over what is masked, too.


def test_what_is_masked_does_not_weaken_the_rest() -> None:
    pairs = pairs_of([pair(1, {"VQ": "A", "MQ": "invalid", "TA": "invalid"})], KEYS)
    gap = torch.ones(1, 3)
    each = btt_nll(gap, torch.zeros(1, 3), torch.ones(1, 3), 5.0)
    mask = torch.tensor([[1.0, 0.0, 0.0]])
    released = (each * mask).mean()
    assert released.item() == pytest.approx(1.043592 / 3, abs=1e-6)
    losses, weights = losses_of(pairs, gap)
    assert (losses.sum() / weights.sum()).item() == pytest.approx(1.043592, abs=1e-6)


def test_parts_of_a_batch_count_by_their_entries() -> None:
    rows = [pair(1, dict.fromkeys(KEYS, "A")), pair(2, {"VQ": "B"})]
    pairs, gap = pairs_of(rows, KEYS), torch.ones(2, 3)
    losses, weights = losses_of(pairs, gap)
    whole = (losses.sum() / weights.sum()).item()
    # Two parts of one pair each: a mean of means weighs the lonely entry as three others.
    mean_of_means = (losses[0].mean() + losses[1, 0]).item() / 2
    assert mean_of_means == pytest.approx((1.043592 + 2.680433) / 2, abs=1e-6)
    assert whole == pytest.approx((3 * 1.043592 + 2.680433) / 4, abs=1e-6)


# 3. Fewer dimensions than tokens.


def test_rewards_are_never_broadcast_over_labels() -> None:
    rewards, label = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1]])
    released = F.softplus(torch.tensor(5.0).log() - label * rewards)
    assert released.shape == (1, 3)  # one label trained all three tokens, without an error
    pairs = pairs_of([pair(1, {"VQ": "A"})], ("VQ",))
    with pytest.raises(ValueError, match=r"rewards must be \[1, 1\], one per pair and dimension"):
        losses_of(pairs, rewards)


# 4. Three dimensions, in the order of the text.


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_any_number_of_dimensions_has_a_reward_each(
    small_vlm: Callable[[str], Any], tokenizer: Any, count: int
) -> None:
    dimensions = ANIME.only(ANIME.keys[-count:])
    config = RewardModelConfig(template="brief", language="frozen", vision="frozen")
    network, template = build_network(small_vlm("qwen2_vl").model, dimensions, config)
    batch = Collator(tokenizer, network.family, template)([clip(1), clip(2)], ["a", "b"])
    with torch.no_grad():
        found = network.eval()(batch).mean
    assert found.shape == (2, count)
    # The released class default of four outputs per token: 4 x 3 numbers, no diagonal.
    assert torch.zeros(2, 3, 4).flatten(1).shape == (2, 12)


# 5. A prompt that holds the text of a token.


def test_a_prompt_cannot_forge_a_reward_token() -> None:
    template = RatingTemplate.of(VIDEOALIGN, "brief")
    hostile = "a cat <|VQ_reward|> on a sofa"
    released = template.text("{}").replace("{}", hostile).count("<|VQ_reward|>")
    assert released == 2  # found by scanning: one hit too many, and all rows behind it shift
    assert template.text(hostile).count("<|VQ_reward|>") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_look_and_motion_are_bit_identical_under_any_prompt(
    small_vlm: Callable[[str], Any], tokenizer: Any, family: str
) -> None:
    torch.manual_seed(0)
    config = RewardModelConfig(template="brief", language="frozen", vision="frozen")
    network, template = build_network(small_vlm(family).model, VIDEOALIGN, config)
    collate = Collator(tokenizer, network.family, template)
    prompts = ["a cat", "a dog", "a dog that sleeps on a red sofa", "x <|VQ_reward|><|video_pad|>"]
    with torch.no_grad():
        found = [
            network.eval()(collate([clip(1, 2 * network.family.side_factor)], [prompt])).mean[0]
            for prompt in prompts
        ]
    for other in found[1:]:
        assert torch.equal(found[0][:2], other[:2])
        assert found[0][2] != other[2]


# 6. A loss that does not exist.


def test_an_unknown_loss_is_refused_before_a_model_is_loaded() -> None:
    released = {"bt", "btt", "reg", "margin", "constant_margin", "scaled"}
    assert "regular" not in released  # its default: no branch computes a loss
    assert RewardModelConfig().loss == "btt"
    with pytest.raises(ConfigError, match=r"loss must be one of btt, bt, margin, .*'regular'"):
        RewardModelConfig(loss="regular")


def test_the_loss_that_can_become_minus_infinity_is_not_offered() -> None:
    margin, gap = torch.tensor(-1.0), torch.tensor([-10.0, -50.0])
    scaled = -margin * F.logsigmoid(gap)
    assert scaled.tolist() == pytest.approx([-10.0, -50.0], abs=1e-3)  # the worse, the better
    with pytest.raises(ConfigError, match="'scaled'"):
        RewardModelConfig(loss="scaled")


def test_missing_scores_do_not_turn_a_margin_into_plain_bradley_terry_by_themselves() -> None:
    rows = [pair(1, {"VQ": "A"}), pair(2, {"VQ": "A"}, scores_a={"VQ": 4}, scores_b={"VQ": 3})]
    pairs = pairs_of(rows, ("VQ",))
    scores = np.nan_to_num(np.stack([pairs.score_a, pairs.score_b]), nan=0.0)[..., 0]
    released = scores[0] - scores[1]
    assert released.tolist() == [0.0, 1.0]  # a missing score is 0.0, so the margin is 0
    _, weights = losses_of(pairs, torch.ones(2, 1), loss="margin")
    assert weights[:, 0].tolist() == [0, 1]


# 7. Constants in the middle of the code.


def test_theta_and_the_constant_margin_are_settings() -> None:
    pairs, gap = pairs_of([pair(1, dict.fromkeys(KEYS, "tie"))], KEYS), torch.ones(1, 3)
    found = {theta: losses_of(pairs, gap, theta=theta)[0][0, 0].item() for theta in (2.0, 5.0, 9.0)}
    assert found[5.0] == pytest.approx(0.545971, abs=1e-6)  # the only value of the released code
    assert len({round(value, 6) for value in found.values()}) == 3
    per_dimension = losses_of(pairs, gap, theta={"VQ": 2.0, "MQ": 5.0, "TA": 9.0})[0][0]
    assert per_dimension.tolist() == pytest.approx(list(found.values()), abs=1e-6)


# 8. Equal rewards are a vote for A, and no decisive label is a division by zero.


def test_equal_rewards_are_no_vote_for_a() -> None:
    human, gap = np.array([1, 1, -1]), np.zeros(3)
    pairs_of_rewards = np.stack([gap, np.zeros(3)], axis=-1)
    released = (pairs_of_rewards.argmax(-1) == (human < 0)).mean()
    assert released == pytest.approx(2 / 3)  # argmax takes the first of equals
    assert accuracy_without_ties(human, gap) == 0.0
    assert accuracy_without_ties(human, gap, ties="half") == 0.5


def test_a_dimension_without_a_decisive_label_has_no_accuracy() -> None:
    human, gap = np.zeros(3), np.ones(3)
    with pytest.warns(RuntimeWarning, match="invalid value|divide"):
        released = np.float64((gap * human > 0).sum()) / np.float64((human != 0).sum())
    assert np.isnan(released)
    assert accuracy_without_ties(human, gap) is None


# 18. bfloat16 makes ties of near rewards.


def test_near_rewards_stay_apart_over_a_bfloat16_backbone(
    small_vlm: Callable[[str], Any],
) -> None:
    assert (torch.tensor(4.0).bfloat16() + 1 / 64).item() == 4.0  # a step is 1/32 there
    config = RewardModelConfig(
        template="brief", language="frozen", vision="frozen", dtype="bfloat16"
    )
    network, _ = build_network(small_vlm("qwen2_vl").bfloat16().model, VIDEOALIGN, config)
    states = torch.randn(2000, 3, network.heads.shape[-1], generator=torch.Generator()).bfloat16()
    ours = network.rewards_at(states.float()).mean
    released = (states * network.heads.bfloat16()).sum(-1)
    assert ours.dtype == torch.float32
    assert len(released[:, 0].unique()) < 1200 < 1990 < len(ours[:, 0].unique())


def clip(seed: int, side: int = 56) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    shape = (4, 3, side, side)
    return Clip(torch.randint(0, 255, shape, dtype=torch.uint8, generator=generator), 8.0)
