"""Clips of the base and of every member for the same prompts and seeds, for the eye."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.models import Video
from pipelines.comparisons.figures import judged_alike
from pipelines.contests import BASE
from pipelines.models import Run
from pipelines.run_pages import Clip, playable

_SHOWN: Final = 4  # prompts: the page of each evaluation's report has more

Key = tuple[str, int]  # prompt, seed


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One prompt and seed: the base's clip first, then each member's that is there."""

    prompt: str
    seed: int
    clips: list[tuple[str, Clip]]


def samples_of(runs: Sequence[Run], user: User) -> list[SampleRow]:
    """What the evaluations kept, picked by the hash of prompt and seed, not by how it looks."""
    judged, _ = judged_alike(runs)
    names = {run.pk: run.name or f"run {run.pk}" for run in runs if run.pk in judged}
    by_key: dict[Key, dict[str, Mapping[str, Any]]] = {}
    for pk, name in names.items():
        for sample in judged[pk].body.get("samples", ()):
            sides = by_key.setdefault((sample["prompt"], sample["seed"]), {BASE: sample[BASE]})
            sides[name] = sample["candidate"]
    rows = _videos(side for sides in by_key.values() for side in sides.values())
    return [_row(key, sides, rows, user) for key, sides in list(by_key.items())[:_SHOWN]]


def _videos(sides: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int | None], Video]:
    found = Video.objects.filter(sha256__in={each["sha256"] for each in sides}, withdrawn=False)
    return {(video.sha256, video.seed): video for video in found}


def _row(
    key: Key,
    sides: Mapping[str, Mapping[str, Any]],
    videos: Mapping[tuple[str, int | None], Video],
    user: User,
) -> SampleRow:
    clips = [
        (name, playable(video, user, f"{name}: {key[0]}"))
        for name, side in sides.items()
        if (video := videos.get((side["sha256"], side["seed"]))) is not None
    ]
    return SampleRow(*key, clips)
