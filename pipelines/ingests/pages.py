"""What the page of a media import shows: each file with what became of it, the worst first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.models import User

from annotation.media.flashes import SAFE
from annotation.media.media_urls import poster_url
from formats.errors import FormatError
from formats.files import read_json
from formats.outcome import OutputKind
from pipelines.ingests.ingesting import INGEST
from pipelines.models import Run
from pipelines.registry import path_of

_SHOWN: Final = 200  # rows of each table; the JSON file has all
_BADGES: Final = {"refused": "badge-bad", "encoded": "badge-warn", "re-muxed": "badge-ok"}


@dataclass(frozen=True, slots=True)
class FileRow:
    file: str
    verdict: str
    badge: str
    what: str  # size, rate, length; or why it was refused
    notes: tuple[str, ...]
    poster: str


@dataclass(frozen=True, slots=True)
class IngestPage:
    artifact: int
    files: list[FileRow]
    hidden: int
    same_bytes: list[list[str]]
    alike: list[dict[str, Any]]


def report_of(run: Run, user: User) -> IngestPage | None:
    """The report of an import that has ended; None for any other run."""
    artifact = run.artifacts.filter(kind=OutputKind.INGEST).first()
    if artifact is None:
        return None
    try:
        report = read_json(Path(path_of(artifact)), INGEST)
    except FormatError:
        return None  # damaged or gone; the page of the artifact says so
    rows = sorted(report["files"], key=_weight)
    return IngestPage(
        artifact=artifact.pk,
        files=[_file_row(row, user) for row in rows[:_SHOWN]],
        hidden=max(0, len(rows) - _SHOWN),
        same_bytes=report["same_bytes"][:_SHOWN],
        alike=report["alike"][:_SHOWN],
    )


def _weight(row: dict[str, Any]) -> tuple[int, str]:
    flashing = (row["flashes"] or 0) > SAFE
    order = ("refused", "encoded", "re-muxed").index(row["verdict"])
    return (1 if flashing and order else 2 * order), row["file"]


def _file_row(row: dict[str, Any], user: User) -> FileRow:
    refused = row["verdict"] == "refused"
    what = (
        row["reason"]
        if refused
        else f"{row['width']}x{row['height']}, {row['num_frames']} frames at {row['fps']:.4g}"
        f" per second, {row['duration']:.2f} s"
    )
    return FileRow(
        file=row["file"],
        verdict=row["verdict"],
        badge=_BADGES[row["verdict"]],
        what=what,
        notes=tuple(_notes(row)),
        poster="" if refused else poster_url(row["video"], user),
    )


def _notes(row: dict[str, Any]) -> list[str]:
    notes = []
    if (row["flashes"] or 0) > SAFE:
        notes.append(f"flashes up to {row['flashes']:g} times within a second")
    if row["variable"]:
        notes.append("its rate varied; people see it at a constant one")
    if row["known"]:
        notes.append("was here before")
    return notes
