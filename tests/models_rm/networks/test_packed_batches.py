"""Packed rows give what padded rows give, and what the library gives: rewards and gradients."""

from typing import Any

import pytest
import torch

from demo.tiny_vlm import TinySize, tiny_vlm
from formats.dimensions import VIDEOALIGN
from models_rm.clips.video import Clip
from models_rm.config import RewardModelConfig
from models_rm.networks.collator import Batch, Collator
from models_rm.networks.network import RewardNetwork
from models_rm.networks.prompts import RatingTemplate
from models_rm.reward_models.checkpoints import build_network

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
PROMPTS = ["a red circle", "a red circle moving left on a dark background", "a clip", "quality"]

# Deeper than other tests need, because the last layer goes another way than those before it.
DEEP = TinySize(hidden=32, layers=3, heads=2, vision_width=32, vision_layers=2, vision_heads=2)


def network_of(
    tokenizer: Any, family: str, *, size: TinySize = DEEP, **config: Any
) -> RewardNetwork:
    torch.manual_seed(0)
    backbone = tiny_vlm(family, tokenizer, size=size).model
    network, _ = build_network(backbone, VIDEOALIGN, RewardModelConfig(**config))
    # Adapters begin as nothing; here they must matter.
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return network.double() if config.get("dtype", "float32") == "float32" else network


def batch_of(network: RewardNetwork, tokenizer: Any, sides: list[int]) -> Batch:
    """Clips of 4, 5, 6 ... frames with one prompt each; `sides` in tokens."""
    generator = torch.Generator().manual_seed(1)
    factor = network.family.side_factor
    clips = [
        Clip(
            torch.randint(
                0, 255, (4 + n, 3, factor * side, factor), dtype=torch.uint8, generator=generator
            ),
            fps=2.0,
        )
        for n, side in enumerate(sides)
    ]
    template = RatingTemplate.of(VIDEOALIGN, "brief")
    return Collator(tokenizer, network.family, template)(clips, PROMPTS[: len(sides)])


def rewards_and_gradients(
    network: RewardNetwork, batch: Batch
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    network.zero_grad(set_to_none=True)
    rewards = network(batch).mean
    (rewards * torch.arange(1, rewards.numel() + 1).view_as(rewards)).sum().backward()
    gradients = {
        name: each.grad for name, each in network.named_parameters() if each.grad is not None
    }
    return rewards.detach(), gradients


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "config",
    [
        {"language": "lora", "vision": "full"},
        {"language": "full", "vision": "lora"},
        {"language": "lora", "vision": "full", "gradient_checkpointing": True},
        {"language": "lora", "vision": "frozen", "rope_mode": "flat"},
    ],
    ids=["as released", "full language", "checkpointed", "flat positions"],
)
def test_packed_is_padded_in_rewards_and_gradients(
    tokenizer: Any, family: str, config: dict[str, Any]
) -> None:
    found = {}
    for batching in ("packed", "padded"):
        network = network_of(tokenizer, family, batching=batching, **config).train()
        batch = batch_of(network, tokenizer, [2, 3, 2, 1])
        found[batching] = rewards_and_gradients(network, batch)
    (packed, gradients), (padded, expected) = found["packed"], found["padded"]
    assert torch.allclose(packed, padded, atol=1e-6)
    assert gradients.keys() == expected.keys()
    assert len(gradients) > 10
    for name, gradient in gradients.items():
        scale = float(expected[name].abs().max()) + 1e-6
        assert float((gradient - expected[name]).abs().max()) < 1e-5 * scale, name


@pytest.mark.parametrize("family", FAMILIES)
def test_behind_the_last_attention_only_reward_tokens_are_computed(
    tokenizer: Any, family: str
) -> None:
    """Trap 20: the released code projects every position with every head, then throws away."""
    network = network_of(tokenizer, family, language="full")
    batch = batch_of(network, tokenizer, [2, 3])
    seen: dict[str, int] = {}

    def count(name: str) -> Any:
        def hook(_module: Any, inputs: Any) -> None:
            seen[name] = inputs[0].shape[:-1].numel()

        return hook

    language = network.adapter.language_of(network.backbone)
    language.norm.register_forward_pre_hook(count("norm"))
    for index, layer in enumerate(language.layers):
        layer.mlp.gate_proj.register_forward_pre_hook(count(f"gate {index}"))
        layer.self_attn.k_proj.register_forward_pre_hook(count(f"keys {index}"))
    network(batch)
    tokens, rewards, last = int(batch.attention_mask.sum()), 2 * 3, len(language.layers) - 1
    assert seen["norm"] == seen[f"gate {last}"] == rewards
    assert seen["gate 0"] == seen[f"keys {last}"] == tokens > rewards


def test_rows_of_one_length_and_single_rows_are_packed_too(tokenizer: Any) -> None:
    for sides in ([2], [2, 2]):
        found = []
        for batching in ("packed", "padded"):
            network = network_of(tokenizer, "qwen2_vl", batching=batching)
            batch = batch_of(network, tokenizer, sides)
            found.append(network(batch).mean)
        assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_autocast_packed_is_padded_within_the_rounding_of_bfloat16(
    tokenizer: Any, family: str
) -> None:
    found = {}
    for batching in ("packed", "padded"):
        network = network_of(tokenizer, family, batching=batching, dtype="bfloat16").train()
        batch = batch_of(network, tokenizer, [2, 3, 2, 1])
        with torch.autocast("cpu", torch.bfloat16):
            rewards, gradients = rewards_and_gradients(network, batch)
        assert rewards.dtype == torch.float32
        assert all(bool(torch.isfinite(each).all()) for each in gradients.values())
        found[batching] = rewards
    assert torch.allclose(found["packed"], found["padded"], atol=0.06)


def test_the_prompt_of_a_neighbour_changes_nothing(tokenizer: Any) -> None:
    """A row alone and the same row packed behind another give one reward."""
    network = network_of(tokenizer, "qwen2_vl")
    both = batch_of(network, tokenizer, [2, 3])
    alone = batch_of(network, tokenizer, [2])
    assert torch.allclose(network(both).mean[:1], network(alone).mean, atol=1e-9)
