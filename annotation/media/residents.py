"""Clips and pictures that are here already, by id or by content: what an import need not bring."""

from collections.abc import Iterator
from typing import Final

from annotation.media.keeping import KeptClip, kept_clip
from annotation.models import Prompt, ReferenceImage, Video

_BATCH: Final = 500


def here_by_id(ids: set[str]) -> dict[str, Video]:
    """The clips with these ids, with their prompts; none that is withdrawn."""
    found: dict[str, Video] = {}
    for some in _batches(ids):
        rows = Video.objects.filter(pk__in=some, withdrawn=False).select_related("prompt")
        found |= {str(video.pk): video for video in rows}
    return found


def here_by_content(digests: set[str]) -> dict[str, KeptClip]:
    """By sha256: all rows of one content share their file, and what was measured."""
    found: dict[str, KeptClip] = {}
    for some in _batches(digests):
        rows = Video.objects.filter(sha256__in=some, withdrawn=False).order_by("phash", "pk")
        found |= {row.sha256: kept_clip(row) for row in rows}  # one that was looked at goes last
    return found


def prompts_here(digests: set[str]) -> dict[str, Prompt]:
    found: dict[str, Prompt] = {}
    for some in _batches(digests):
        found |= {row.sha256: row for row in Prompt.objects.filter(sha256__in=some)}
    return found


Answer = tuple[int, str, str, int | None]  # prompt, sha256, generator, seed


def answers_here(digests: set[str]) -> dict[Answer, Video]:
    """The rows of these contents, by all that tells one from another."""
    found: dict[Answer, Video] = {}
    for some in _batches(digests):
        for row in Video.objects.filter(sha256__in=some).select_related("generator"):
            generator = row.generator.name if row.generator else ""
            found[row.prompt_id, row.sha256, generator, row.seed] = row
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
