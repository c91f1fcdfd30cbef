"""From the scores of a reward model to the pairs that people should judge next.

The rules are `annotation.doubting`; here the scores are read, their clips found among the rows, and
theta taken from the reward model that gave them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from annotation.designs import Proposal, Wish, propose_doubtful
from annotation.doubting import ClipBeliefs, foreseen
from annotation.errors import AnnotationError
from annotation.models import Campaign, Video
from formats.outcome import OutputKind
from formats.records import ScoreRecord
from pipelines.errors import PipelineError
from pipelines.generations import read_generations, with_rows
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.scoring import read_scores

_AT_ONCE: Final = 500  # clips of one SQL statement


@dataclass(frozen=True, slots=True)
class Doubt:
    """One dimension of a pair: the difference of the rewards, how sure it is, what is expected."""

    key: str
    difference: float
    deviation: float
    chances: tuple[float, float, float]  # of A, tie, B


@dataclass(frozen=True, slots=True)
class DoubtfulPair:
    """A pair as the model saw it before any of the plan was asked; `gain` in nats."""

    prompt: str
    a: Video
    b: Video
    gain: float
    doubts: tuple[Doubt, ...]


def propose_from_scores(campaign: Campaign, scores: Artifact, wish: Wish) -> Proposal:
    """Pairs of the scored clips of which a vote tells the reward model most.

    PipelineError where the scores do not say how sure the model is, judge none of the campaign's
    dimensions, or belong to clips that nobody can see.
    """
    try:
        return propose_doubtful(campaign, wish, beliefs_from(campaign, scores))
    except AnnotationError as error:
        raise PipelineError(error.message) from error


def first_of(
    proposal: Proposal, campaign: Campaign, scores: Artifact, limit: int
) -> list[DoubtfulPair]:
    """The first pairs of a plan, to look at."""
    beliefs = beliefs_from(campaign, scores)
    picks = proposal.picks[:limit]
    wanted = {each.clip for pick in picks for each in pick}
    videos = {
        str(video.pk): video
        for video in Video.objects.filter(pk__in=wanted).select_related("prompt", "generator")
    }
    clips = [(pick[0].clip, pick[1].clip) for pick in picks]
    gains: list[float] = beliefs.gains(clips).tolist() if clips else []
    return [
        DoubtfulPair(videos[a].prompt.text, videos[a], videos[b], gain, _doubts(beliefs, a, b))
        for (a, b), gain in zip(clips, gains, strict=True)
    ]


def _doubts(beliefs: ClipBeliefs, a: str, b: str) -> tuple[Doubt, ...]:
    one, other = beliefs.place[a], beliefs.place[b]
    difference = beliefs.mean[one] - beliefs.mean[other]
    variance = beliefs.variance[one] + beliefs.variance[other]
    return tuple(
        Doubt(key, gap, math.sqrt(spread), foreseen(gap, spread, theta))
        for key, gap, spread, theta in zip(
            beliefs.keys, difference.tolist(), variance.tolist(), beliefs.theta.tolist(),
            strict=True,
        )
    )  # fmt: skip


def beliefs_from(campaign: Campaign, scores: Artifact) -> ClipBeliefs:
    """What the model of a score set thinks of its clips, on the dimensions of the campaign."""
    if scores.kind != OutputKind.SCORES:
        raise PipelineError(f"artifact {scores.pk} is {scores.kind}, not scores")
    records = [record for record in read_scores(path_of(scores)) if not record.error]
    model = _input(scores, "reward_model").meta
    theta = model.get("theta", {})
    calibration = model.get("calibration", model)  # a composed model has it at the top
    heat = calibration.get("temperature", {})
    keys = _known(campaign, records, theta)
    found = _by_row(scores, records)
    if not found:
        raise PipelineError(f"none of the clips of scores {scores.pk} is registered here")
    return ClipBeliefs.of(
        list(found),
        _matrix([record.raw for record in found.values()], keys, heat),
        _matrix([record.std for record in found.values()], keys, heat),
        [float(theta[key]) for key in keys],
        keys,
    )


def _known(
    campaign: Campaign, records: Sequence[ScoreRecord], theta: Mapping[str, float]
) -> list[str]:
    """The dimensions of the campaign on which each score says how sure it is."""
    wanted = campaign.dimension_set.to_format().keys
    judged = [key for key in wanted if key in theta]
    if not judged:
        raise PipelineError(
            f"the reward model judges {', '.join(theta) or 'no known dimension'}; "
            f"the campaign asks for {', '.join(wanted)}"
        )
    sure = [key for key in judged if records and all(key in record.std for record in records)]
    if not sure:
        raise PipelineError(
            "these scores do not say how sure the reward model is; train one with "
            '"uncertainty": true and score again'
        )
    return sure


def _by_row(scores: Artifact, records: Sequence[ScoreRecord]) -> dict[str, ScoreRecord]:
    """Scores by the primary key of the clip that people would see."""
    generations = read_generations(path_of(_input(scores, "generations")))
    by_clip = {(record.video_id, record.prompt): record for record in records}
    found = {}
    for start in range(0, len(generations), _AT_ONCE):
        for shown in with_rows(generations[start : start + _AT_ONCE]):
            key = (shown.record.video.id, shown.record.prompt)
            if key in by_clip:
                found[str(shown.video.pk)] = by_clip[key]
    return found


def _input(scores: Artifact, role: str) -> Artifact:
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
