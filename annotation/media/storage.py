"""Where originals, copies for people, posters and images lie, under keys made of their content.

Locally that is a folder (MEDIA_ROOT). With MEDIA_STORAGE_URL it is a bucket of an S3-compatible
service (`storage_s3`), and MEDIA_ROOT holds copies of what a run on this machine reads. The keys
are the same.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, cast

from django.core.files.storage import FileSystemStorage, storages

from formats.files import fsync_folder

_CHUNK: Final = 64 * 1024


class MediaStorage(Protocol):
    """What both storages do beside Django's own methods."""

    def exists(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...

    def put(self, path: Path, key: str) -> None:
        """Take a file of ours, which must not change any more. A key that is there stays."""

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]: ...

    def local(self, key: str, sha256: str) -> Path:
        """The file on this machine, fetched and checked if it is not there yet."""

    def listing(self, folder: str) -> Iterator[tuple[str, int]]:
        """Keys below a folder of the storage, and how long the files are."""

    def behind_nginx(self, key: str) -> str:
        """Where nginx finds it: an address inside (X-Accel-Redirect), docker/nginx/site.inc."""


def media_storage() -> MediaStorage:
    return cast(MediaStorage, storages["media"])


class LocalMedia(FileSystemStorage):
    """A folder. Files appear under their key whole, or not at all."""

    def put(self, path: Path, key: str) -> None:
        target = Path(self.path(key))
        if target.is_file():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_file(path)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            link_or_copy(path, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_folder(target.parent)

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        with Path(self.path(key)).open("rb") as file:
            file.seek(start)
            while length > 0 and (chunk := file.read(min(_CHUNK, length))):
                length -= len(chunk)
                yield chunk

    def local(self, key: str, sha256: str) -> Path:  # noqa: ARG002  its own key says it
        return Path(self.path(key))

    def listing(self, folder: str) -> Iterator[tuple[str, int]]:
        root = Path(self.path(""))
        for path in sorted(Path(self.path(folder)).rglob("*")):
            # A dot: still being written.
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(root).as_posix(), path.stat().st_size

    def behind_nginx(self, key: str) -> str:
        return f"/_media/{key}"


def link_or_copy(path: Path, target: Path) -> None:
    """A file of ours, which never changes, under a second name that is not there yet."""
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, target)
        sync_file(target)


def bring(path: Path, target: Path) -> None:
    """The same where a process may be killed: `target` is whole, or there is none.

    What an earlier attempt brought stays.
    """
    if target.is_file():
        return
    half = target.with_name(f".{target.name}")
    half.unlink(missing_ok=True)
    link_or_copy(path, half)
    half.replace(target)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
