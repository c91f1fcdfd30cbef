"""What every program of `bench.reward_speed` works on: one backbone, one tokenizer, six real clips.

The shapes are those of the measured peer: a Qwen2-VL with random weights, 25.1 million parameters
(hidden 256, 4 decoder layers, 4 vision blocks of 256, vocabulary 32,000), clips at 2 frames per
second and at most 448 x 448 pixels, and a rating text that makes about 2,300 tokens of a clip.
Nobody wrote down the number of heads: with 8 in the vision tower the released code needs 12 GB, as
it did when it was measured first (11.7 GB); with 4 it needs 7.7.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoTokenizer, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from demo.tiny_tokenizer import tiny_tokenizer
from demo.tiny_vlm import tiny_vlm
from formats.dimensions import VIDEOALIGN, DimensionSet
from formats.files import sha256_of
from formats.labels import Label
from formats.records import PreferenceRecord, VideoRef
from models_rm.networks.prompts import RatingTemplate

VOCABULARY: Final = 32_000
# The released rating text has 4,300 characters; a dimension's lines are said so often here.
REPEATS: Final = 4
SPECIAL: Final = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
TEXT: Final = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
VISION: Final = {
    "depth": 4, "embed_dim": 256, "hidden_size": 256, "num_heads": 8, "mlp_ratio": 4,
    "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
SECTIONS: Final = [8, 12, 12]


@dataclass(frozen=True, slots=True)
class Materials:
    """Where the six clips lie, and the three pairs of them."""

    videos: Path
    records: tuple[PreferenceRecord, ...]


def dimensions() -> DimensionSet:
    """VideoAlign's three, with lines as long as those of the released text."""
    longer = [replace(each, guideline=each.guideline * REPEATS) for each in VIDEOALIGN.dimensions]
    return replace(VIDEOALIGN, dimensions=tuple(longer))


def materials(shared: Path) -> Materials:
    """The three pairs of the released example; the file says each of them four times."""
    folder = shared / "data" / "videoalign"
    with (folder / "example.csv").open(newline="") as lines:
        rows = {row["path_A"]: row for row in csv.DictReader(lines)}
    records = [_record(folder, number, row) for number, row in enumerate(rows.values())]
    return Materials(folder, tuple(records))


def _record(folder: Path, number: int, row: dict[str, str]) -> PreferenceRecord:
    a, b = _video(folder, row, "A"), _video(folder, row, "B")
    words = {"A": Label.A, "B": Label.B, "same": Label.TIE}
    labels = {key: words[row[key]] for key in VIDEOALIGN.keys}
    return PreferenceRecord(f"p{number}", row["prompt"], "train", a, b, labels)


def _video(folder: Path, row: dict[str, str], side: str) -> VideoRef:
    path = row[f"path_{side}"].removeprefix("./")
    rate, frames = float(row[f"fps_{side}"]), int(float(row[f"num_frames_{side}"]))
    return VideoRef(Path(path).stem, path, sha256_of(folder / path), rate, frames)


def corpus(shared: Path) -> list[str]:
    """The texts of the shared suites: enough for 32,000 words of a byte-level tokenizer."""
    folder = shared / "data" / "videoalign"
    names = ("TA_hard.csv", "vbench.csv", "videogen_eval.csv")
    return [line for name in names for line in (folder / name).read_text().splitlines()]


def make_backbone(folder: Path, shared: Path) -> None:
    """Write backbone and tokenizer as `AutoModel...from_pretrained` reads them."""
    words = tiny_tokenizer(corpus(shared), vocabulary=VOCABULARY - 14)
    words.save_pretrained(folder)
    ids = {key: words.convert_tokens_to_ids(token) for key, token in SPECIAL.items()}
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": SECTIONS}
    text = {
        **TEXT, "vocab_size": VOCABULARY, "rope_parameters": rope, "bos_token_id": None,
        "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id,
    }  # fmt: skip
    torch.manual_seed(0)
    config = Qwen2VLConfig(text_config=text, vision_config=VISION, tie_word_embeddings=False, **ids)
    Qwen2VLForConditionalGeneration(config).float().save_pretrained(folder)


def tokenizer_of(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def make_small_backbone(folder: Path, prompts: Iterable[str]) -> None:
    """The size that the demo trains, with a tokenizer that knows the words of the demo world."""
    template = RatingTemplate.of(VIDEOALIGN, "brief")
    words = tiny_tokenizer([template.text(prompt) for prompt in prompts])
    words.save_pretrained(folder)
    tiny_vlm("qwen2_vl", words).save_pretrained(folder)
