"""The store as a folder. A file of the same file system is linked, not copied: it costs no room."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from annotation.media.storage import link_or_copy, sync_file
from formats.files import fsync_folder
from pipelines.errors import BlobMissing
from pipelines.store.blobs import Held

_TEMPORARY: Final = ".tmp-"


class FolderStore:
    """Files appear under their key whole, or not at all, and are never replaced."""

    def __init__(self, root: Path):
        self.root = root

    def put(self, path: Path, key: str, sha256: str) -> bool:  # noqa: ARG002 - its key says it
        target = self.root / key
        if self._is_there(target, path.stat().st_size):
            return False
        _make_folder(target.parent)
        temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        try:
            sync_file(path)
            link_or_copy(path, temporary)
            return self._show(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def _is_there(self, target: Path, size: int) -> bool:
        """A file of another length is damaged: what was written is whole, and it goes."""
        try:
            if target.stat().st_size == size:
                return True
        except FileNotFoundError:
            return False
        target.unlink(missing_ok=True)
        return False

    def _show(self, temporary: Path, target: Path) -> bool:
        try:
            os.link(temporary, target)  # fails where there is one: a conditional write
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                raise
            temporary.rename(target)  # a file system without links; the bytes are the same
        fsync_folder(target.parent)
        return True

    def fetch(self, key: str, target: Path) -> None:
        source = self.root / key
        if not source.is_file():
            raise BlobMissing(f"{key} is not in the store")
        shutil.copyfile(source, target)

    def size(self, key: str) -> int | None:
        try:
            return (self.root / key).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def listing(self) -> Iterator[Held]:
        for path in sorted(self.root.glob("sha256/??/*")):
            facts = _facts(path)
            if facts is not None and not path.name.startswith(_TEMPORARY):
                yield Held(path.relative_to(self.root).as_posix(), facts[0], facts[1])

    def sweep(self, older_than: float) -> int:
        removed = 0
        for path in self.root.glob(f"sha256/??/{_TEMPORARY}*"):
            facts = _facts(path)
            if facts is not None and facts[1] > older_than:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _make_folder(path: Path) -> None:
    """With its parents, and on the disk: a file in a folder that is lost at a power cut is lost."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        fsync_folder(each.parent)


def _facts(path: Path) -> tuple[int, float] | None:
    """(bytes, seconds since it came here): a link keeps its file's time of writing, not this."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_size, time.time() - max(facts.st_ctime, facts.st_mtime)
