"""The reward network: a vision-language backbone; a free vector and a linear head per dimension.

A reward token is no word of the vocabulary: its vector is a parameter of ours that is put in at
its position. So three vectors learn instead of a whole embedding matrix, and the tokenizer of the
backbone stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from formats.supervised import BadConfigError
from models_rm.collator import Batch
from models_rm.config import RewardModelConfig
from models_rm.errors import BackboneMissingError
from models_rm.families import Family, family_of


class RewardNetwork(nn.Module):
    """Rewards of clips: `network(batch)` gives float32 [N, D] in the order of `keys`.

    `token_keys` is the order of the reward tokens in the text, `keys` that of the dimension set.
    """

    def __init__(
        self,
        backbone: Any,  # the model without its language head
        keys: Sequence[str],
        token_keys: Sequence[str],
        *,
        shared_head: bool,
        rope_mode: str,
    ):
        super().__init__()
        self.backbone = backbone
        self.family: Family = family_of(backbone.config)
        self.keys = tuple(keys)
        self.rope_mode = rope_mode
        self._order = [list(token_keys).index(key) for key in keys]
        width = backbone.config.text_config.hidden_size
        spread = backbone.get_input_embeddings().weight.detach().float().std().cpu()
        self.tokens = nn.Parameter(torch.randn(len(self.keys), width) * spread)  # [D, H]
        self.heads = nn.Parameter(
            torch.randn(1 if shared_head else len(self.keys), width) / width**0.5
        )

    @torch.no_grad()
    def start_tokens_as(self, token_id: int) -> None:
        """Give every reward token the vector of a word of the backbone."""
        word = self.backbone.get_input_embeddings().weight[token_id]
        self.tokens.copy_(word.float().expand_as(self.tokens))

    def forward(self, batch: Batch) -> torch.Tensor:  # [N, D]
        positions = batch.reward_positions[:, self._order]
        extra: dict[str, Any] = {}
        if self.family.seconds_per_grid:
            extra["second_per_grid_ts"] = batch.seconds_per_grid
        with self._reward_tokens_at(positions):
            hidden = self.backbone(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=self._position_ids(batch),
                pixel_values_videos=batch.pixel_values_videos,
                video_grid_thw=batch.video_grid_thw,
                mm_token_type_ids=batch.mm_token_type_ids,
                use_cache=False,
                **extra,
            ).last_hidden_state
        rows = torch.arange(len(positions), device=positions.device)[:, None]
        # Gather first, project later, and in float32: bfloat16 would make ties of near rewards.
        return (hidden[rows, positions].float() * self.heads).sum(-1)

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
            return torch.arange(length, device=batch.input_ids.device).expand(3, count, length)
        kinds = torch.cat(
            [batch.video_grid_thw.double(), batch.seconds_per_grid[:, None].double()], 1
        )
        _, kind = torch.unique(kinds, dim=0, return_inverse=True)
        result = torch.empty(3, count, length, dtype=torch.long, device=batch.input_ids.device)
        for each in kind.unique():
            rows = (kind == each).nonzero()[:, 0]
            result[:, rows] = self._positions_of_row(batch, int(rows[0]))
        return result

    def _positions_of_row(self, batch: Batch, row: int) -> torch.Tensor:  # [3, 1, L]
        """Positions of one row, good for all rows with the same grid: padding is on the right."""
        extra = {}
        if self.family.seconds_per_grid:
            extra["second_per_grid_ts"] = batch.seconds_per_grid[row : row + 1]
        positions, _ = self.backbone.get_rope_index(
            batch.input_ids[row : row + 1],
            mm_token_type_ids=batch.mm_token_type_ids[row : row + 1],
            video_grid_thw=batch.video_grid_thw[row : row + 1],
            **extra,
        )
        return positions


def load_backbone(source: str, dtype: str) -> tuple[Any, Any]:
    """(backbone without language head, tokenizer) from a folder or a hub id; safetensors only."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        kind = "folder" if Path(source).is_absolute() else "hub id or folder"
        raise BackboneMissingError(
            f"backbone {source!r} is not there: "
            f"no vision-language model can be loaded from this {kind}"
        ) from error
    family_of(model.config)
    return model.model, tokenizer


def empty_backbone(folder: Path, dtype: str) -> Any:
    """A backbone of the shape that the config.json of a folder names, with weights to be loaded."""
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, dtype))
    return model.model


def prepare_for_training(network: RewardNetwork, config: RewardModelConfig) -> None:
    """Freeze what does not learn and put LoRA where the config wants it.

    What learns is float32 whatever the backbone's dtype: at a rate of 2e-6 bfloat16 loses the
    updates.
    """
    network.backbone.requires_grad_(requires_grad=False)
    names = lora_layers(network.backbone, config)
    if names:
        lora = LoraConfig(
            r=config.lora_r,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=names,
        )
        inject_adapter_in_model(lora, network.backbone)
    parts = {"vision": network.backbone.visual, "language": network.backbone.language_model}
    for part, module in parts.items():
        if getattr(config, part) == "full":
            module.requires_grad_(requires_grad=True)
    if config.language == "full":
        network.backbone.get_input_embeddings().requires_grad_(requires_grad=False)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if config.gradient_checkpointing:
        network.backbone.gradient_checkpointing_enable({"use_reentrant": False})


def lora_layers(backbone: Any, config: RewardModelConfig) -> list[str]:
    """Full names of the linear layers that get an adapter."""
    names: list[str] = []
    wanted = {
        "language": ("language_model", config.language, config.lora_targets),
        "vision": ("visual", config.vision, config.lora_vision_targets),
    }
    for part, (prefix, how, targets) in wanted.items():
        if how != "lora":
            continue
        found = [
            f"{prefix}.{name}"
            for name, module in getattr(backbone, prefix).named_modules()
            if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
        ]
        if not found:
            raise BadConfigError(
                f"no linear layer of the {part} part is named {' or '.join(targets)}"
            )
        names += found
    return names
