"""A network with one reward token for all dimensions: each has its head, and all see the prompt."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from formats.dimensions import VIDEOALIGN
from models_rm.clips.video import Clip
from models_rm.config import RewardModelConfig
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork
from models_rm.reward_models.checkpoints import build_network

PROMPTS = ["a red cat", "a dog in the snow"]


@pytest.fixture
def judge(small_vlm: Callable[[str], Any], tokenizer: Any) -> Callable[..., Any]:
    """(network, rewards of one clip under each prompt) for a rating text."""

    def build(template: str, batching: str = "packed") -> tuple[RewardNetwork, torch.Tensor]:
        torch.manual_seed(0)
        config = RewardModelConfig(
            template=template, language="frozen", vision="frozen", batching=batching
        )
        network, text = build_network(small_vlm("qwen2_vl").model, VIDEOALIGN, config)
        network.eval()
        clip = Clip(torch.randint(0, 255, (4, 3, 56, 56), dtype=torch.uint8), 8.0)
        batch = Collator(tokenizer, network.family, text)([clip] * len(PROMPTS), PROMPTS)
        with torch.no_grad():
            return network, network(batch).mean

    return build


def test_one_vector_is_put_in_and_three_rewards_are_read(judge: Callable[..., Any]) -> None:
    network, rewards = judge("brief_one_token")
    assert network.tokens.shape[0] == 1
    assert network.heads.shape[0] == len(VIDEOALIGN.keys)
    assert rewards.shape == (len(PROMPTS), len(VIDEOALIGN.keys))
    assert len(set(rewards[0].tolist())) == len(VIDEOALIGN.keys)


def test_with_one_token_look_and_motion_follow_the_prompt_and_with_separate_ones_not(
    judge: Callable[..., Any],
) -> None:
    _, one = judge("brief_one_token")
    assert ((one[0] - one[1]).abs() > 1e-4).all()
    _, separate = judge("brief")
    assert torch.allclose(separate[0, :2], separate[1, :2], atol=1e-5)
    assert (separate[0, 2] - separate[1, 2]).abs() > 1e-4


def test_padded_and_packed_rows_give_the_same_rewards(judge: Callable[..., Any]) -> None:
    assert torch.allclose(
        judge("brief_one_token")[1], judge("brief_one_token", "padded")[1], atol=1e-5
    )
