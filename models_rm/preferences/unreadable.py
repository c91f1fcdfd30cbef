"""Clips that cannot be read: found before the first step, reported, and their pairs left out.

Which clips these are depends on the files alone, so every process of a run and every resumed run
finds the same ones, and the order of training stays a pure function of the seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.errors import FormatError
from formats.files import write_jsonl
from formats.records import PreferenceRecord, VideoRef
from models_rm.errors import ClipUnreadableError
from models_rm.preferences.data import Clips

REPORT: Final = "unreadable.jsonl"
SCHEMA: Final = "unreadable_clips/1"


@dataclass(frozen=True, slots=True)
class Readable:
    """The records that a run works on, and what it had to leave out."""

    records: tuple[PreferenceRecord, ...]
    clips_lost: int
    pairs_lost: int
    first_error: str = ""

    def counts(self) -> dict[str, int]:
        return {"clips": self.clips_lost, "pairs": self.pairs_lost}


def readable(
    records: Sequence[PreferenceRecord],
    clips: Clips,
    *,
    report: Path | None,
    say: Callable[[int, int], None] = lambda _done, _total: None,
    rank: int = 0,
    world: int = 1,
) -> Readable:
    """Decode every clip of the records once into the cache and leave out what cannot be read.

    `report` gets one line per unreadable clip; None writes none (all processes but the first).
    Each process begins at another place, so that together they decode each clip about once. `say`
    is called with (clips looked at, all clips). FormatError where no clip can be read at all.
    """
    videos = {video.path: video for each in records for video in _videos(each)}
    images = {video.path: each.image for each in records for video in _videos(each)}
    names = sorted(videos)
    begin = rank * len(names) // world
    errors: dict[str, str] = {}
    for done, name in enumerate(names[begin:] + names[:begin], start=1):
        try:
            clips.decode(videos[name], images[name])
        except ClipUnreadableError as error:
            errors[name] = error.message
        say(done, len(names))
    if names and len(errors) == len(names):
        first = min(errors)
        raise FormatError(
            f"none of the {len(names)} clips can be read: {errors[first]}", path=first
        )
    kept = [each for each in records if not any(v.path in errors for v in _videos(each))]
    if report is not None:
        _write(report, records, videos, errors)
    first = next((f"{name}: {errors[name]}" for name in sorted(errors)), "")
    return Readable(tuple(kept), len(errors), len(records) - len(kept), first)


def _videos(record: PreferenceRecord) -> list[VideoRef]:
    return [record.video_a] + ([record.video_b] if record.video_b else [])


def _write(
    report: Path,
    records: Sequence[PreferenceRecord],
    videos: dict[str, VideoRef],
    errors: dict[str, str],
) -> None:
    rows = [
        {
            "video": videos[name].id,
            "path": name,
            "error": error,
            "pairs": [each.pair_id for each in records if name in {v.path for v in _videos(each)}],
        }
        for name, error in sorted(errors.items())
    ]
    write_jsonl(report, SCHEMA, rows)
