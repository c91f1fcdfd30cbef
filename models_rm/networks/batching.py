"""The backbone over a packed batch: all rows behind each other, without padding.

A row attends to itself alone and has its own positions, so rewards are those of padded rows within
rounding. What else is left out gives the same result too:

- The last layer and everything behind it run at the reward tokens only: of a row's other tokens
  only keys and values are needed there.
- Text of a row never becomes a mask of length squared: causal attention is all that is asked.
"""

from dataclasses import dataclass
from types import MethodType
from typing import Any, Final

import torch
import torch.nn.functional as F

from formats.supervised import BadConfigError
from models_rm.backbones.families import Family
from models_rm.networks.attention import attend_in_runs
from models_rm.networks.collator import Batch
from models_rm.networks.lean import (
    embed_patches,
    feed_forward,
    full_precision,
    gated_linear,
    linear,
    normed_linear,
    rms_norm,
    rotated_,
)

# Up to this length rows of different length are padded for attention, and for it alone: one call
# for all of them costs less than a call for each.
_SHORT: Final = 512


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where N rows of at most L tokens lie among the S tokens of a packed batch."""

    lengths: tuple[int, ...]
    starts: torch.Tensor  # [N]
    cells: torch.Tensor  # [N, L]: the token of each cell; behind the end, the last one again
    real: torch.Tensor  # [S]: the cell of each token, counted over N * L

    @classmethod
    def of(cls, mask: torch.Tensor) -> "Pieces":
        """From an attention mask [N, L] that is padded on the right."""
        counts = mask.sum(1)
        starts = counts.cumsum(0) - counts
        along = torch.arange(mask.shape[1], device=mask.device)
        cells = starts[:, None] + torch.minimum(along, counts[:, None] - 1)
        return cls(tuple(counts.tolist()), starts, cells, mask.flatten().nonzero()[:, 0])

    @property
    def equal(self) -> bool:
        return len(set(self.lengths)) == 1


def prepare(vision: Any, language: Any, family: Family) -> None:
    """Give the blocks of a backbone their lean ways; BadConfigError where one does not fit.

    Weights, names and hooks of the modules stay as they are.
    """
    for layer in language.layers:
        _refuse_other_layers(layer)
        layer.forward = MethodType(_decoder_layer, layer)
    vision.patch_embed.forward = MethodType(_patch_embedding(family), vision.patch_embed)
    for block in vision.blocks:
        block.attn.forward = MethodType(_vision_attention, block.attn)
        block.forward = MethodType(_vision_block, block)
        if hasattr(block.mlp, "gate_proj"):
            block.mlp.forward = MethodType(_vision_mlp, block.mlp)
        for name in ("norm1", "norm2"):
            norm = getattr(block, name)
            if hasattr(norm, "variance_epsilon"):
                norm.forward = MethodType(rms_norm, norm)


def states_at(
    vision: Any,
    language: Any,
    batch: Batch,
    positions: torch.Tensor,  # [N, T], of the reward tokens in their rows
    tokens: torch.Tensor,  # [T, H], their vectors
    position_ids: torch.Tensor,  # [3, N, L]
) -> torch.Tensor:  # [N, T, H]
    """Hidden states of the reward tokens behind the last layer."""
    pieces = Pieces.of(batch.attention_mask)
    picks = pieces.starts[:, None] + positions
    seen = vision(batch.pixel_values_videos, grid_thw=batch.video_grid_thw)
    kept = batch.attention_mask.bool()
    of_video = (batch.mm_token_type_ids[kept] == 2).nonzero()[:, 0]
    hidden = language.embed_tokens(batch.input_ids[kept])  # [S, H]
    hidden = hidden.index_copy(0, of_video, seen.pooler_output.to(hidden.dtype))
    vectors = tokens.to(hidden.dtype).expand(*picks.shape, -1)
    hidden = hidden.index_copy(0, picks.flatten(), vectors.flatten(0, 1))
    turn = language.rotary_emb(hidden[None], position_ids[:, kept][:, None])
    turn = tuple(each[0] for each in turn)  # cos and sin, [S, d]
    extra = getattr(seen, "deepstack_features", None) or []
    for index, layer in enumerate(language.layers[:-1]):
        hidden = layer(hidden, turn=turn, pieces=pieces)
        if index < len(extra):
            hidden = hidden.index_add(0, of_video, extra[index].to(hidden.dtype))
    hidden = language.layers[-1](hidden, turn=turn, pieces=pieces, picks=picks)
    # What deepstack adds behind the last layer it adds to video tokens, and nobody reads those.
    # Its weights have a gradient of zero all the same: DDP waits for one of each.
    for late in extra[len(language.layers) - 1 :]:
        hidden = hidden + 0 * late.sum()
    result: torch.Tensor = language.norm(hidden)
    return result


def _refuse_other_layers(layer: Any) -> None:
    attention, mlp = layer.self_attn, layer.mlp
    fits = (
        getattr(attention, "sliding_window", None) is None
        and attention.attention_dropout == 0
        and type(mlp.act_fn).__name__ in ("SiLUActivation", "SiLU")
    )
    if not fits:
        raise BadConfigError(
            "batching packed knows decoder layers with full attention, without dropout, and with"
            f" SiLU; {type(layer).__name__} of this backbone is another; set batching to padded"
        )


# What takes the place of `forward` in the modules of the library.


def _decoder_layer(
    self: Any,
    hidden_states: torch.Tensor,
    *args: Any,
    turn: tuple[torch.Tensor, torch.Tensor] | None = None,
    pieces: Pieces | None = None,
    picks: torch.Tensor | None = None,
    **kwargs: Any,
) -> torch.Tensor:
    """A decoder layer over packed rows [S, H]; with `picks` [N, T], its result there only.

    Called as the library calls it, without pieces, it is the library's own.
    """
    if turn is None or pieces is None:
        result: torch.Tensor = type(self).forward(self, hidden_states, *args, **kwargs)
    elif self.gradient_checkpointing and self.training:
        # The library puts checkpoints around the `forward` of the class, which is not asked here.
        how = (self, hidden_states, turn, pieces, picks)
        result = self._gradient_checkpointing_func(_over_pieces, *how)
    else:
        result = _over_pieces(self, hidden_states, turn, pieces, picks)
    return result


def _over_pieces(
    self: Any,
    hidden_states: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    pieces: Pieces,
    picks: torch.Tensor | None,
) -> torch.Tensor:
    asking = hidden_states if picks is None else hidden_states[picks.flatten()]
    hidden = asking + _attended(self, hidden_states, turn, pieces, picks)
    normed = rms_norm(self.post_attention_layernorm, hidden)
    hidden = hidden + _gated(self.mlp, normed)
    return hidden if picks is None else hidden.view(*picks.shape, -1)


def _attended(
    layer: Any,
    hidden: torch.Tensor,
    turn: tuple[torch.Tensor, torch.Tensor],
    pieces: Pieces,
    picks: torch.Tensor | None,
) -> torch.Tensor:  # [S or picks, H]
    attention = layer.self_attn
    normed = rms_norm(layer.input_layernorm, hidden)
    where = None if picks is None else picks.flatten()
    asking = normed if where is None else normed[where]
    turn_of_asking = turn if where is None else (turn[0][where], turn[1][where])
    query = _turned(attention, "q", asking, turn_of_asking)
    key = _turned(attention, "k", normed, turn)
    value = _heads(linear(attention.v_proj, normed), attention.head_dim)
    if picks is None:
        mixed = attend_causal(query, key, value, pieces, attention.scaling)
    else:
        mixed = _attend_from(query, key, value, pieces, picks, attention.scaling)
    return linear(attention.o_proj, mixed.flatten(1))


def _turned(
    attention: Any, name: str, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:  # [S, heads, d]
    heads = _heads(linear(getattr(attention, f"{name}_proj"), x), attention.head_dim)
    norm = getattr(attention, f"{name}_norm", None)
    if norm is not None:
        heads = rms_norm(norm, heads)
    # Angles stay as exact as they came, where autocast made the heads coarser.
    return rotated_(heads.to(turn[0].dtype), heads.shape[1], *turn).to(heads.dtype)


def _heads(x: torch.Tensor, width: int) -> torch.Tensor:  # [S, heads, d]
    return x.view(len(x), -1, width)


def _gated(mlp: Any, x: torch.Tensor) -> torch.Tensor:
    return gated_linear(mlp.down_proj, linear(mlp.gate_proj, x), linear(mlp.up_proj, x))


def attend_causal(
    query: torch.Tensor,  # [S, heads, d]
    key: torch.Tensor,  # [S, key heads, d]
    value: torch.Tensor,
    pieces: Pieces,
    scaling: float,
) -> torch.Tensor:  # [S, heads, d]
    """Causal attention of each row to itself."""
    how: dict[str, Any] = {"is_causal": True, "scale": scaling, "enable_gqa": True}
    count, length = pieces.cells.shape
    if pieces.equal or length <= _SHORT:
        rows = [_in_rows(each, pieces).transpose(1, 2) for each in (query, key, value)]
        mixed = F.scaled_dot_product_attention(*rows, **how).transpose(1, 2)
        flat = mixed.reshape(count * length, *query.shape[1:])
        # Padding stands behind a row, where causal attention does not look.
        return flat if pieces.equal else flat[pieces.real]
    parts = [each.split(pieces.lengths) for each in (query, key, value)]
    mixed_parts = [
        F.scaled_dot_product_attention(*(x.transpose(0, 1)[None] for x in part), **how)
        for part in zip(*parts, strict=True)
    ]
    return torch.cat([each[0].transpose(0, 1) for each in mixed_parts])


def _in_rows(x: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """[S, ...] -> [N, L, ...], zeros behind the end of a row."""
    count, length = pieces.cells.shape
    if not pieces.equal:
        x = x.new_zeros(count * length, *x.shape[1:]).index_copy(0, pieces.real, x)
    return x.view(count, length, *x.shape[1:])


def _attend_from(
    query: torch.Tensor,  # [N * T, heads, d]
    key: torch.Tensor,  # [S, key heads, d]
    value: torch.Tensor,
    pieces: Pieces,
    picks: torch.Tensor,  # [N, T]
    scaling: float,
) -> torch.Tensor:  # [N * T, heads, d]
    """Attention of the picked tokens to themselves and what stands before them in their row."""
    before = torch.arange(pieces.cells.shape[1], device=picks.device)
    seen = before <= (picks - pieces.starts[:, None])[..., None]  # [N, T, L]
    mixed = F.scaled_dot_product_attention(
        query.view(*picks.shape, *query.shape[1:]).transpose(1, 2),
        _in_rows(key, pieces).transpose(1, 2),
        _in_rows(value, pieces).transpose(1, 2),
        attn_mask=seen[:, None],
        scale=scaling,
        enable_gqa=True,
    )
    return mixed.transpose(1, 2).reshape(query.shape)


def _patch_embedding(family: Family) -> Any:
    def forward(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
        if hidden_states.dtype != torch.uint8:
            other: torch.Tensor = type(self).forward(self, hidden_states)
            return other
        return embed_patches(self.proj, hidden_states, family)

    return forward


def _vision_attention(
    self: Any,
    hidden_states: torch.Tensor,  # [S, E]
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    norm: Any = None,
    **kwargs: Any,
) -> torch.Tensor:
    """Attention of each time slice (or window) to itself; the queries are turned in place."""
    if not full_precision(hidden_states):
        how = {"cu_seqlens": cu_seqlens, "position_embeddings": position_embeddings}
        normed = hidden_states if norm is None else norm(hidden_states)
        other: torch.Tensor = type(self).forward(self, normed, **how, **kwargs)
        return other
    heads = self.num_heads
    mixed = normed_linear(norm, self.qkv, hidden_states).view(len(hidden_states), 3 * heads, -1)
    cos, sin = position_embeddings
    mixed = rotated_(mixed, 2 * heads, cos.to(mixed.dtype), sin.to(mixed.dtype))
    query, key, value = mixed.transpose(0, 1)[None].split(heads, dim=1)
    runs = attend_in_runs(query, key, value, cu_seqlens, scaling=self.scaling)
    # Projected before they are joined: what is joined need not be kept.
    return torch.cat([linear(self.proj, run.flatten(1)) for run in runs])


def _vision_block(self: Any, hidden_states: torch.Tensor, **how: Any) -> torch.Tensor:
    """A block of a vision tower; with checkpoints the library's own way around the lean parts."""
    mlp = self.mlp
    if (self.gradient_checkpointing and self.training) or hasattr(mlp, "gate_proj"):
        other: torch.Tensor = type(self).forward(self, hidden_states, **how)
        return other
    hidden = hidden_states + self.attn(hidden_states, norm=self.norm1, **how)
    rise, act, fall = (getattr(mlp, name) for name in _names_of(mlp))
    return feed_forward(self.norm2, rise, act, fall, hidden)


def _names_of(mlp: Any) -> tuple[str, str, str]:
    if hasattr(mlp, "linear_fc1"):
        return "linear_fc1", "act_fn", "linear_fc2"
    return "fc1", "act", "fc2"


def _vision_mlp(self: Any, hidden_state: torch.Tensor) -> torch.Tensor:
    """The gated kind, where no LayerNorm stands before it."""
    return _gated(self, hidden_state)
