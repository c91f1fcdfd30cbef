"""What each format of a snapshot can hold. One table for who writes, who reads and who asks.

A trip through a format keeps what the format holds and nothing else: the export says beforehand
what stays behind, the round-trip tests compare exactly what both ends hold, and the table in
docs/exporting.md is made of these rows.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """A part of a preference record; the value is how a page calls it."""

    DECIDED = "labels A and B"
    TIES = "ties"
    INVALID = "invalid labels"
    UNDECIDED = "where people split"
    POSTERIOR = "posteriors"
    SCORES = "1-5 scores"
    COUNT = "number of votes"
    JUDGEMENTS = "single judgements"
    PAIR_ID = "pair ids"
    SPLIT = "split"
    CONTENT = "sha256 of the clips"
    RATE = "frame rate and count"
    GENERATOR = "generators"
    SEED = "seeds"
    IMAGE = "start images"
    ALONE = "clips scored alone"
    BYTES = "the imported file to the byte"


_LABELS: Final = frozenset({Part.DECIDED, Part.TIES, Part.INVALID})
_ALL: Final = frozenset(Part) - {Part.BYTES}

HOLDS: Final[Mapping[str, frozenset[Part]]] = {
    "videoalign": _LABELS | {Part.SCORES, Part.PAIR_ID, Part.RATE, Part.ALONE, Part.BYTES},
    "rewardbench": _LABELS
    | {Part.SCORES, Part.PAIR_ID, Part.RATE, Part.GENERATOR, Part.ALONE, Part.BYTES},
    "parquet": _ALL - {Part.JUDGEMENTS},
    "hf": _ALL - {Part.JUDGEMENTS},
    "trl": frozenset({Part.DECIDED, Part.TIES, Part.PAIR_ID, Part.SPLIT}),
    "labelstudio": _LABELS | {Part.UNDECIDED, Part.PAIR_ID, Part.SPLIT},
    "votes": _LABELS
    | {Part.UNDECIDED, Part.COUNT, Part.JUDGEMENTS, Part.POSTERIOR, Part.PAIR_ID, Part.CONTENT},
}


def lost(name: str) -> tuple[Part, ...]:
    """What a snapshot leaves behind when it goes out in this format."""
    return tuple(part for part in Part if part not in HOLDS[name] and part is not Part.BYTES)
