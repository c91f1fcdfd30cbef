"""What a reference clip and prompt become on their way into a backbone, as hashes.

Stored with a reward model and computed again when it is loaded. A newer library that cuts patches,
splits words or counts positions in another way would change every reward without a word: with
`transformers` 4.45 VideoReward got flat positions, later versions give it others (ML.md 1.4, 15).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from models_rm.backbones.adapter import Row
from models_rm.clips.start_images import StartImage, with_start
from models_rm.clips.video import Clip, FrameRule, clip_of_array, resized, smart_resize
from models_rm.errors import FingerprintError
from models_rm.networks.collator import Collator
from models_rm.networks.network import RewardNetwork
from models_rm.networks.patches import normalised
from models_rm.networks.prompts import RatingTemplate

FRAMES: Final = 6
PROMPT: Final = "Ein roter Fuchs läuft 3 steps across snow; 他停下来. <|video_pad|> fin"
# Mean grey levels of the resized picture may differ by this much: resizing bytes is exact to one
# level on every machine, and not to the last bit.
TOLERANCE: Final = 1.0

_MEANING: Final = {
    "tokens": "the words that text and clip become",
    "positions": "the positions of these words",
    "patches": "the patches that the clip becomes",
    "resized": "the frames after resizing",
}


def fingerprint(
    network: RewardNetwork, tokenizer: Any, template: RatingTemplate, rule: FrameRule
) -> dict[str, Any]:
    """{tokens, positions, patches: sha256; resized: mean grey levels}, made on the CPU."""
    batch = Collator(tokenizer, network.family, template)([_clip(rule)], [PROMPT])
    row = Row(
        batch.input_ids[0],
        batch.mm_token_type_ids[0],
        batch.video_grid_thw[0],
        batch.seconds_per_grid[0],
    )
    return {
        "tokens": _sha256(batch.input_ids, batch.reward_positions),
        "positions": _sha256(network.positions_of(row)),
        "patches": _sha256(normalised(batch.pixel_values_videos, network.family)),
        "resized": _levels(rule),
    }


def check_fingerprint(saved: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> None:
    """FingerprintError that says what became different. Never to be overridden: it is a proof."""
    for name, meaning in _MEANING.items():
        if name in saved and not _equal(saved[name], here[name]):
            raise FingerprintError(
                f"{meaning} differ from those that the reward model was made with ({name} of the "
                "reference clip), so its rewards would too",
                path=path,
            )


def _clip(rule: FrameRule) -> Clip:
    """Noise that is the same everywhere, in a size that needs no resizing."""
    height, width = smart_resize(240, 320, rule)
    index = np.arange(FRAMES * height * width * 3, dtype=np.uint64)
    # Knuth's multiplicative hash: numpy's generators may change, arithmetic does not.
    noise = (index * np.uint64(2654435761) >> np.uint64(13)) & np.uint64(255)
    frames = noise.astype(np.uint8).reshape(FRAMES, height, width, 3)
    # Upside down, so that it is none of the frames.
    return with_start(clip_of_array(frames, rule), StartImage(frames[0, ::-1]), rule)


def _levels(rule: FrameRule) -> list[float]:
    """Grey levels of 16 tiles of a picture that the rule resizes."""
    y, x = np.mgrid[0:270, 0:350]
    waves = np.sin(y / 9.0) * np.cos(x / 7.0) + np.sin((x + 2 * y) / 90.0)
    picture = np.rint(127.5 + 63.0 * waves).astype(np.uint8)
    frames = torch.from_numpy(picture)[None, None].repeat(1, 3, 1, 1)
    small = torch.nn.functional.adaptive_avg_pool2d(resized(frames, rule).float(), 4)
    return [round(level, 1) for level in small[0, 0].flatten().tolist()]


def _sha256(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        exact = tensor.detach().cpu().contiguous()
        whole = not exact.is_floating_point()
        array = exact.numpy().astype("<i8" if whole else "<f4")
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()


def _equal(saved: Any, here: Any) -> bool:
    if isinstance(saved, list):
        return len(saved) == len(here) and bool(
            (np.abs(np.subtract(saved, here)) <= TOLERANCE).all()
        )
    return bool(saved == here)
