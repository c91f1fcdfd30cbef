"""Contents under their hash: a file that has not changed since the last backup is not copied."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from formats.files import fsync_folder, sha256_of
from pipelines.backups.errors import BackupError

CHUNK: Final = 1 << 20


class Vault:
    def __init__(self, root: Path):
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        path = self.path(sha256)
        return path.is_file() and path.stat().st_size == size

    def keep(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Take a content; give its hash and its length. It appears whole or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = self.root / f".{uuid.uuid4().hex}"
        digest, size = hashlib.sha256(), 0
        try:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            self._show(temporary, self.path(digest.hexdigest()), size)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def _show(self, temporary: Path, target: Path, size: int) -> None:
        if self.has(target.name, size):
            return
        target.parent.mkdir(exist_ok=True)
        temporary.replace(target)
        fsync_folder(target.parent)

    @contextmanager
    def checked_copy(self, sha256: str, folder: Path) -> Iterator[Path]:
        """The content as a file of its own, which has the hash that it should have."""
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f".restoring-{uuid.uuid4().hex}"
        try:
            try:
                shutil.copyfile(self.path(sha256), copy)
            except FileNotFoundError:
                raise BackupError(f"the backup lacks {self.path(sha256)}") from None
            if sha256_of(copy) != sha256:
                raise BackupError(f"{self.path(sha256)} is damaged: its hash is another one")
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def fault(self, sha256: str) -> str:
        """What is wrong with a content; empty if it is whole."""
        path = self.path(sha256)
        if not path.is_file():
            return f"the backup lacks {path}"
        return "" if sha256_of(path) == sha256 else f"{path} is damaged: its hash is another one"

    def forget_all_but(self, wanted: set[str]) -> int:
        """Remove contents that no backup names any more."""
        gone = [each for each in self.root.glob("??/*") if each.name not in wanted]
        for path in gone:
            path.unlink()
        return len(gone)
