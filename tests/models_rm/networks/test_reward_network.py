"""The network on all three families: what a reward may depend on, and what learns."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from formats.dimensions import VIDEOALIGN
from formats.supervised import BadConfigError
from models_rm.backbones.loading import load_backbone
from models_rm.clips.video import Clip
from models_rm.config import RewardModelConfig
from models_rm.errors import BackboneMissingError
from models_rm.networks.attention import attend_per_piece, use_for_vision
from models_rm.networks.collator import Batch, Collator
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.checkpoints import build_network, learned_weights

FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
LORA = {"language": "lora", "vision": "frozen", "lora_r": 2, "lora_alpha": 4}


def random_clip(seed: int, side: int = 64, frames: int = 4) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    shape = (frames, 3, side, side)
    return Clip(torch.randint(0, 255, shape, dtype=torch.uint8, generator=generator), 8.0)


class Rig:
    """A network of one family with its collator."""

    def __init__(self, family: str, small_vlm: Callable[[str], Any], tokenizer: Any, **config: Any):
        torch.manual_seed(0)
        settings = RewardModelConfig(**{"template": "brief", **LORA, **config})
        self.network, template = build_network(small_vlm(family).model, VIDEOALIGN, settings)
        self.network.eval()
        self.side = 2 * self.network.family.side_factor
        self.collate = Collator(tokenizer, self.network.family, template)

    def batch(self, seeds: list[int], prompts: list[str]) -> Batch:
        return self.collate([random_clip(seed, self.side) for seed in seeds], prompts)

    @torch.no_grad()
    def rewards(self, seeds: list[int], prompts: list[str]) -> torch.Tensor:
        return self.network(self.batch(seeds, prompts)).mean


@pytest.fixture
def rig(small_vlm: Callable[[str], Any], tokenizer: Any) -> Callable[..., Rig]:
    return lambda family="qwen2_vl", **config: Rig(family, small_vlm, tokenizer, **config)


@pytest.mark.parametrize("family", FAMILIES)
def test_look_and_motion_do_not_depend_on_the_prompt(rig: Callable[..., Rig], family: str) -> None:
    one, other = rig(family).rewards([1, 1], ["a cat", "a dog that sleeps on a red sofa"])
    assert torch.allclose(one[:2], other[:2], atol=1e-5)
    assert abs(one[2] - other[2]) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_clip_decides_every_reward(rig: Callable[..., Rig], family: str) -> None:
    one, other = rig(family).rewards([1, 2], ["a cat", "a cat"])
    assert ((one - other).abs() > 1e-4).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reward_does_not_depend_on_the_rest_of_the_batch(
    rig: Callable[..., Rig], family: str
) -> None:
    made = rig(family)
    alone = made.rewards([3], ["a cat"])
    beside = made.rewards([1, 3], ["a very long prompt that pads the other row a lot", "a cat"])
    assert torch.allclose(alone[0], beside[1], atol=1e-5)


def test_clips_of_different_length_and_size_share_a_batch(rig: Callable[..., Rig]) -> None:
    made = rig("qwen2_5_vl")
    clips = [random_clip(1, 56, 4), random_clip(2, 84, 6)]
    with torch.no_grad():
        both = made.network(made.collate(clips, ["a cat", "a dog"])).mean
        each = [
            made.network(made.collate([c], [p])).mean
            for c, p in zip(clips, ["a cat", "a dog"], strict=True)
        ]
    assert torch.allclose(both, torch.cat(each), atol=1e-5)


def test_the_same_clip_against_itself_is_equal(rig: Callable[..., Rig]) -> None:
    a, b = rig().rewards([5, 5], ["a cat", "a cat"])
    assert torch.equal(a, b)


def test_rewards_follow_the_order_of_the_set_and_not_of_the_tokens(
    small_vlm: Callable[[str], Any], tokenizer: Any
) -> None:
    backbone = small_vlm("qwen2_vl").model
    template = RatingTemplate.of(VIDEOALIGN, "brief")

    def rewards(keys: tuple[str, ...]) -> torch.Tensor:
        network = RewardNetwork(
            backbone, keys, template.keys, shared_head=True, rope_mode="mrope"
        ).eval()
        with torch.no_grad():
            network.tokens.copy_(torch.stack([torch.full((32,), ord(k[0]) / 50) for k in keys]))
            network.heads.fill_(0.1)
            batch = Collator(tokenizer, network.family, template)([random_clip(1, 56)], ["x"])
            return network(batch).mean[0]

    assert torch.equal(rewards(("VQ", "MQ", "TA")), rewards(("TA", "VQ", "MQ"))[[1, 2, 0]])


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_moves_adapters_tokens_and_heads_only(
    rig: Callable[..., Rig], family: str
) -> None:
    made = rig(family)
    names = set(learned_weights(made.network))
    assert {"tokens", "heads"} < names
    assert all("lora_" in name for name in names - {"tokens", "heads"})
    made.network(made.batch([1, 2], ["a cat", "a dog"])).mean.sum().backward()
    for name, parameter in learned_weights(made.network).items():
        # The B factor of a fresh adapter is zero, so its A factor has no gradient yet.
        assert "lora_A" in name or parameter.grad.abs().sum() > 0, name
    frozen = [p for p in made.network.parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)


def test_all_linear_layers_of_both_parts_get_adapters(rig: Callable[..., Rig]) -> None:
    names = set(learned_weights(rig(vision="lora").network))
    for layer in ("q_proj", "down_proj", "qkv", "fc2"):
        assert any(f"{layer}.lora_A" in name for name in names), layer


def test_full_training_leaves_the_vocabulary_alone(rig: Callable[..., Rig]) -> None:
    names = set(learned_weights(rig(language="full", vision="full").network))
    assert any(name.startswith("backbone.visual.") for name in names)
    assert any(name.startswith("backbone.language_model.layers.") for name in names)
    assert not any("embed_tokens" in name for name in names)


def test_an_adapter_that_fits_no_layer_is_refused(rig: Callable[..., Rig]) -> None:
    with pytest.raises(BadConfigError, match="no linear layer of the language part is named zz"):
        rig(lora_targets=("zz",))


def test_what_learns_is_float32_over_a_bfloat16_backbone(
    small_vlm: Callable[[str], Any],
) -> None:
    settings = RewardModelConfig(**{**LORA, "template": "brief", "dtype": "bfloat16"})
    network, _ = build_network(small_vlm("qwen2_vl").bfloat16().model, VIDEOALIGN, settings)
    assert {each.dtype for each in learned_weights(network).values()} == {torch.float32}


def test_the_rope_mode_changes_rewards(rig: Callable[..., Rig]) -> None:
    three_axes = rig(rope_mode="mrope").rewards([1], ["a cat"])
    flat = rig(rope_mode="flat").rewards([1], ["a cat"])
    assert (three_axes - flat).abs().max() > 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_over_all_frames_at_once_changes_nothing(
    rig: Callable[..., Rig], family: str
) -> None:
    made = rig(family)
    before = made.rewards([1, 2], ["a cat", "a dog"])
    use_for_vision(made.network.backbone.visual)
    assert torch.allclose(made.rewards([1, 2], ["a cat", "a dog"]), before, atol=1e-6)


def test_pieces_of_different_length_attend_to_themselves() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 7, 4) for _ in range(3))
    borders = torch.tensor([0, 3, 7])
    found, _ = attend_per_piece(None, q, k, v, cu_seq_lens_q=borders, scaling=0.5)
    for start, end in ((0, 3), (3, 7)):
        weights = (q[:, :, start:end] @ k[:, :, start:end].transpose(2, 3) * 0.5).softmax(-1)
        expected = (weights @ v[:, :, start:end]).transpose(1, 2)
        assert torch.allclose(found[:, start:end], expected, atol=1e-6)


@pytest.mark.parametrize("source", ["nobody/no-such-model", "/no/such/folder"])
def test_a_backbone_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(BackboneMissingError, match=f"backbone '{source}' is not there"):
        load_backbone(source, "float32")
