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

from models_rm.backbones.families import Family
from models_rm.networks.patches import normalised

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


def normed_linear(norm: Any, layer: Any, x: torch.Tensor) -> torch.Tensor:
    """layer(norm(x)); of a LayerNorm and a plain layer only x is kept. `norm` may be None."""
    fits = isinstance(norm, nn.LayerNorm) and type(layer) is nn.Linear
    if not fits or layer.bias is None or not full_precision(x):
        return linear(layer, x if norm is None else norm(x))
    weights = (norm.weight, norm.bias, layer.weight, layer.bias)
    result: torch.Tensor = _NormedLinear.apply(x, *weights, norm.eps)
    return result


class _NormedLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # [S, H]
        norm: torch.Tensor,  # [H]
        norm_bias: torch.Tensor,
        weight: torch.Tensor,  # [O, H]
        bias: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        normed, mean, shrink = torch.native_layer_norm(x, norm.shape, norm, norm_bias, eps)
        ctx.save_for_backward(x, mean, shrink, norm, norm_bias, weight)
        ctx.eps = eps
        return F.linear(normed, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, mean, shrink, norm, norm_bias, weight = ctx.saved_tensors
        grad_weight = None
        if ctx.needs_input_grad[3]:
            grad_weight = grad.t() @ F.layer_norm(x, norm.shape, norm, norm_bias, ctx.eps)
        wanted = [True, *ctx.needs_input_grad[1:3]]
        norms = _aten.native_layer_norm_backward(
            grad @ weight, x, norm.shape, mean, shrink, norm, norm_bias, wanted
        )
        grad_bias = grad.sum(0) if ctx.needs_input_grad[4] else None
        return (*norms, grad_weight, grad_bias, None)


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
        half = cos.shape[-1] // 2
        first, second = x[:, :parts, :half], x[:, :parts, half:]
        from_second = second * sin[..., :half]
        second.mul_(cos[..., half:]).addcmul_(first, sin[..., half:])
        first.mul_(cos[..., :half]).sub_(from_second)
        return x

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        parts, half = ctx.parts, cos.shape[-1] // 2
        result = torch.empty_like(grad)
        result[:, parts:] = grad[:, parts:]
        first, second = grad[:, :parts, :half], grad[:, :parts, half:]
        to_first, to_second = result[:, :parts, :half], result[:, :parts, half:]
        torch.mul(first, cos[..., :half], out=to_first).addcmul_(second, sin[..., half:])
        torch.mul(second, cos[..., half:], out=to_second)
        to_second.addcmul_(first, sin[..., :half], value=-1)
        return result, None, None, None


# Feeding forward


class _Activation(NamedTuple):
    """y = act(scale * z) / scale; `backward` writes the gradient of z in the place of that of y."""

    forward: Any
    backward: Any
    scale: float


_ACTIVATIONS: Final[dict[type, _Activation]] = {
    # x * sigmoid(1.702 x) is silu(1.702 x) / 1.702.
    QuickGELUActivation: _Activation(
        F.silu, lambda grad, z: _aten.silu_backward.grad_input(grad, z, grad_input=grad), 1.702
    ),
    GELUTanh: _Activation(
        lambda z: F.gelu(z, approximate="tanh"),
        lambda grad, z: _aten.gelu_backward.grad_input(
            grad, z, approximate="tanh", grad_input=grad
        ),
        1.0,
    ),
}


def feed_forward(norm: Any, rise: Any, act: Any, fall: Any, x: torch.Tensor) -> torch.Tensor:
    """x + fall(act(rise(norm(x)))) of a LayerNorm and two linear layers.

    Only x and the input of `act` are kept.
    """
    fits = (
        isinstance(norm, nn.LayerNorm)
        and all(type(each) is nn.Linear and each.bias is not None for each in (rise, fall))
        and type(act) in _ACTIVATIONS
        and full_precision(x)
    )
    if not fits:
        other: torch.Tensor = x + fall(act(rise(norm(x))))
        return other
    weights = (norm.weight, norm.bias, rise.weight, rise.bias, fall.weight, fall.bias)
    result: torch.Tensor = _FeedForward.apply(x, *weights, norm.eps, _ACTIVATIONS[type(act)])
    return result


class _FeedForward(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # [S, H]
        norm: torch.Tensor,  # [H]
        norm_bias: torch.Tensor,
        rise: torch.Tensor,  # [I, H]
        rise_bias: torch.Tensor,
        fall: torch.Tensor,  # [H, I]
        fall_bias: torch.Tensor,
        eps: float,
        act: _Activation,
    ) -> torch.Tensor:
        normed, mean, shrink = torch.native_layer_norm(x, norm.shape, norm, norm_bias, eps)
        z = torch.addmm(rise_bias, normed, rise.t(), beta=act.scale, alpha=act.scale)
        ctx.save_for_backward(x, mean, shrink, z, norm, norm_bias, rise, fall)
        ctx.eps, ctx.act = eps, act
        return torch.addmm(fall_bias, act.forward(z), fall.t(), alpha=1 / act.scale).add_(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, mean, shrink, z, norm, norm_bias, rise, fall = ctx.saved_tensors
        act, (_, *needs) = ctx.act, ctx.needs_input_grad
        grad_fall = (grad.t() @ act.forward(z)).div_(act.scale) if needs[4] else None
        # The scales of z and of the result cancel out.
        grad_z = act.backward(grad @ fall, z)
        grad_rise = None
        if needs[2]:
            grad_rise = grad_z.t() @ F.layer_norm(x, norm.shape, norm, norm_bias, ctx.eps)
        grad_x, grad_norm, grad_norm_bias = _aten.native_layer_norm_backward(
            grad_z @ rise, x, norm.shape, mean, shrink, norm, norm_bias, [True, *needs[:2]]
        )
        grad_bias = grad_z.sum(0) if needs[3] else None
        grad_fall_bias = grad.sum(0) if needs[5] else None
        norms = (grad_x.add_(grad), grad_norm, grad_norm_bias)
        return (*norms, grad_rise, grad_bias, grad_fall, grad_fall_bias, None, None)


# Adapters


def linear(module: Any, x: torch.Tensor) -> torch.Tensor:
    """A linear layer with or without a LoRA adapter of `peft`; without passes of its own."""
    if not _plain_lora(module) or not full_precision(x):
        other: torch.Tensor = module(x)
        return other
    result: torch.Tensor = _LoraLinear.apply(x, None, *_lora_weights(module))
    return result


def gated_linear(module: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """`linear` of silu(gate) * up, which is made again for the backward pass."""
    if not _plain_lora(module) or not full_precision(gate):
        other: torch.Tensor = module(F.silu(gate) * up)
        return other
    result: torch.Tensor = _LoraLinear.apply(gate, up, *_lora_weights(module))
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


def _lora_weights(module: Any) -> tuple[Any, ...]:
    base = module.base_layer
    low, high = module.lora_A["default"].weight, module.lora_B["default"].weight
    return base.weight, base.bias, low, high, module.scaling["default"]


class _LoraLinear(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # [S, I]
        up: torch.Tensor | None,  # [S, I]: the input is silu(x) * up
        weight: torch.Tensor,  # [O, I], frozen
        bias: torch.Tensor | None,
        low: torch.Tensor,  # [r, I]
        high: torch.Tensor,  # [O, r]
        scale: float,
    ) -> torch.Tensor:
        entered = x if up is None else F.silu(x).mul_(up)
        inner = entered @ low.t()
        ctx.save_for_backward(x, up, inner, weight, low, high)
        ctx.scale = scale
        return F.linear(entered, weight, bias).addmm_(inner, high.t(), alpha=scale)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, up, inner, weight, low, high = ctx.saved_tensors
        grad_inner = (grad @ high).mul_(ctx.scale)
        grad_high = (grad.t() @ inner).mul_(ctx.scale)
        grad_x, grad_up, entered = None, None, x
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_inner, low)
        if grad_x is not None and up is not None:
            opened = F.silu(x)
            entered, grad_up = opened * up, opened.mul_(grad_x)
            grad_x.mul_(up)
            _aten.silu_backward.grad_input(grad_x, x, grad_input=grad_x)
        return grad_x, grad_up, None, None, grad_inner.t() @ entered, grad_high, None


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
