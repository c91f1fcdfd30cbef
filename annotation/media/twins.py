"""Clips that are the same, or look the same: what a lead should know before people compare them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from annotation.media import looks
from annotation.models import Video

_MOST: Final = 500  # pairs in a report; a person reads fewer


@dataclass(frozen=True, slots=True)
class Twin:
    """Two clips that look the same: a file of the import and another one, or one that is here."""

    file: str
    other: str
    bits: int  # of the perceptual hash that differ
    same_prompt: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Seen:
    """A clip as it is compared. `file` is its name for people, `sha256` its content."""

    file: str
    sha256: str
    phash: str
    prompt: str  # anything that is equal for equal prompts


def same_bytes(clips: Iterable[Seen]) -> list[list[str]]:
    """Groups of files with equal content, in order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for each in clips:
        groups[each.sha256].append(each.file)
    return [names for names in groups.values() if len(names) > 1]


def look_alike(clips: Sequence[Seen]) -> list[Twin]:
    """Pairs among these, and between these and the clips that are here, which are not one file."""
    new = [each for each in {each.sha256: each for each in clips}.values() if each.phash]
    old = _stored({each.sha256 for each in new})
    hashes = [each.phash for each in new]
    within = [(new[a], new[b], bits) for a, b, bits in looks.alike(hashes, hashes) if a < b]
    across = [
        (new[a], old[b], bits) for a, b, bits in looks.alike(hashes, [each.phash for each in old])
    ]
    found = [
        Twin(one.file, other.file, bits, one.prompt == other.prompt)
        for one, other, bits in (*within, *across)
    ]
    return sorted(found, key=lambda twin: (not twin.same_prompt, twin.bits, twin.file))[:_MOST]


def _stored(but: set[str]) -> list[Seen]:
    """Every clip that is here with other content, once per content."""
    rows = Video.objects.exclude(phash="").values_list(
        "sha256", "phash", "prompt__sha256", "original_path", "id"
    )
    found: dict[str, Seen] = {}
    for sha256, phash, prompt, path, row_id in rows.iterator(chunk_size=5000):
        if sha256 not in but:
            found[sha256] = Seen(path or f"clip {row_id}", sha256, phash, prompt)
    return list(found.values())
