"""Each lean function gives the value and the gradient of what it stands for, in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers.activations import GELUTanh, QuickGELUActivation
from transformers.models.qwen2_vl.modeling_qwen2_vl import (
    PatchEmbed,
    Qwen2VLRMSNorm,
    apply_rotary_pos_emb_vision,
)

from models_rm.backbones.families import QWEN2_VL
from models_rm.networks import lean
from models_rm.networks.attention import attend_in_runs
from models_rm.networks.batching import Pieces, attend_causal
from models_rm.networks.patches import normalised


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def same(
    ours: Callable[[], torch.Tensor], theirs: Callable[[], torch.Tensor], *leaves: torch.Tensor
) -> None:
    """Value and gradients of both, with one random gradient of the result."""
    found = []
    for each in (ours, theirs):
        for leaf in leaves:
            leaf.grad = None
        result = each()
        torch.manual_seed(1)
        result.backward(torch.randn(result.shape, dtype=result.dtype))
        found.append([result.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.allclose(one, other, atol=1e-10)


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_rms_norm() -> None:
    norm = Qwen2VLRMSNorm(8).double()
    nn.init.normal_(norm.weight)
    x = leaf(5, 8)

    def plain() -> torch.Tensor:  # the module computes in float32 inside
        shrink = (x.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
        return norm.weight * (x * shrink)

    same(lambda: lean.rms_norm(norm, x), plain, x, norm.weight)
    assert torch.allclose(lean.rms_norm(norm, x).float(), norm(x.float()).float(), atol=1e-6)


def test_turning() -> None:
    x, angles = leaf(6, 3, 8), torch.randn(6, 8, dtype=torch.float64)
    cos, sin = angles.cos(), angles.sin()

    def plain() -> torch.Tensor:
        turned = [
            x[:, part] * cos + torch.cat([-x[:, part, 4:], x[:, part, :4]], dim=-1) * sin
            for part in (0, 1)
        ]
        return torch.stack([*turned, x[:, 2]], dim=1)

    same(lambda: lean.rotated_(x * 1, 2, cos, sin), plain, x)
    query, _ = apply_rotary_pos_emb_vision(x.float(), x.float(), cos.float(), sin.float())
    assert torch.allclose(lean.rotated_(x * 1, 3, cos, sin).float(), query, atol=1e-6)


@pytest.mark.parametrize("act", [QuickGELUActivation(), GELUTanh(), nn.ReLU()])
@pytest.mark.parametrize("frozen", [False, True])
def test_feeding_forward(act: Any, frozen: bool) -> None:
    norm, rise, fall = nn.LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)
    for module in (norm, rise, fall):
        module.double().requires_grad_(not frozen)
    nn.init.normal_(norm.weight)
    x = leaf(5, 8)
    weights = [*norm.parameters(), *rise.parameters(), *fall.parameters()]
    same(
        lambda: lean.feed_forward(norm, rise, act, fall, x),
        lambda: x + fall(act(rise(norm(x)))),
        x, *weights,
    )  # fmt: skip


def test_a_layer_behind_a_norm() -> None:
    norm, layer, x = nn.LayerNorm(8).double(), nn.Linear(8, 12).double(), leaf(5, 8)
    weights = [*norm.parameters(), *layer.parameters()]
    same(lambda: lean.normed_linear(norm, layer, x), lambda: layer(norm(x)), x, *weights)
    same(lambda: lean.normed_linear(None, layer, x), lambda: layer(x), x, layer.weight)


def lora_layer(**config: Any) -> Any:
    holder = nn.Sequential(nn.Linear(8, 12)).double()
    holder.requires_grad_(requires_grad=False)
    lora = LoraConfig(r=2, lora_alpha=6, target_modules=["0"], **config)
    inject_adapter_in_model(lora, holder)
    layer: Any = holder[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer.double()


def test_adapters() -> None:
    layer, x = lora_layer(), leaf(5, 8)
    learned = [p for p in layer.parameters() if p.requires_grad]
    assert len(learned) == 2
    same(lambda: lean.linear(layer, x), lambda: layer(x), x, *learned)
    gate, up = leaf(5, 8), leaf(5, 8)
    for module in (layer, nn.Linear(8, 12).double()):
        weights = [p for p in module.parameters() if p.requires_grad]
        same(
            lambda module=module: lean.gated_linear(module, gate, up),
            lambda module=module: module(F.silu(gate) * up),
            gate, up, *weights,
        )  # fmt: skip


def test_dropout_and_merged_adapters_go_the_way_of_the_library() -> None:
    layer, x = lora_layer(lora_dropout=0.5), leaf(5, 8)
    torch.manual_seed(3)
    ours = lean.linear(layer.train(), x)
    torch.manual_seed(3)
    assert torch.equal(ours, layer(x))
    merged = lora_layer()
    expected = merged(x)
    merged.merge()
    assert torch.allclose(lean.linear(merged, x), expected)


def test_patches() -> None:
    embed = PatchEmbed(14, 2, 3, 16).double()
    patches = torch.randint(0, 255, (6, 3 * 2 * 14 * 14), dtype=torch.uint8)
    same(
        lambda: lean.embed_patches(embed.proj, patches, QWEN2_VL),
        lambda: embed(normalised(patches, QWEN2_VL).double()),
        embed.proj.weight,
    )


@pytest.mark.parametrize("lengths", [[4, 4, 4], [5, 2, 7], [3], [600, 20]])
def test_causal_attention_of_packed_rows_with_fewer_keys_than_queries(lengths: list[int]) -> None:
    total, longest = sum(lengths), max(lengths)
    mask = torch.tensor([[1] * each + [0] * (longest - each) for each in lengths])
    pieces = Pieces.of(mask)
    query, key, value = leaf(total, 4, 8), leaf(total, 2, 8), leaf(total, 2, 8)

    def plain() -> torch.Tensor:
        """One softmax over everything, with all that is not before and in the row masked."""
        row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        place = torch.arange(total)
        seen = (row[:, None] == row) & (place[:, None] >= place)
        wide = [each.repeat_interleave(2, dim=1).transpose(0, 1) for each in (key, value)]
        logits = (query.transpose(0, 1) @ wide[0].transpose(1, 2)) * 0.3
        weights = logits.masked_fill(~seen, -torch.inf).softmax(-1)
        return (weights @ wide[1]).transpose(0, 1)

    same(lambda: attend_causal(query, key, value, pieces, 0.3), plain, query, key, value)


@pytest.mark.parametrize("lengths", [[4, 4, 4], [4, 4, 6, 6, 4]])
def test_each_time_slice_attends_to_itself(lengths: list[int]) -> None:
    total = sum(lengths)
    query, key, value = leaf(1, 2, total, 8), leaf(1, 2, total, 8), leaf(1, 2, total, 8)
    borders = torch.tensor([0, *lengths]).cumsum(0)

    def plain() -> torch.Tensor:
        parts = [each.split(lengths, dim=2) for each in (query, key, value)]
        each = [F.scaled_dot_product_attention(*part, scale=0.3) for part in zip(*parts)]  # noqa: B905
        return torch.cat(each, dim=2)[0].transpose(0, 1)

    same(
        lambda: torch.cat(attend_in_runs(query, key, value, borders, scaling=0.3)),
        plain, query, key, value,
    )  # fmt: skip
