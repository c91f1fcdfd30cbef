"""Clips of two sides on the same prompts and seeds, and how they differ beside what they show."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotation.retests import BlindPair
from formats.errors import FormatError
from formats.records import GenerationRecord
from pipelines.evaluation import Key, key_of
from pipelines.generations import read_generations


@dataclass(frozen=True, slots=True)
class Match:
    """The clips of both sides on one prompt and seed."""

    key: Key
    base: GenerationRecord
    candidate: GenerationRecord

    @property
    def identical(self) -> bool:
        return self.base.video.sha256 == self.candidate.video.sha256


def by_key(path: Path) -> dict[Key, GenerationRecord]:
    """The clips of one side; FormatError where two have one prompt and seed."""
    found: dict[Key, GenerationRecord] = {}
    for clip in read_generations(path):
        if key_of(clip) in found:
            raise FormatError(
                f"two clips of one side have the prompt {clip.prompt[:60]!r} and the seed"
                f" {clip.video.seed}; a re-test needs one of each",
                path=path,
            )
        found[key_of(clip)] = clip
    return found


def matched(
    base: Mapping[Key, GenerationRecord],
    candidate: Mapping[Key, GenerationRecord],
    *,
    limit: int = 0,
) -> tuple[list[Match], int]:
    """What both made, one of each prompt first, then further seeds; and how many clips are alone.

    FormatError where nothing is shared.
    """
    shared = set(base) & set(candidate)
    if not shared:
        raise FormatError("the sides share no prompt and seed, so no pair can be made of them")
    rounds: dict[str, int] = {}
    placed = []
    for key in sorted(shared, key=_chance):
        rounds[key[0]] = rounds.get(key[0], -1) + 1
        placed.append((rounds[key[0]], _chance(key), key))
    chosen = [key for _, _, key in sorted(placed)][: limit or None]
    return [Match(key, base[key], candidate[key]) for key in chosen], len(
        set(base) ^ set(candidate)
    )


def _chance(key: Key) -> bytes:
    """Always the same order, and nobody chose it."""
    return hashlib.sha256(f"{key}".encode()).digest()


def differences(pairs: Sequence[BlindPair]) -> list[str]:
    """How the sides differ beside what they show, one sentence each."""
    told = []
    for name, words in (
        ("fps", "frame rate"), ("num_frames", "number of frames"), ("width", "width"),
        ("height", "height"),
    ):  # fmt: skip
        other = [
            each for each in pairs if getattr(each.base, name) != getattr(each.candidate, name)
        ]
        if other:
            values = [getattr(side, name) for side in (other[0].base, other[0].candidate)]
            told.append(
                f"in {len(other)} of {len(pairs)} pairs the clips differ in their {words},"
                f" such as {values[0]:g} and {values[1]:g}"
            )
    return told
