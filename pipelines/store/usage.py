"""What takes how much room: runs by part, the store, media, the database, frames."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum

from pipelines.models import Artifact, Run
from pipelines.store import ledger

# The parts of a run directory, by the first folder or file of a path.
_PARTS: Final = {
    "checkpoints": "training states",
    "outputs": "results",
    "cache": "caches",
    "parts": "scores on the way",
    "tensorboard": "curves",
    "metrics.jsonl": "curves",
}
_OTHER: Final = "logs and other files"
_LARGEST: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One place or part. `shared`: bytes that another row counts already (links, not copies)."""

    name: str
    files: int
    bytes: int
    shared: int = 0


@dataclass(frozen=True, slots=True)
class LargeRun:
    run: int
    name: str
    kind: str
    state: str
    bytes: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    places: tuple[Row, ...]
    parts: tuple[Row, ...]  # of the run directories
    largest: tuple[LargeRun, ...]
    blobs: int
    blob_bytes: int  # each once
    artifact_bytes: int  # as if each artifact had its own
    unwanted: int
    unwanted_bytes: int
    free: int
    total: int

    @property
    def free_share(self) -> float:
        return self.free / self.total if self.total else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class _Walk:
    """Counts each file on the disk once, whatever names it has."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()

    def count(self, paths: Iterator[tuple[str, os.stat_result]], name: str) -> Row:
        files = size = shared = 0
        for _, facts in paths:
            files += 1
            again = facts.st_nlink > 1 and (facts.st_dev, facts.st_ino) in self.seen
            shared += facts.st_size if again else 0
            size += 0 if again else facts.st_size
            if facts.st_nlink > 1:
                self.seen.add((facts.st_dev, facts.st_ino))
        return Row(name, files, size, shared)


def disk_use() -> DiskUse:
    """Walks over all places; a second for some ten thousand files."""
    walk, runs = _Walk(), Path(settings.RUNS_ROOT)
    by_part, by_run = _of_runs(walk, runs)
    places = [Row("runs", *_sums(by_part)), *_other_places(walk)]
    unwanted = ledger.unwanted().aggregate(number=Count("pk"), size=Sum("bytes"))
    blobs = ledger.present().aggregate(number=Count("pk"), size=Sum("bytes"))
    disk = disk_usage(_existing(runs))
    return DiskUse(
        tuple(places),
        tuple(sorted(by_part, key=lambda row: -row.bytes)),
        tuple(_largest(by_run)),
        blobs["number"],
        blobs["size"] or 0,
        Artifact.objects.aggregate(size=Sum("bytes"))["size"] or 0,
        unwanted["number"],
        unwanted["size"] or 0,
        disk.free,
        disk.total,
    )


def _other_places(walk: _Walk) -> Iterator[Row]:
    store = settings.ARTIFACT_STORE_URL
    folders = {"store": None if store.startswith("s3://") else Path(store)}
    folders |= {"media": Path(settings.MEDIA_ROOT), "frames": settings.TIEBREAK_FRAME_CACHE}
    for name, folder in folders.items():
        if folder is not None:
            yield walk.count(_files(folder), name)
    if connection.vendor == "sqlite":
        file = Path(str(connection.settings_dict["NAME"]))
        names = [file, *(file.with_name(file.name + tail) for tail in ("-wal", "-shm"))]
        found = [(str(each), each.stat()) for each in names if each.is_file()]
        yield walk.count(iter(found), "database")


def _of_runs(walk: _Walk, root: Path) -> tuple[list[Row], dict[int, int]]:
    by_part: dict[str, list[Row]] = {}
    by_run: dict[int, int] = {}
    for folder in _folders(root):
        for path in sorted(folder.iterdir()):
            name = _PARTS.get(path.name, _OTHER)
            files = _files(path) if path.is_dir() else iter([(str(path), path.lstat())])
            row = walk.count(files, name)
            by_part.setdefault(name, []).append(row)
            by_run[int(folder.name)] = by_run.get(int(folder.name), 0) + row.bytes
    return [Row(name, *_sums(rows)) for name, rows in by_part.items()], by_run


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (each for each in root.iterdir() if each.name.isdigit() and each.is_dir())


def _sums(rows: list[Row]) -> tuple[int, int, int]:
    return sum(r.files for r in rows), sum(r.bytes for r in rows), sum(r.shared for r in rows)


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                yield str(path), path.lstat()
            except FileNotFoundError:
                continue  # a run is at work


def _largest(by_run: dict[int, int]) -> Iterator[LargeRun]:
    first = sorted(by_run, key=lambda run: -by_run[run])[:_LARGEST]
    rows = Run.objects.in_bulk(first)
    for run_id in first:
        run = rows.get(run_id)
        if run is not None:
            yield LargeRun(run_id, str(run), run.kind, run.state, by_run[run_id])


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.exists())
