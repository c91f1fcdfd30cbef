"""Clips of a score set as people see them: rows of the store beside what the reward model says."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from annotation.models import Video
from formats.outcome import OutputKind
from formats.records import GenerationRecord, ScoreRecord
from pipelines.errors import PipelineError
from pipelines.generations import read_generations
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.scoring import read_scores

Floats = NDArray[np.float64]
_AT_ONCE: Final = 500  # clips of one SQL statement


@dataclass(frozen=True, slots=True)
class ScoredClips:
    """What a reward model thinks of clips, on the scale on which rewards meet theta.

    `split` is that of the prompt in the snapshot or suite that the clips came from.
    """

    keys: tuple[str, ...]
    theta: Floats  # [dimensions]
    place: Mapping[str, int]  # of a clip, by the primary key of its row
    mean: Floats  # [clips, dimensions]
    deviation: Floats  # the same; NaN on a dimension where the model does not say how sure it is
    split: Sequence[str]  # by place

    @property
    def sure(self) -> tuple[str, ...]:
        """The dimensions on which the model says how sure it is."""
        columns = zip(self.keys, self.deviation.T, strict=True)
        return tuple(key for key, column in columns if bool(np.isfinite(column).all()))


def scored_clips(scores: Artifact, wanted: Sequence[str]) -> ScoredClips:
    """The clips of a score set that people can see, on those of these dimensions that are judged.

    PipelineError where no dimension, or no clip, is left.
    """
    theta, heat = _scale_of(scores)
    keys = _judged(wanted, theta)
    records = [record for record in read_scores(path_of(scores)) if not record.error]
    found = list(_rows_of(scores, records))
    if not found:
        raise PipelineError(f"none of the clips of scores {scores.pk} is registered here")
    nothing = dict.fromkeys(keys, math.nan)
    return ScoredClips(
        keys=keys,
        theta=np.array([theta[key] for key in keys], dtype=np.float64),
        place={pk: n for n, (pk, _, _) in enumerate(found)},
        mean=_matrix([record.raw for _, record, _ in found], keys, heat),
        deviation=_matrix([{**nothing, **record.std} for _, record, _ in found], keys, heat),
        split=[split for _, _, split in found],
    )


def _scale_of(scores: Artifact) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Theta and temperature of the reward model that gave the scores, by dimension."""
    if scores.kind != OutputKind.SCORES:
        raise PipelineError(f"artifact {scores.pk} is {scores.kind}, not scores")
    model = _input_of(scores, "reward_model").meta
    calibration = model.get("calibration", model)  # a composed model has it at the top
    return model.get("theta", {}), calibration.get("temperature", {})


def _judged(wanted: Sequence[str], theta: Mapping[str, float]) -> tuple[str, ...]:
    """Those of the wanted dimensions that the reward model judges."""
    judged = tuple(key for key in wanted if key in theta)
    if not judged:
        raise PipelineError(
            f"the reward model judges {', '.join(theta) or 'no known dimension'}; "
            f"the campaign asks for {', '.join(wanted)}"
        )
    return judged


def _rows_of(
    scores: Artifact, records: Sequence[ScoreRecord]
) -> Iterator[tuple[str, ScoreRecord, str]]:
    """The primary key of each clip that people would see, its score, the split of its prompt.

    A clip that two rows hold, because two prompts or two generators brought it, is each of them.
    """
    generations = read_generations(path_of(_input_of(scores, "generations")))
    by_clip = {(record.video_id, record.prompt): record for record in records}
    for start in range(0, len(generations), _AT_ONCE):
        for pk, generation in _stored(generations[start : start + _AT_ONCE]):
            record = by_clip.get((generation.video.id, generation.prompt))
            if record is not None:
                yield pk, record, generation.split


def _stored(generations: Sequence[GenerationRecord]) -> Iterator[tuple[str, GenerationRecord]]:
    rows = Video.objects.filter(
        sha256__in={each.video.sha256 for each in generations}, withdrawn=False
    ).values_list("pk", "prompt__text", "sha256", "seed")
    by_content: dict[tuple[str, str, int | None], list[str]] = defaultdict(list)
    for pk, prompt, sha256, seed in rows:
        by_content[prompt, sha256, seed].append(str(pk))
    for each in generations:
        content = (each.prompt, each.video.sha256, each.video.seed)
        for found in by_content.pop(content, []):
            yield found, each


def _input_of(scores: Artifact, role: str) -> Artifact:
    row = scores.run.inputs.filter(role=role).select_related("artifact").first()
    if row is None or row.artifact is None:
        raise PipelineError(f"scores {scores.pk} do not say which {role} they came from")
    return row.artifact


def _matrix(
    rows: Sequence[Mapping[str, float]], keys: Sequence[str], heat: Mapping[str, float]
) -> Any:  # [clips, D]
    """On the scale on which rewards meet theta."""
    found = np.array([[row[key] for key in keys] for row in rows], dtype=np.float64)
    return found / [heat.get(key, 1.0) for key in keys]
