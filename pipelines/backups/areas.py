"""What is backed up beside the database: run directories, media, files for imports, the store.

Each area lists its files and gives or takes their bytes, wherever they lie.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from django.conf import settings

from annotation.media.storage import media_storage
from formats.files import fsync_folder
from pipelines.backups.errors import BackupError
from pipelines.backups.vault import CHUNK
from pipelines.store.blobs import BlobStore, blob_store

_MEDIA_FOLDERS: Final = ("videos", "shown", "posters", "images")


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an area. `stamp` changes when the content may have; empty: it never does."""

    name: str
    bytes: int
    stamp: str = ""


class Area(Protocol):
    name: str

    def files(self) -> Iterator[Found]: ...

    def read(self, name: str) -> Iterator[bytes]:
        """Its bytes; FileNotFoundError where it is gone meanwhile."""

    def put(self, path: Path, name: str, sha256: str) -> None:
        """Take a checked file, which is removed afterwards."""

    def workplace(self) -> Path:
        """A folder from which `put` can move a file."""


class Folder:
    """A folder of this machine whose files may change."""

    def __init__(self, name: str, root: Path):
        self.name, self.root = name, root

    def files(self) -> Iterator[Found]:
        for path in sorted(self.root.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            stamp = f"{facts.st_mtime_ns}"
            yield Found(path.relative_to(self.root).as_posix(), facts.st_size, stamp)

    def read(self, name: str) -> Iterator[bytes]:
        return _chunks(self.root / name)

    def put(self, path: Path, name: str, sha256: str) -> None:  # noqa: ARG002  checked already
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(path)
        path.replace(target)

    def workplace(self) -> Path:
        return self.root


class Media:
    """Clips, posters and images, in a folder or in a bucket. Keys are made of content."""

    name = "media"

    def __init__(self) -> None:
        self.storage = media_storage()

    def files(self) -> Iterator[Found]:
        for folder in _MEDIA_FOLDERS:
            for key, size in self.storage.listing(folder):
                yield Found(key, size)

    def read(self, name: str) -> Iterator[bytes]:
        return self.storage.read(name, 0, self.storage.size(name))

    def put(self, path: Path, name: str, sha256: str) -> None:  # noqa: ARG002  checked already
        self.storage.put(path, name)

    def workplace(self) -> Path:
        return Path(settings.MEDIA_ROOT) / "quarantine"


class Blobs:
    """The store of artifacts, in a folder or in a bucket. Keys are hashes."""

    name = "store"

    def __init__(self) -> None:
        self.store: BlobStore = blob_store()

    def files(self) -> Iterator[Found]:
        for held in sorted(self.store.listing(), key=lambda each: each.key):
            yield Found(held.key, held.bytes)

    def read(self, name: str) -> Iterator[bytes]:
        copy = self.workplace() / name.replace("/", "-")
        copy.unlink(missing_ok=True)
        try:
            self.store.fetch(name, copy)
            yield from _chunks(copy)
        finally:
            copy.unlink(missing_ok=True)

    def put(self, path: Path, name: str, sha256: str) -> None:
        self.store.put(path, name, sha256)

    def workplace(self) -> Path:
        place = Path(settings.VAR) / "backing-up"
        place.mkdir(parents=True, exist_ok=True)
        return place


def areas() -> list[Area]:
    incoming = Path(settings.MEDIA_ROOT) / "incoming"
    return [
        Folder("runs", Path(settings.RUNS_ROOT)),
        Media(),
        Folder("incoming", incoming),
        Blobs(),
    ]


def area(name: str) -> Area:
    for each in areas():
        if each.name == name:
            return each
    raise BackupError(f"the backup names an area {name!r} that this version does not know")


def clear_workplaces() -> None:
    shutil.rmtree(Path(settings.VAR) / "backing-up", ignore_errors=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    fsync_folder(path.parent)
