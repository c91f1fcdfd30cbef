"""From the scores of a reward model to the pairs that people should judge next.

The rules are `annotation.doubting`; here the scores are read, their clips found among the rows, and
theta taken from the reward model that gave them.
"""

import math
from dataclasses import dataclass

from annotation.designs import Proposal, Wish, propose_doubtful
from annotation.doubting import ClipBeliefs, foreseen
from annotation.errors import AnnotationError
from annotation.models import Campaign, Video
from pipelines.errors import PipelineError
from pipelines.models import Artifact
from pipelines.scored_clips import scored_clips


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
    clips = scored_clips(scores, campaign.dimension_set.to_format().keys)
    if not clips.sure:
        raise PipelineError(
            "these scores do not say how sure the reward model is; train one with "
            '"uncertainty": true and score again'
        )
    kept = [clips.keys.index(key) for key in clips.sure]
    return ClipBeliefs.of(
        list(clips.place),
        clips.mean[:, kept],
        clips.deviation[:, kept],
        clips.theta[kept].tolist(),
        clips.sure,
    )
