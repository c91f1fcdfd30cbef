"""Scores of a judge (a reward model, or the truth of the demo world) on a generation set."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.records import ScoreRecord
from pipelines.models import Artifact
from pipelines.step_configs import StepConfigError

FILE: Final = "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Reward:
    """The calibrated rewards of one clip per dimension, and their weighted mean."""

    values: dict[str, float]
    total: float


def read_scores(path: Path) -> list[ScoreRecord]:
    """The records of a score set, given its folder or its file."""
    return ScoreRecord.read(path / FILE if path.is_dir() else path)


def weighted_mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The total of one clip; a dimension that the weights name must be there."""
    used = weights or dict.fromkeys(values, 1.0)
    missing = sorted(set(used) - set(values))
    if missing:
        known = ", ".join(sorted(values)) or "none"
        raise StepConfigError(f"no score for dimension {missing[0]!r}; there are {known}")
    return sum(values[key] * weight for key, weight in used.items()) / sum(used.values())


def rewards_of(scores: Iterable[ScoreRecord], weights: Mapping[str, float]) -> dict[str, Reward]:
    """By clip. What could not be read has none.

    FormatError where a clip lacks a dimension that others have, or where a score is no number: a
    mean over what is there would compare different things.
    """
    rows = [row for row in scores if not row.error]
    keys = {key for row in rows for key in row.score}
    for row in rows:
        _check(row, keys)
    return {row.video_id: Reward(row.score, weighted_mean(row.score, weights)) for row in rows}


def _check(row: ScoreRecord, keys: set[str]) -> None:
    missing = sorted(keys - set(row.score))
    if missing:
        raise FormatError(
            f"clip {row.video_id!r} has no score for dimension {missing[0]!r}, which other clips "
            "of this score set have; score the whole set with one reward model"
        )
    for key, value in row.score.items():
        if not math.isfinite(value):
            raise FormatError(
                f"the score of clip {row.video_id!r} on {key} is {value}; expected a finite number"
            )


def refuse_two_scales(judge: str, base: Artifact, candidate: Artifact) -> None:
    """Scores of both sides must come from one judge and mean one scale, else StepConfigError.

    A score set says in its `meta` which reward model it is of, or the scale of an imported one.
    """
    sides = (base.meta, candidate.meta)
    for key, what in _SAME.items():
        said = [meta.get(key) for meta in sides]
        if said[0] != said[1] and None not in said:
            shown = " and ".join(_shown(each) for each in said)
            raise StepConfigError(
                f"judge {judge!r} scored base and candidate {what}: {shown}; "
                "score both sides alike, two scales are never compared"
            )
    if ("scale" in sides[0]) != ("scale" in sides[1]):
        raise StepConfigError(
            f"judge {judge!r}: the scores of one side were imported, those of the other were not;"
            " score both sides alike, two scales are never compared"
        )


_SAME: Final = {
    "judge": "under two names",
    "reward_model": "with two reward models",
    "scale": "on two scales",
}


def _shown(value: object) -> str:
    """A scale per dimension, or the start of a hash."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {low:g} to {high:g}" for key, (low, high) in value.items())
    return str(value)[:12]
