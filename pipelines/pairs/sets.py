"""A stored set of pairs, read for people: which part of it is asked for, and the clips to play."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.media.keeping import image_url, poster_url, signed_url
from annotation.models import ReferenceImage, Video
from formats.records import ImageRef, PairRecord, VideoRef
from pipelines.models import Artifact
from pipelines.pairs.files import read_refusals
from pipelines.pairs.rules import Refusal
from pipelines.registry import path_of
from pipelines.rewards.maps import RewardMap

EVERYTHING: Final = "all"
# Which pairs: what each word keeps.
PARTS: Final[dict[str, Callable[[PairRecord], bool]]] = {
    EVERYTHING: lambda _pair: True,
    "people": lambda pair: pair.source == "votes",
    "rewards": lambda pair: pair.source == "rewards",
    "contradicted": lambda pair: pair.reward_w <= pair.reward_l,
}
ORDERS: Final[dict[str, Callable[[PairRecord], Any]]] = {
    "narrowest": lambda pair: (pair.gap, pair.pair_id),
    "widest": lambda pair: (-pair.gap, pair.pair_id),
    "stored": lambda _pair: 0,
}


@dataclass(frozen=True, slots=True)
class PairSet:
    """Sets of earlier versions have neither refusals nor a map."""

    pairs: list[PairRecord]
    refusals: list[Refusal]
    reward_map: RewardMap | None

    def part(self, name: str, order: str) -> list[PairRecord]:
        return sorted(filter(PARTS[name], self.pairs), key=ORDERS[order])

    def parts(self) -> dict[str, int]:
        """How many pairs there are of each part."""
        return {name: sum(map(keeps, self.pairs)) for name, keeps in PARTS.items()}

    def refused(self, reason: str) -> list[Refusal]:
        return [each for each in self.refusals if each.fault.reason == reason]


def read_set(artifact: Artifact) -> PairSet:
    """FormatError where its files are damaged or gone."""
    path = path_of(artifact)
    return PairSet(PairRecord.read(path), read_refusals(path), RewardMap.read(path))


@dataclass(frozen=True, slots=True)
class Playable:
    """Where one person may watch a clip, and see its first picture."""

    url: str
    poster: str


@dataclass(frozen=True, slots=True)
class Media:
    """Addresses for one person, by content: what looks the same may be shown for one another."""

    clips: dict[str, Playable]
    images: dict[str, str]

    def clip(self, video: VideoRef | None) -> Playable | None:
        """None for a clip that was withdrawn or is not in the store."""
        return None if video is None else self.clips.get(video.sha256)

    def url(self, video: VideoRef | None) -> str:
        found = self.clip(video)
        return "" if found is None else found.url

    def image(self, image: ImageRef | None) -> str:
        return "" if image is None else self.images.get(image.sha256, "")


def media_of(
    shown: Sequence[tuple[VideoRef | None, VideoRef | None, ImageRef | None]], user: User
) -> Media:
    """For the clips and start images of a page; a query each, none where there is nothing."""
    clips = {video.sha256 for one, other, _ in shown for video in (one, other) if video}
    images = {image.sha256 for _, _, image in shown if image is not None}
    rows = _videos(clips) if clips else ()
    by_content = ReferenceImage.objects.filter(sha256__in=images) if images else ()
    return Media(
        {row.sha256: Playable(signed_url(row.pk, user), poster_url(row.pk, user)) for row in rows},
        {row.sha256: image_url(row.pk, user) for row in by_content},
    )


def _videos(sha256s: set[str]) -> Iterable[Video]:
    return (
        Video.objects.filter(sha256__in=sha256s, withdrawn=False)
        .only("id", "sha256")
        .order_by("pk")
    )
