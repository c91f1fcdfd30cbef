"""Fewer passes over memory, the same numbers."""

from typing import Any

import pytest
import torch

from models_align.adapters import add_adapter, trainable_parameters, without_adapter
from models_align.config import AlignmentConfig
from models_align.generators.wan import WanGenerator
from models_align.lean import LeanAttention, make_lean

Found = tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]


def with_adapter(generator: WanGenerator, **lora: Any) -> WanGenerator:
    config = AlignmentConfig.from_json({"lora": {"r": 2, "alpha": 3.0, **lora}})
    add_adapter(generator, config)
    torch.manual_seed(1)
    for parameter in trainable_parameters(generator).values():
        torch.nn.init.normal_(parameter, std=0.1)
    return generator


def found(generator: WanGenerator) -> Found:
    """What the policy and its reference predict, and the gradients of the policy's error."""
    torch.manual_seed(0)
    x, t = torch.randn(3, 6, 3, 8, 8), torch.tensor([0.1, 0.5, 0.9])
    text = generator.encode_prompts(["a red circle"]).expand(3, -1, -1)
    parameters = list(trainable_parameters(generator).values())
    prediction = generator.velocity(x, t, text)
    gradients = torch.autograd.grad(prediction.square().mean(), parameters)
    with torch.no_grad(), without_adapter(generator):
        reference = generator.velocity(x, t, text)
    return prediction.detach(), reference, list(gradients)


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """But for the last bits: what a processor adds first depends on its kernels."""
    return torch.allclose(one, other, rtol=1e-6, atol=1e-6 * float(other.abs().max()))


def test_lean_layers_predict_the_same_and_have_the_same_gradients(tiny_wan):
    generator = with_adapter(tiny_wan)
    prediction, reference, gradients = found(generator)
    assert make_lean(generator.networks.values()) == 8 + 2  # LoRA layers and attentions
    lean_prediction, lean_reference, lean_gradients = found(generator)
    assert near(lean_prediction, prediction)
    assert near(lean_reference, reference)
    assert not near(prediction, reference)
    for wanted, each in zip(gradients, lean_gradients, strict=True):
        assert torch.allclose(each, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    assert make_lean(generator.networks.values()) == 8  # once is enough


def test_layers_with_dropout_stay_as_they_were(tiny_wan):
    generator = with_adapter(tiny_wan, dropout=0.5)
    plain = {name: module.forward for name, module in generator.transformer.named_modules()}
    assert make_lean(generator.networks.values()) == 2
    for name, module in generator.transformer.named_modules():
        assert module.forward == plain[name]


def test_attention_that_sees_an_image_keeps_its_processor(tiny_wan):
    attention = tiny_wan.transformer.blocks[0].attn2
    attention.add_k_proj = torch.nn.Linear(4, 4)
    make_lean(tiny_wan.networks.values())
    assert not isinstance(attention.processor, LeanAttention)
    assert isinstance(tiny_wan.transformer.blocks[0].attn1.processor, LeanAttention)


@pytest.mark.parametrize("name", ["lora", "attention"])
def test_gradients_of_lean_layers_agree_with_finite_differences(name):
    from models_align.lean import _Lora, _Turned

    torch.manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    if name == "lora":
        weight, bias = drawn(4, 3).detach(), drawn(4).detach()
        function = lambda x, down, up: _Lora.apply(x, weight, bias, down, up, 1.5)  # noqa: E731
        assert torch.autograd.gradcheck(function, (drawn(2, 5, 3), drawn(2, 3), drawn(4, 2)))
        return
    # Rotating is linear, so its gradient is that of the product with the same angles turned back.
    turns = torch.polar(torch.ones(1, 5, 1, 2), torch.randn(1, 5, 1, 2))
    x, y = torch.randn(2, 5, 3, 4, requires_grad=True), torch.randn(2, 5, 3, 4)
    (gradient,) = torch.autograd.grad((_Turned.apply(x, turns) * y).sum(), x)
    back = _Turned.apply(y, turns.conj().resolve_conj())
    assert torch.allclose(gradient, back, atol=1e-6)
