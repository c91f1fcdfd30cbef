"""Clips and prompts to the tensors of a Qwen backbone; the project's own, without torchvision.

The parts of the template are tokenised one by one, so a reward token is a position that we know,
not an id that we search: there is exactly one per dimension and row, whatever a prompt contains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Self

import torch

from models_rm.backbones.families import Family
from models_rm.clips.video import Clip
from models_rm.networks.patches import cut_all
from models_rm.networks.prompts import RatingTemplate, RewardToken

_VISION = "<|vision_start|><|video_pad|><|vision_end|>"


@dataclass(frozen=True, slots=True)
class Batch:
    """N rows, each one clip and one prompt, padded on the right to L tokens."""

    input_ids: torch.Tensor  # [N, L]
    attention_mask: torch.Tensor  # [N, L]
    mm_token_type_ids: torch.Tensor  # [N, L], 2 at video tokens
    pixel_values_videos: torch.Tensor  # uint8 [patches, channels * tp * p * p]
    video_grid_thw: torch.Tensor  # [N, 3]
    seconds_per_grid: torch.Tensor  # [N]
    reward_positions: torch.Tensor  # [N, D], in the order of the template

    def to(self, device: torch.device) -> Self:
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


class Collator:
    """Builds batches for one backbone family, tokenizer and template."""

    def __init__(self, tokenizer: Any, family: Family, template: RatingTemplate):
        self._tokenizer = tokenizer
        self._family = family
        self._template = template
        self._pad = tokenizer.pad_token_id
        names = ("<|vision_start|>", "<|video_pad|>", "<|vision_end|>")
        self._start, self._video_token, self._end = tokenizer.convert_tokens_to_ids(list(names))
        self._prefix = self._tokens(opening_of(tokenizer))
        # What the tokenizer takes for one token each, `<|video_pad|>` as well as `<think>`.
        self._control = dict(tokenizer.get_added_vocab())
        # A call of a tokenizer costs a third of a millisecond, and the same few texts come again.
        self._row = lru_cache(maxsize=65536)(self._tokenised_row)
        self._timestamp = lru_cache(maxsize=1024)(self._tokens)

    def __call__(self, clips: Sequence[Clip], prompts: Sequence[str]) -> Batch:
        patches, grids = cut_all([clip.frames for clip in clips], self._family)
        rows = [
            self._with_vision(*self._row(prompt), grid, clip.fps)
            for clip, prompt, grid in zip(clips, prompts, grids, strict=True)
        ]
        length = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), length), self._pad)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for index, (row, _) in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        seconds = [self._family.temporal_patch / clip.fps for clip in clips]
        return Batch(
            input_ids=ids,
            attention_mask=mask,
            mm_token_type_ids=torch.where(ids == self._video_token, 2, 0).int(),
            pixel_values_videos=patches,
            video_grid_thw=torch.tensor(grids),
            seconds_per_grid=torch.tensor(seconds),
            reward_positions=torch.tensor([positions for _, positions in rows]),
        )

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _tokenised_row(self, prompt: str) -> tuple[list[int], list[int]]:
        """Ids behind the vision tokens, and the positions of the reward tokens among them.

        Neighbouring texts are tokenised together, as a tokenizer would that knew our tokens.
        """
        ids: list[int] = []
        positions: list[int] = []
        text = ""
        for piece in self._template.pieces(prompt, self._control):
            if isinstance(piece, RewardToken):
                ids += self._plain_tokens(text)
                text = ""
                positions.append(len(ids))
                ids.append(self._pad)  # any id: the reward vector takes its place
            else:
                text += piece
        if len(positions) != len(self._template.keys):
            raise AssertionError("each dimension must have exactly one reward token")
        return ids, positions

    def _plain_tokens(self, text: str) -> list[int]:
        ids = self._tokens(text)
        if not set(ids).isdisjoint(self._control.values()):
            raise AssertionError("a text brought a control token in; escaping must prevent that")
        return ids

    def _with_vision(
        self, ids: list[int], positions: list[int], grid: tuple[int, int, int], fps: float
    ) -> tuple[list[int], list[int]]:
        front = [*self._prefix, *self._vision(grid, fps)]
        return [*front, *ids], [len(front) + position for position in positions]

    def _vision(self, grid: tuple[int, int, int], fps: float) -> list[int]:
        t, h, w = grid
        count = h * w // self._family.merge**2
        if not self._family.timestamps:
            return [self._start, *[self._video_token] * (t * count), self._end]
        ids: list[int] = []
        for index in range(t):
            # The middle of the frames of one temporal patch, as Qwen3-VL's processor says it.
            middle = (index + 0.5) * self._family.temporal_patch - 0.5
            ids += self._timestamp(f"<{middle / fps:.1f} seconds>")
            ids += [self._start, *[self._video_token] * count, self._end]
        return ids


def opening_of(tokenizer: Any) -> str:
    """What the chat template of a backbone puts before the clip of a user's message."""
    content = [{"type": "video"}, {"type": "text", "text": "\0"}]
    text = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    opening, found, _ = text.partition(_VISION)
    if not found:
        raise AssertionError(f"the chat template does not place a clip as {_VISION}")
    return str(opening)
