"""Attention inside each frame, all frames at once.

The vision towers of Qwen look at every frame (or window) by itself. Without a flash-attention
package `transformers` walks over them one by one: for 64 short clips that is 256 calls per layer,
and more time than the arithmetic. Where all pieces have one length they are one batch instead.
The result is the same.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

# `transformers` hands the borders of the pieces only to an implementation that it takes for a
# flash attention, and it tells that by the name.
NAME: Final = "tiebreak_flash_frames"


def attend_per_piece(
    module: Any,  # noqa: ARG001, the interface of the library
    query: torch.Tensor,  # [1, heads, S, d]
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    cu_seq_lens_q: torch.Tensor,  # [pieces + 1], the borders of the pieces in S
    scaling: float,
    dropout: float = 0.0,
    **_other: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each piece to itself; gives [1, S, heads, d]."""
    lengths = cu_seq_lens_q.diff().tolist()
    if len(set(lengths)) > 1:
        parts = [tensor.split(lengths, dim=2) for tensor in (query, key, value)]
        pieces = [
            F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
            for q, k, v in zip(*parts, strict=True)
        ]
        return torch.cat(pieces, dim=2).transpose(1, 2), None
    q, k, v = [_stacked(tensor, lengths[0]) for tensor in (query, key, value)]
    result = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
    return result.transpose(1, 2).reshape(1, query.shape[2], *query.shape[1::2]), None


def _stacked(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """[1, heads, pieces * length, d] -> [pieces, heads, length, d]."""
    _, heads, total, width = tensor.shape
    return tensor.view(heads, total // length, length, width).transpose(0, 1)


def use_for_vision(visual: Any) -> None:
    """Let a vision tower use it. Its weights and its saved config stay as they are."""
    AttentionInterface.register(NAME, attend_per_piece)
    visual.config._attn_implementation = NAME
