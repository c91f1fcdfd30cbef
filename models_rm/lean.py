"""The arithmetic of the backbones with less memory and fewer passes over it.

Each function here computes what the library's modules compute, and its gradient, but keeps for the
backward pass only what cannot be computed again at once: the input of an activation and not its
result, rotated queries in the place of the plain ones, pixels as bytes. On a CPU such passes over
large tensors take a third of a training step.

Forward and gradient of each are tested against the library. They are for full precision: where
autocast chooses types, or weights are bfloat16, the modules' own ways are taken.
"""

from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function
from transformers.activations import GELUTanh, QuickGELUActivation

from models_rm.families import Family
from models_rm.patches import normalised

_aten = torch.ops.aten


def full_precision(tensor: torch.Tensor) -> bool:
    """Whether results are of the type of their inputs, and that type is not a half."""
    return tensor.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(
        tensor.device.type
    )


# Normalising


def rms_norm(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """What the RMSNorm modules of the Qwen families do."""
    result: torch.Tensor = _RmsNorm.apply(x, norm.weight, norm.variance_epsilon)
    return result


class _RmsNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        shrink = (size.square() / x.shape[-1] + eps).rsqrt()
        ctx.save_for_backward(x, weight, shrink)
        return weight * (wide * shrink).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, weight, shrink = ctx.saved_tensors
        plain = x * shrink
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (grad * plain).flatten(0, -2).sum(0).to(weight.dtype)
        inner = grad * weight
        along = torch.linalg.vecdot(inner.to(plain.dtype), plain).unsqueeze(-1) / x.shape[-1]
        grad_x = plain.mul_(-along).add_(inner).mul_(shrink)
        return grad_x.to(x.dtype), grad_weight, None


# Rotating


def rotated_(x: torch.Tensor, parts: int, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn the first `parts` heads of x [S, heads, d] in place by cos and sin [S, d]."""
    result: torch.Tensor = _Rotate.apply(x, parts, cos.unsqueeze(1), sin.unsqueeze(1))
    return result


class _Rotate(Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, parts: int, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.parts = parts
        ctx.mark_dirty(x)
        return _turn(x, parts, cos, -sin, sin)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        half = cos.shape[-1] // 2
        # The transposed turn: each half is turned by the sine that the other one was turned by.
        other = torch.cat([sin[..., half:], sin[..., :half]], dim=-1)
        return _turn(grad.clone(), ctx.parts, cos, other, -other), None, None, None


def _turn(
    x: torch.Tensor, parts: int, cos: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> torch.Tensor:
    """In place: first half <- first * cos + second * low, second half <- second * cos + first *
    high, each with its half of cos, low and high."""
    half = cos.shape[-1] // 2
    first, second = x[:, :parts, :half], x[:, :parts, half:]
    from_second = second * low[..., :half]
    second.mul_(cos[..., half:]).addcmul_(first, high[..., half:])
    first.mul_(cos[..., :half]).add_(from_second)
    return x


# Feeding forward


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up."""
    result: torch.Tensor = _Swiglu.apply(gate, up)
    return result


class _Swiglu(Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        return _aten.silu_backward(grad * up, gate), F.silu(gate).mul_(grad)


class _Activation(NamedTuple):
    """y = act(scale * z) / scale, as operations that exist with their derivative."""

    forward: Any
    backward: Any
    scale: float


_ACTIVATIONS: Final[dict[type, _Activation]] = {
    # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702.
    QuickGELUActivation: _Activation(F.silu, _aten.silu_backward, 1.702),
    GELUTanh: _Activation(
        lambda z: F.gelu(z, approximate="tanh"),
        lambda grad, z: _aten.gelu_backward(grad, z, approximate="tanh"),
        1.0,
    ),
}


def feed_forward(rise: Any, act: Any, fall: Any, x: torch.Tensor) -> torch.Tensor:
    """fall(act(rise(x))) of two linear layers; only x and the input of `act` are kept."""
    plain = type(rise) is nn.Linear and type(fall) is nn.Linear and type(act) in _ACTIVATIONS
    if not plain or rise.bias is None or fall.bias is None or not full_precision(x):
        other: torch.Tensor = fall(act(rise(x)))
        return other
    weights = (rise.weight, rise.bias, fall.weight, fall.bias)
    result: torch.Tensor = _FeedForward.apply(x, *weights, _ACTIVATIONS[type(act)])
    return result


class _FeedForward(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # [S, H]
        rise: torch.Tensor,  # [I, H]
        rise_bias: torch.Tensor,
        fall: torch.Tensor,  # [H, I]
        fall_bias: torch.Tensor,
        act: _Activation,
    ) -> torch.Tensor:
        z = torch.addmm(rise_bias, x, rise.t(), beta=act.scale, alpha=act.scale)
        ctx.save_for_backward(x, z, rise, fall)
        ctx.act = act
        return torch.addmm(fall_bias, act.forward(z), fall.t(), alpha=1 / act.scale)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, z, rise, fall = ctx.saved_tensors
        act, needs = ctx.act, ctx.needs_input_grad
        grad_fall = (grad.t() @ act.forward(z)).div_(act.scale) if needs[3] else None
        # The scales of z and of the result cancel out.
        grad_z = act.backward(grad @ fall, z)
        return (
            grad_z @ rise if needs[0] else None,
            grad_z.t() @ x if needs[1] else None,
            grad_z.sum(0) if needs[2] else None,
            grad_fall,
            grad.sum(0) if needs[4] else None,
            None,
        )


# Adapters


def linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    """A linear layer with or without a LoRA adapter of `peft`; without passes of its own."""
    if not _plain_lora(module) or not full_precision(x):
        other: torch.Tensor = module(x)
        return other
    base = module.base_layer
    low, high = module.lora_A["default"].weight, module.lora_B["default"].weight
    scale = module.scaling["default"]
    result: torch.Tensor = _LoraLinear.apply(x, base.weight, base.bias, low, high, scale)
    return result


def _plain_lora(module: Any) -> bool:
    """One adapter, not merged, without dropout, over a frozen layer of the same type."""
    if not hasattr(module, "lora_A") or module.merged or module.disable_adapters:
        return False
    base = module.base_layer
    frozen = not base.weight.requires_grad and (base.bias is None or not base.bias.requires_grad)
    return (
        frozen
        and list(module.active_adapters) == ["default"]
        and isinstance(module.lora_dropout["default"], nn.Identity)
        and base.weight.dtype == module.lora_A["default"].weight.dtype
    )


class _LoraLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # [S, I]
        weight: torch.Tensor,  # [O, I], frozen
        bias: torch.Tensor | None,
        low: torch.Tensor,  # [r, I]
        high: torch.Tensor,  # [O, r]
        scale: float,
    ) -> torch.Tensor:
        inner = x @ low.t()
        ctx.save_for_backward(x, inner, weight, low, high)
        ctx.scale = scale
        return F.linear(x, weight, bias).addmm_(inner, high.t(), alpha=scale)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, inner, weight, low, high = ctx.saved_tensors
        grad_inner = (grad @ high).mul_(ctx.scale)
        grad_x = (grad @ weight).addmm_(grad_inner, low) if ctx.needs_input_grad[0] else None
        grad_high = (grad.t() @ inner).mul_(ctx.scale)
        return grad_x, None, None, grad_inner.t() @ x, grad_high, None


# Pixels


def embed_patches(proj: Any, patches: torch.Tensor, family: Family) -> torch.Tensor:  # [P, E]
    """What the convolution over whole patches does, as the product of matrices that it is.

    The backward pass makes the float pixels again from the bytes, which are a quarter of them.
    """
    weight = proj.weight.flatten(1)
    if not full_precision(weight):
        return F.linear(normalised(patches, family).to(weight.dtype), weight, proj.bias)
    result: torch.Tensor = _EmbedPatches.apply(patches, weight, proj.bias, family)
    return result


class _EmbedPatches(Function):
    @staticmethod
    def forward(
        ctx: Any,
        patches: torch.Tensor,
        weight: torch.Tensor,  # [E, 3 * tp * p * p]
        bias: torch.Tensor | None,
        family: Family,
    ) -> torch.Tensor:
        ctx.save_for_backward(patches, weight)
        ctx.family = family
        return F.linear(normalised(patches, family).to(weight.dtype), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        patches, weight = ctx.saved_tensors
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = grad.t() @ normalised(patches, ctx.family).to(weight.dtype)
        return None, grad_weight, grad.sum(0) if ctx.needs_input_grad[2] else None, None
