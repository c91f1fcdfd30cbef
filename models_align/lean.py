"""The same numbers with fewer passes over memory: LoRA and rotary embeddings of a training step.

What comes out is what PEFT and diffusers say, but for the last bits: sums are taken in another
order, and what that does depends on the processor (tests/models_align/test_lean_steps.py).

- LoRA: W x + s B (A x) is two products that add to the first one's output. PEFT scales and adds in
  passes of their own, forward and backward, over activations as large as the layer's output.
- Rotary embeddings of Wan: one product of complex numbers in the place of four products over every
  second number, which no processor likes.

What a layer does not fit (dropout, another type, image keys) stays as it was.
"""

from collections.abc import Iterable
from typing import Any, Final

import torch
import torch.nn.functional as F
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from models_align.adapters import ADAPTER

_PLAIN: Final = torch.float32


def make_lean(networks: Iterable[nn.Module]) -> int:
    """Change what fits, in place; how many layers that were."""
    changed = 0
    for network in networks:
        for module in network.modules():
            if isinstance(module, LoraLinear) and _fits(module):
                module.forward = _LeanLinear(module)
                changed += 1
            elif isinstance(module, WanAttention) and _has_plain_attention(module):
                module.set_processor(LeanAttention())
                changed += 1
    return changed


def _fits(layer: Any) -> bool:
    base = layer.base_layer
    return (
        type(base) is nn.Linear
        and base.weight.dtype == _PLAIN
        and list(layer.lora_A) == [ADAPTER]
        and isinstance(layer.lora_dropout[ADAPTER], nn.Identity)
        and layer.lora_A[ADAPTER].weight.dtype == _PLAIN
        and layer.lora_A[ADAPTER].bias is None
        and layer.lora_B[ADAPTER].bias is None
    )


def _has_plain_attention(module: Any) -> bool:
    """Without keys of an image, and not already with a processor of somebody's own."""
    return module.add_k_proj is None and type(module.processor) is WanAttnProcessor


class _LeanLinear:
    """In the place of the forward of one LoRA layer."""

    def __init__(self, layer: Any):
        self.layer = layer

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        layer = self.layer
        base: nn.Linear = layer.base_layer
        if layer.disable_adapters:
            return base(x)
        down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        out: torch.Tensor = _Lora.apply(x, base.weight, base.bias, down, up, layer.scaling[ADAPTER])
        return out


class _Lora(torch.autograd.Function):
    """x [..., I], weight [O, I], bias [O] or None, down [r, I], up [O, r] -> [..., O]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low = flat @ down.t()
        out = F.linear(flat, weight, bias).addmm_(low, up.t(), alpha=scale)
        ctx.save_for_backward(flat, weight, down, up, low)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        flat, weight, down, up, low = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, gradients[0].shape[-1])
        lowered = gradient @ up
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (gradient @ weight).addmm_(lowered, down, alpha=ctx.scale).view(ctx.shape)
        of_down = (lowered.t() @ flat).mul_(ctx.scale)
        of_up = (gradient.t() @ low).mul_(ctx.scale)
        return of_x, None, None, of_down, of_up, None


class LeanAttention:
    """Wan's attention processor without keys of an image, with rotary embeddings in one product."""

    _attention_backend = None
    _parallel_config = None

    def __init__(self) -> None:
        self._plain = WanAttnProcessor()

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,  # [B, N, D]
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:  # [B, N, D]
        if rotary_emb is not None and rotary_emb[0].dtype != _PLAIN:  # angles rounded to halves
            plain: torch.Tensor = self._plain(
                attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
            )
            return plain
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(seen))
        heads = [each.unflatten(2, (attn.heads, -1)) for each in (query, key, attn.to_v(seen))]
        if rotary_emb is not None:
            turns = torch.complex(
                rotary_emb[0][..., 0::2].contiguous(), rotary_emb[1][..., 1::2].contiguous()
            )
            heads[:2] = [_Turned.apply(each, turns) for each in heads[:2]]
        found = dispatch_attention_fn(
            *heads, attn_mask=attention_mask, dropout_p=0.0, is_causal=False,
            backend=self._attention_backend, parallel_config=self._parallel_config,
        )  # fmt: skip
        found = found.flatten(2, 3).type_as(heads[0])
        return attn.to_out[1](attn.to_out[0](found))


class _Turned(torch.autograd.Function):
    """x [B, N, h, d] by turns, complex [1, N, 1, d / 2]: each two numbers turned by an angle."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(turns)
        return _product(x, turns)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (turns,) = ctx.saved_tensors
        return _product(gradients[0], turns.conj().resolve_conj()), None


def _product(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    pairs = torch.view_as_complex(x.float().contiguous().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)
