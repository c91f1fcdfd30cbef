"""From the scores of a reward model to the pairs that people should judge next.

The rules are `annotation.statistics.doubting`; here the scores are read, their clips found among
the rows, and theta taken from the reward model that gave them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.designs import Proposal, Wish, propose_doubtful
from annotation.errors import AnnotationError
from annotation.models import Campaign, Video
from annotation.statistics.committee import FEWEST, Committee
from annotation.statistics.doubting import ClipBeliefs, foreseen
from formats.outcome import OutputKind
from pipelines.disagreement.scored_clips import Floats, ScoredClips, scored_clips
from pipelines.errors import PipelineError
from pipelines.models import Artifact, RunInput


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


def propose_from_scores(
    campaign: Campaign, scores: Artifact, wish: Wish, further: Sequence[Artifact] = ()
) -> Proposal:
    """Pairs of the scored clips of which a vote tells the reward model most.

    `further`: scores of the same clips by other models, with which they are a committee.
    PipelineError where the scores do not say how sure the model is, judge none of the campaign's
    dimensions, or belong to clips that nobody can see.
    """
    try:
        return propose_doubtful(campaign, wish, beliefs_of(campaign, scores, further))
    except AnnotationError as error:
        raise PipelineError(error.message) from error


def first_of(
    proposal: Proposal, beliefs: ClipBeliefs | Committee, limit: int
) -> list[DoubtfulPair]:
    """The first pairs of a plan, to look at."""
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


def _doubts(beliefs: ClipBeliefs | Committee, a: str, b: str) -> tuple[Doubt, ...]:
    difference, variance = beliefs.difference(a, b)
    return tuple(
        Doubt(key, gap, math.sqrt(spread), foreseen(gap, spread, theta))
        for key, gap, spread, theta in zip(
            beliefs.keys, difference.tolist(), variance.tolist(), beliefs.theta.tolist(),
            strict=True,
        )
    )  # fmt: skip


def beliefs_of(
    campaign: Campaign, scores: Artifact, further: Sequence[Artifact] = ()
) -> ClipBeliefs | Committee:
    """What one model thinks of its clips, or what it thinks together with others."""
    return (
        committee_from(campaign, (scores, *further)) if further else beliefs_from(campaign, scores)
    )


def committee_from(campaign: Campaign, members: Sequence[Artifact]) -> Committee:
    """Several score sets of the same clips, on what all of them judge; how sure each of them says
    it is does not matter: they are compared with one another."""
    if len({each.pk for each in members}) < max(FEWEST, len(members)):
        raise PipelineError(
            f"a committee has at least {FEWEST} score sets of different reward models,"
            f" got {len({each.pk for each in members})}"
        )
    wanted = campaign.dimension_set.to_format().keys
    sets = [scored_clips(each, wanted) for each in members]
    keys = tuple(key for key in sets[0].keys if all(key in each.keys for each in sets))
    clips = [pk for pk in sets[0].place if all(pk in each.place for each in sets)]
    if not keys or not clips:
        raise PipelineError(
            "these score sets have no dimension, or no clip, in common; score the same clips"
        )
    return Committee.of(clips, np.stack([_part(each, clips, keys) for each in sets]),
                        _thetas(sets, keys), keys)  # fmt: skip


def companions(scores: Artifact) -> list[Artifact]:
    """Score sets of the same clips by other reward models, newest first."""
    clips = scores.run.inputs.filter(role="generations").values("artifact")
    same = RunInput.objects.filter(role="generations", artifact__in=clips)
    rows = Artifact.objects.filter(
        kind=OutputKind.SCORES, run__in=same.values("run"), meta__has_key="reward_model"
    )
    return list(rows.exclude(pk=scores.pk).select_related("run").order_by("-pk"))


def _part(scores: ScoredClips, clips: Sequence[str], keys: Sequence[str]) -> Floats:
    rows = [scores.place[pk] for pk in clips]
    found: Floats = scores.mean[rows][:, [scores.keys.index(key) for key in keys]]
    return found


def _thetas(sets: Sequence[ScoredClips], keys: Sequence[str]) -> list[float]:
    """The mean of the members'; models trained alike have the same."""
    return [float(np.mean([each.theta[each.keys.index(key)] for each in sets])) for key in keys]


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
