"""The reward network: a vision-language backbone; a free vector and a linear head per dimension.

A reward token is no word of the vocabulary: its vector is a parameter of ours that is put in at
its position. So three vectors learn instead of a whole embedding matrix, and the tokenizer of the
backbone stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import torch
from torch import nn

from models_rm.backbones.adapter import Adapter, Row, flat_positions
from models_rm.backbones.families import Family
from models_rm.backbones.registry import adapter_of
from models_rm.networks.batching import prepare, states_at
from models_rm.networks.collator import Batch
from models_rm.networks.patches import normalised
from models_rm.networks.prompts import ALL
from models_rm.networks.thetas import Thetas
from models_rm.networks.uncertainty import bounded

_USUAL_THETA: Final = 5.0
_FIRST_SPREAD: Final = -2.0  # log variance before training: rather sure, so that means learn first


class Rewards(NamedTuple):
    """What the network says of N clips, both float32 [N, D] in the order of its keys.

    `log_variance` is of the reward itself, None for a model that was trained without uncertainty.
    """

    mean: torch.Tensor
    log_variance: torch.Tensor | None = None

    def at(self, rows: Any) -> "Rewards":
        """Those of some of the clips."""
        spread = None if self.log_variance is None else self.log_variance[rows]
        return Rewards(self.mean[rows], spread)


class RewardNetwork(nn.Module):
    """Rewards of clips: `network(batch)` gives `Rewards` in the order of `keys`.

    `token_keys` is the order of the reward tokens in the text, `keys` that of the dimension set.
    One token of key `ALL` serves all dimensions, each with a head of its own.
    """

    def __init__(
        self,
        backbone: Any,  # the model without its language head
        keys: Sequence[str],
        token_keys: Sequence[str],
        *,
        shared_head: bool,
        rope_mode: str,
        thetas: Thetas | None = None,
        uncertainty: bool = False,
        batching: str = "packed",
    ):
        super().__init__()
        self.backbone = backbone
        self.adapter: Adapter = adapter_of(backbone.config)
        self.family: Family = self.adapter.family(backbone.config)
        self.keys = tuple(keys)
        self.rope_mode = rope_mode
        self.batching = batching
        if batching == "packed":
            vision, language = self._vision_and_language()
            prepare(vision, language, self.family)
        order = [ALL] if list(token_keys) == [ALL] else self.keys
        self._order = [list(token_keys).index(key) for key in order]
        width = backbone.config.text_config.hidden_size
        spread = backbone.get_input_embeddings().weight.detach().float().std()
        # A backbone that is only described lies on the meta device, which has no numbers.
        spread = spread if spread.is_meta else spread.cpu()
        self.tokens = nn.Parameter(torch.randn(len(self._order), width) * spread)  # [T, H]
        self.heads = nn.Parameter(
            torch.randn(1 if shared_head else len(self.keys), width) / width**0.5
        )
        # Saved with the network, because a learned theta is learned with it.
        self.thetas = thetas or Thetas([_USUAL_THETA] * len(self.keys))
        self.uncertain = uncertainty
        if uncertainty:
            self.spread_heads = nn.Parameter(torch.zeros_like(self.heads))
            self.spread_biases = nn.Parameter(torch.full((len(self.keys),), _FIRST_SPREAD))

    @torch.no_grad()
    def start_tokens_as(self, token_id: int) -> None:
        """Give every reward token the vector of a word of the backbone."""
        word = self.backbone.get_input_embeddings().weight[token_id]
        self.tokens.copy_(word.float().expand_as(self.tokens))

    def forward(self, batch: Batch) -> Rewards:
        positions = batch.reward_positions[:, self._order]
        if self.batching == "packed":
            place = self._position_ids(batch)
            states = states_at(*self._vision_and_language(), batch, positions, self.tokens, place)
            return self.rewards_at(states.float())
        return self.rewards_at(self._padded_states(batch, positions).float())

    def _padded_states(self, batch: Batch, positions: torch.Tensor) -> torch.Tensor:  # [N, T, H]
        """Through the library's own forward; what packed batches are compared with."""
        extra: dict[str, Any] = {}
        if self.family.seconds_per_grid:
            extra["second_per_grid_ts"] = batch.seconds_per_grid
        with self._reward_tokens_at(positions):
            hidden = self.backbone(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=self._position_ids(batch),
                pixel_values_videos=normalised(batch.pixel_values_videos, self.family),
                video_grid_thw=batch.video_grid_thw,
                mm_token_type_ids=batch.mm_token_type_ids,
                use_cache=False,
                **extra,
            ).last_hidden_state
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        picked: torch.Tensor = hidden[rows, positions]
        return picked

    def _vision_and_language(self) -> tuple[nn.Module, nn.Module]:
        return self.adapter.vision_of(self.backbone), self.adapter.language_of(self.backbone)

    def rewards_at(self, states: torch.Tensor) -> Rewards:
        """Rewards from the hidden states at the reward tokens, float32 [N, D or 1, H].

        Gathered first and projected later, in float32: bfloat16 would make ties of near rewards.
        """
        mean = (states * self.heads).sum(-1)
        if not self.uncertain:
            return Rewards(mean)
        return Rewards(mean, bounded((states * self.spread_heads).sum(-1) + self.spread_biases))

    @contextmanager
    def _reward_tokens_at(self, positions: torch.Tensor) -> Iterator[None]:
        """Put the reward vectors into the embedded text while the backbone runs."""
        rows = torch.arange(len(positions), device=positions.device)[:, None]

        def replace(_module: nn.Module, _inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
            vectors = self.tokens.to(embedded.dtype).expand(len(positions), -1, -1)
            return embedded.index_put((rows, positions), vectors)

        hook = self.backbone.get_input_embeddings().register_forward_hook(replace)
        try:
            yield
        finally:
            hook.remove()

    def _position_ids(self, batch: Batch) -> torch.Tensor:  # [3, N, L]
        count, length = batch.input_ids.shape
        if self.rope_mode == "flat":
            flat = flat_positions(length, batch.input_ids.device)
            return flat[:, None].expand(3, count, length)
        kinds = torch.cat(
            [batch.video_grid_thw.double(), batch.seconds_per_grid[:, None].double()], 1
        )
        _, kind = torch.unique(kinds, dim=0, return_inverse=True)
        result = torch.empty(3, count, length, dtype=torch.long, device=batch.input_ids.device)
        for each in kind.unique():
            rows = (kind == each).nonzero()[:, 0]
            result[:, rows] = self.positions_of(_row(batch, int(rows[0])))[:, None]
        return result

    def positions_of(self, row: Row) -> torch.Tensor:  # [3, L]
        """Positions of one row, good for all rows with the same grid: padding is on the right."""
        if self.rope_mode == "flat":
            return flat_positions(len(row.input_ids), row.input_ids.device)
        return self.adapter.positions(self.backbone, row)


def _row(batch: Batch, index: int) -> Row:
    return Row(
        batch.input_ids[index],
        batch.mm_token_type_ids[index],
        batch.video_grid_thw[index],
        batch.seconds_per_grid[index],
    )
