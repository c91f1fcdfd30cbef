"""The files of a finished run go into the store before a row speaks of them, and come back from it.

What an artifact is made of stands in its manifest; so of a folder that is every file of it and the
manifest itself, of a single file that file.
"""

import os
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from formats.checkpoints import MANIFEST
from formats.errors import FormatError
from formats.files import fsync_folder, read_json, sha256_of
from pipelines.errors import ArtifactMissing, BlobMissing, StoreError
from pipelines.models import Artifact, Run, RunInput, StoredFile
from pipelines.store import ledger
from pipelines.store.blobs import blob_store, key_of

_MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of one artifact that are in the store: name -> sha256, sha256 -> key."""

    files: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)
    bytes: int = 0

    def refer(self, to: Artifact | RunInput) -> None:
        """Inside the transaction that writes the row: from now on no collector takes them."""
        ledger.refer(self.files, self.keys, to)


def files_of(path: Path, sha256: str) -> dict[str, str]:
    """Name -> sha256 of what an artifact consists of, as its manifest says."""
    if not path.is_dir():
        return {path.name: sha256}
    rows = read_json(path / _MANIFEST, MANIFEST)["files"]
    return {_MANIFEST: sha256} | {name: row["sha256"] for name, row in rows.items()}


def keep(path: Path, sha256: str, run: Run | None) -> Kept:
    """Put a verified folder or file into the store. Repeated, it finds what is there."""
    files = files_of(path, sha256)
    places = {sha: (path / name if path.is_dir() else path) for name, sha in files.items()}
    sizes = {sha: place.stat().st_size for sha, place in places.items()}
    keys = ledger.reserve(sizes, run)
    for sha, place in places.items():
        _put(place, keys[sha], sha)
    # Two equal files of one folder count twice, as they do there.
    return Kept(files, keys, sum(sizes[sha] for sha in files.values()))


def _put(place: Path, key: str, sha256: str) -> None:
    try:
        blob_store().put(place, key, sha256)
    except OSError as error:
        raise StoreError(f"the store cannot take {place.name}: {error.strerror}") from error


# And back.


def fetch(artifact: Artifact, target: Path) -> None:
    """Bring an artifact to where its row says it lies; what is there already stays as it is.

    It appears whole or not at all, each file after its hash was checked.
    """
    if target.exists():
        return
    rows = list(artifact.files.select_related("blob"))
    if not rows:
        raise ArtifactMissing(
            f"artifact {artifact.pk} is not at {target.name}, and it was never put into the store"
        )
    single = len(rows) == 1 and rows[0].name != _MANIFEST
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        for row in rows:
            _fetch_one(row, temporary if single else temporary / row.name)
        _show(temporary, target)
    finally:
        _remove(temporary)


def fetch_given(row: RunInput, target: Path) -> None:
    """The same for a file that was given to a run when it was started."""
    stored = row.stored_files.select_related("blob").first()
    if target.exists() or stored is None:
        return
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        _fetch_one(stored, temporary)
        _show(temporary, target)
    finally:
        _remove(temporary)


def _fetch_one(row: StoredFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    key = key_of(row.blob_id, row.blob.generation)
    try:
        blob_store().fetch(key, target)
    except BlobMissing as error:
        raise ArtifactMissing(f"{row.name} cannot be fetched: {error}") from None
    if sha256_of(target) != row.blob_id:
        raise FormatError(
            f"{row.name} is damaged in the store: its sha256 is not {row.blob_id[:12]}…", path=key
        )
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _show(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not target.exists():
            raise
        return  # Another run of this host has fetched the same at the same time.
    fsync_folder(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
