"""Clips that a guideline may show as examples: those on which everybody said the same."""

from dataclasses import dataclass
from typing import Final

from annotation.models import Campaign, Consensus, Triplet, Video
from annotation.quality.gold import promotable
from formats.labels import Label

PAIRS: Final = 12  # at a time


@dataclass(frozen=True, slots=True)
class ExampleClip:
    """A clip, and the dimensions on which it won or lost against its neighbour."""

    video: Video
    prompt: str
    better: tuple[str, ...]
    worse: tuple[str, ...]


def clear_clips(campaign: Campaign) -> list[ExampleClip]:
    """Both clips of settled pairs with a winner; a pair that became gold is not among them."""
    rows = promotable(campaign).select_related("prompt", "video_a", "video_b")
    triplets = list(rows[:PAIRS])
    won: dict[tuple[int, str], list[str]] = {}
    settled = Consensus.objects.filter(triplet__in=triplets, label__in=(Label.A, Label.B))
    for row in settled.select_related("dimension").order_by("dimension__position"):
        won.setdefault((row.triplet_id, str(row.label)), []).append(row.dimension.key)
    of_a, of_b = (Label.A, Label.B), (Label.B, Label.A)
    return [
        _clip(triplet, video, won, side)
        for triplet in triplets
        for video, side in ((triplet.video_a, of_a), (triplet.video_b, of_b))
        if video is not None
    ]


def _clip(
    triplet: Triplet,
    video: Video,
    won: dict[tuple[int, str], list[str]],
    side: tuple[Label, Label],
) -> ExampleClip:
    better, worse = (tuple(won.get((triplet.pk, label.value), ())) for label in side)
    return ExampleClip(video, triplet.prompt.text, better, worse)
