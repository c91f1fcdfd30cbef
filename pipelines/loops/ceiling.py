"""What a perfect judge would reach: the label-noise ceiling of the demo world. Pure functions.

People err, so even the true quality agrees with their consensus only so often. An accuracy is
reported as such and as the share above chance of that ceiling, (acc - 0.5) / (ceiling - 0.5).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_jsonl
from formats.labels import SIGN
from formats.records import PreferenceRecord

RECIPES: Final = "recipes/1"
Quality = Mapping[str, Mapping[str, float]]  # by the sha256 of a clip, per dimension


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Accuracy without ties of the true difference against the consensus, over `pairs` pairs."""

    accuracy: float
    pairs: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_quality(path: Path) -> dict[str, dict[str, float]]:
    """True quality by content, from the recipes of the world that made the clips."""
    quality = {}
    for line, row in read_jsonl(path, RECIPES):
        try:
            quality[row["sha256"]] = dict(row["quality"])
        except (KeyError, TypeError) as error:
            raise FormatError(f"not a recipe: {error} is missing", path=path, line=line) from error
    return quality


def ceilings(
    records: Iterable[PreferenceRecord], quality: Quality, keys: Iterable[str]
) -> dict[str, Ceiling]:
    """Per dimension, over the pairs whose consensus is decided and whose truth is known."""
    rows = list(records)
    found = {key: _ceiling(rows, quality, key) for key in keys}
    return {key: ceiling for key, ceiling in found.items() if ceiling is not None}


def _ceiling(rows: list[PreferenceRecord], quality: Quality, key: str) -> Ceiling | None:
    earned = []
    for row in rows:
        sign = SIGN.get(row.labels[key], 0) if key in row.labels else 0
        if sign == 0 or row.video_b is None:
            continue
        a, b = quality.get(row.video_a.sha256), quality.get(row.video_b.sha256)
        if a is None or b is None:
            continue
        difference = (a[key] - b[key]) * sign
        earned.append(0.5 if difference == 0 else float(difference > 0))
    return Ceiling(sum(earned) / len(earned), len(earned)) if earned else None


def share_above_chance(accuracy: float, ceiling: float) -> float | None:
    """How much of what can be known was learned; None where nothing can be."""
    return (accuracy - 0.5) / (ceiling - 0.5) if ceiling > 0.5 else None
