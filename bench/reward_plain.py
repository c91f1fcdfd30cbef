"""The plain loop that ours is measured against: what a careful person writes on today's libraries.

`transformers` and `peft` as their guides show them, with the released code's structure: A and B are
two forwards, padded to one length; each clip is decoded when its turn comes; the reward tokens are
words of the vocabulary, so the whole embedding matrix is trainable. Ties, labels and rates are
those of the released code. It has no cache, no resume, no calibration.

What today's library brings is used: its attention looks at one time slice at a time in the vision
tower, and positions are those of M-RoPE.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from transformers import AutoModelForImageTextToText, AutoTokenizer

from models_rm.clips.video import FrameRule, frame_count, frame_indices, smart_resize

LOG_THETA = math.log(5.0)
LOG_TIE = math.log(5.0**2 - 1)
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


Pair = tuple[Path, Path, str, Sequence[int]]  # A, B, prompt, +1 A, 0 tie, -1 B per dimension


def read_frames(path: Path, rule: FrameRule) -> torch.Tensor:  # uint8 [T, 3, h, w]
    """Decode, take the frames of the rule, resize them together."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 0)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    chosen = frame_indices(len(frames), frame_count(len(frames) / rate, len(frames), rule))
    pictures = torch.from_numpy(np.stack([frames[i] for i in chosen])).permute(0, 3, 1, 2)
    size = smart_resize(pictures.shape[2], pictures.shape[3], rule)
    return F.interpolate(pictures, size=size, mode="bicubic", antialias=True)


def patches_of(frames: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """As the library's video processor does, which needs torchvision: normalise, then cut."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    pixels = (frames.float() / 255 - mean) / std
    if len(pixels) % 2:
        pixels = torch.cat([pixels, pixels[-1:]])
    t, h, w = len(pixels) // 2, pixels.shape[2] // 14, pixels.shape[3] // 14
    cut = pixels.view(t, 2, 3, h // 2, 2, 14, w // 2, 2, 14).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return cut.reshape(t * h * w, -1), (t, h, w)


class PlainRewardModel(torch.nn.Module):
    """A backbone with three more words and a head."""

    def __init__(self, source: Path, words: Sequence[str], *, language: str = "lora"):
        super().__init__()
        self.language = language
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
        self.tokenizer.add_special_tokens({"additional_special_tokens": list(words)})
        self.words: list[int] = self.tokenizer.convert_tokens_to_ids(list(words))
        backbone = AutoModelForImageTextToText.from_pretrained(source, attn_implementation="sdpa")
        backbone.resize_token_embeddings(len(self.tokenizer))
        self.backbone: Any = backbone.model
        self.head = torch.nn.Linear(backbone.config.text_config.hidden_size, 3, bias=False)

    def prepare(self) -> None:
        """LoRA on the language model, or all of it; vision tower, embedding, head train fully."""
        self.backbone.requires_grad_(requires_grad=False)
        if self.language == "lora":
            lora = LoraConfig(r=64, lora_alpha=128, target_modules=TARGETS, lora_dropout=0.0)
            inject_adapter_in_model(lora, self.backbone.language_model)
        else:
            self.backbone.language_model.requires_grad_(requires_grad=True)
        self.backbone.visual.requires_grad_(requires_grad=True)
        self.backbone.get_input_embeddings().requires_grad_(requires_grad=True)

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:  # [N, 3]
        hidden = self.backbone(**inputs, use_cache=False).last_hidden_state
        logits = self.head(hidden)
        ids = inputs["input_ids"]
        each = [logits[ids == word][:, k] for k, word in enumerate(self.words)]
        return torch.stack(each, dim=1)


def inputs_of(
    model: PlainRewardModel, texts: Sequence[str], clips: Sequence[torch.Tensor], length: int = 0
) -> dict[str, torch.Tensor]:
    """One padded batch as the library's processor makes it."""
    patches, grids = zip(*[patches_of(clip) for clip in clips], strict=True)
    pad = "<|video_pad|>"
    long = [
        text.replace(pad, pad * (t * h * w // 4), 1)
        for text, (t, h, w) in zip(texts, grids, strict=True)
    ]
    how: dict[str, Any] = {"padding": "max_length", "max_length": length} if length else {}
    batch = model.tokenizer(long, return_tensors="pt", **({"padding": True} | how))
    ids = batch["input_ids"]
    video = model.tokenizer.convert_tokens_to_ids(pad)
    return {
        "input_ids": ids,
        "attention_mask": batch["attention_mask"],
        "mm_token_type_ids": torch.where(ids == video, 2, 0).int(),
        "pixel_values_videos": torch.cat(patches),
        "video_grid_thw": torch.tensor(grids),
    }


def btt(reward_a: torch.Tensor, reward_b: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    gap = reward_a - reward_b
    decided = -F.logsigmoid(label * gap - LOG_THETA)
    tie = -F.logsigmoid(gap - LOG_THETA) - F.logsigmoid(-gap - LOG_THETA) - LOG_TIE
    return torch.where(label == 0, tie, decided).mean()


class PlainTrainer:
    """One optimiser step per batch of pairs."""

    def __init__(self, model: PlainRewardModel, rule: FrameRule, text: Callable[[str], str]):
        self.model, self.rule, self.text = model, rule, text
        model.prepare()
        learning = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=2e-6, weight_decay=0.0)
        self.learning = learning

    def step(self, pairs: Sequence[Pair], *, parts: int = 1) -> float:
        """One step over pairs, forward and backward in so many parts."""
        self.optimizer.zero_grad()
        size = len(pairs) // parts
        losses = [self._part(pairs[n : n + size], parts) for n in range(0, len(pairs), size)]
        torch.nn.utils.clip_grad_norm_(self.learning, 1.0)
        self.optimizer.step()
        return sum(losses)

    def _part(self, pairs: Sequence[Pair], parts: int) -> float:
        texts = [self.text(prompt) for _, _, prompt, _ in pairs]
        sides = [
            [read_frames(a, self.rule) for a, _, _, _ in pairs],
            [read_frames(b, self.rule) for _, b, _, _ in pairs],
        ]
        batches = [inputs_of(self.model, texts, clips) for clips in sides]
        length = max(batch["input_ids"].shape[1] for batch in batches)
        batches = [
            batch
            if batch["input_ids"].shape[1] == length
            else inputs_of(self.model, texts, clips, length)
            for batch, clips in zip(batches, sides, strict=True)
        ]
        label = torch.tensor([labels for *_, labels in pairs])
        loss = btt(self.model(batches[0]), self.model(batches[1]), label) / parts
        loss.backward()
        return float(loss.detach())

    @torch.no_grad()
    def score(self, path: Path, prompt: str) -> list[float]:
        """One clip at a time, as the released inference script is used."""
        batch = inputs_of(self.model, [self.text(prompt)], [read_frames(path, self.rule)])
        scores: list[float] = self.model(batch)[0].tolist()
        return scores
