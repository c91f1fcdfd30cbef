"""Clips and pictures that are here already, by id or by content: what an import need not bring."""

from collections.abc import Iterator
from typing import Final

from annotation.models import ReferenceImage, Video

_BATCH: Final = 500


def here_by_id(ids: set[str]) -> dict[str, Video]:
    """The clips with these ids, with their prompts; none that is withdrawn."""
    found: dict[str, Video] = {}
    for some in _batches(ids):
        rows = Video.objects.filter(pk__in=some, withdrawn=False).select_related("prompt")
        found |= {str(video.pk): video for video in rows}
    return found


def here_by_content(digests: set[str]) -> dict[str, Video]:
    """One clip per sha256: all rows of one content share their file, and what was measured."""
    found: dict[str, Video] = {}
    for some in _batches(digests):
        rows = Video.objects.filter(sha256__in=some, withdrawn=False).order_by("phash", "pk")
        found |= {video.sha256: video for video in rows}  # one that was looked at goes last
    return found


def pictures_here(digests: set[str]) -> dict[str, ReferenceImage]:
    found: dict[str, ReferenceImage] = {}
    for some in _batches(digests):
        rows = ReferenceImage.objects.filter(sha256__in=some)
        found |= {image.sha256: image for image in rows}
    return found


def _batches(wanted: set[str]) -> Iterator[list[str]]:
    ordered = sorted(wanted - {""})
    for start in range(0, len(ordered), _BATCH):
        yield ordered[start : start + _BATCH]
