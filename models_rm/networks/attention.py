"""Attention inside each frame, all frames at once.

The vision towers of Qwen look at every frame (or window) by itself. Without a flash-attention
package `transformers` walks over them one by one: for 64 short clips that is 256 calls per layer,
and more time than the arithmetic. Neighbours of one length, as the time slices of a clip are,
become one batch instead. The result is the same.
"""

from itertools import groupby
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
    runs = attend_in_runs(query, key, value, cu_seq_lens_q, scaling=scaling, dropout=dropout)
    return torch.cat(runs)[None], None


def attend_in_runs(
    query: torch.Tensor,  # [1, heads, S, d]
    key: torch.Tensor,
    value: torch.Tensor,
    borders: torch.Tensor,  # [pieces + 1]
    *,
    scaling: float,
    dropout: float = 0.0,
) -> list[torch.Tensor]:
    """Attention of each piece to itself: [s, heads, d] for each run of pieces of one length."""
    how: dict[str, Any] = {"dropout_p": dropout, "scale": scaling}
    runs = _runs_of(borders)
    sizes = [length * count for length, count in runs]
    results = [
        F.scaled_dot_product_attention(*(_stacked(part, length) for part in parts), **how)
        for (length, _), *parts in zip(
            runs, *(each.split(sizes, dim=2) for each in (query, key, value)), strict=True
        )
    ]
    return [each.transpose(1, 2).reshape(-1, *query.shape[1::2]) for each in results]


def _runs_of(borders: torch.Tensor) -> list[tuple[int, int]]:
    """(length, how many follow each other). All blocks of a tower get the same tensor; on a GPU
    each look at its numbers would wait for all work before it, so they are looked at once."""
    runs: list[tuple[int, int]] | None = getattr(borders, "tiebreak_runs", None)
    if runs is None:
        lengths = groupby(borders.diff().tolist())
        runs = [(length, len(list(run))) for length, run in lengths]
        borders.tiebreak_runs = runs
    return runs


def _stacked(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """[1, heads, pieces * length, d] -> [pieces, heads, length, d]."""
    _, heads, total, width = tensor.shape
    return tensor.view(heads, total // length, length, width).transpose(0, 1)


def use_for_vision(visual: Any) -> None:
    """Let a vision tower use it. Its weights and its saved config stay as they are."""
    AttentionInterface.register(NAME, attend_per_piece)
    visual.config._attn_implementation = NAME
