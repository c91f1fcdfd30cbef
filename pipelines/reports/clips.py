"""Pairs of clips of a report: base and candidate on one prompt and seed, played in step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User

from annotation.media.media_urls import image_url, poster_url, signed_url
from annotation.models import Video
from pipelines.reports.text import in_order

Videos = Mapping[tuple[str, int | None], Video]


@dataclass(frozen=True, slots=True)
class PairClip:
    """One side. `sha256` names its files in the store; `fps` and `frames` keep it in step."""

    url: str
    poster: str
    caption: str
    scores: str
    sha256: str
    fps: float
    frames: int


@dataclass(frozen=True, slots=True)
class SamplePair:
    """Base and candidate on the same prompt and seed."""

    prompt: str
    start: str  # address of the start image; empty for text-to-video
    start_sha256: str
    seed: int
    base: PairClip
    candidate: PairClip


def videos_of(evaluations: Iterable[Mapping[str, Any]]) -> Videos:
    """The rows of all clips that a report shows, in one query; withdrawn ones are not shown."""
    wanted = {
        sample[side]["sha256"]
        for evaluation in evaluations
        for sample in evaluation["samples"]
        for side in ("base", "candidate")
    }
    found = Video.objects.filter(sha256__in=wanted, withdrawn=False)
    found = found.select_related("prompt__image")
    return {(video.sha256, video.seed): video for video in found}


def pairs_of(
    evaluation: Mapping[str, Any], report: Mapping[str, Any], videos: Videos, user: User
) -> list[SamplePair]:
    found = (_pair(sample, report, videos, user) for sample in evaluation["samples"])
    return [pair for pair in found if pair is not None]


def _pair(
    sample: Mapping[str, Any], report: Mapping[str, Any], videos: Videos, user: User
) -> SamplePair | None:
    rows = {
        side: videos.get((sample[side]["sha256"], sample[side]["seed"]))
        for side in ("base", "candidate")
    }
    base, candidate = rows["base"], rows["candidate"]
    if base is None or candidate is None:
        return None  # Withdrawn since: nobody watches it again, also not here.
    image = base.prompt.image
    return SamplePair(
        prompt=sample["prompt"],
        start="" if image is None else image_url(image.pk, user),
        start_sha256="" if image is None else image.sha256,
        seed=sample["seed"],
        base=_clip(base, user, "base", sample, report),
        candidate=_clip(candidate, user, "candidate", sample, report),
    )


def _clip(
    video: Video, user: User, side: str, sample: Mapping[str, Any], report: Mapping[str, Any]
) -> PairClip:
    return PairClip(
        url=signed_url(video.pk, user),
        poster=poster_url(video.pk, user),
        caption=f"{side}: {sample['prompt']}",
        scores=_scores(sample[side]["scores"], report),
        sha256=video.sha256,
        fps=video.fps,
        frames=video.num_frames,
    )


def _scores(by_judge: Mapping[str, Mapping[str, float]], report: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{judge}: " + ", ".join(f"{key} {scores[key]:.2f}" for key in in_order(scores, report))
        for judge, scores in by_judge.items()
    )
