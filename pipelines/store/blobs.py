"""The store: bytes under their hash, in a folder or in a bucket of an S3-compatible service.

    sha256/<aa>/<hash>        the bytes
    sha256/<aa>/<hash>.1      the same, after somebody had begun to delete the first (a generation)

A key is written once and never changed: whoever comes second finds it there. Which keys matter is
what the rows say (`pipelines.store.ledger`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from django.conf import settings

_KEY: Final = re.compile(r"sha256/[0-9a-f]{2}/([0-9a-f]{64})(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Held:
    """An object of the store, as it lists it."""

    key: str
    bytes: int
    age: float  # seconds since it was written


class BlobStore(Protocol):
    """What both stores do. A failure of the service is a StoreError with one sentence."""

    def put(self, path: Path, key: str, sha256: str) -> bool:
        """Take a file that does not change any more. False: the key was there, and it stays."""

    def fetch(self, key: str, target: Path) -> None:
        """Write the bytes into a new file; BlobMissing where there are none."""

    def size(self, key: str) -> int | None:
        """In bytes; None where there is no such key."""

    def delete(self, key: str) -> None:
        """Nothing happens where there is no such key."""

    def listing(self) -> Iterator[Held]: ...

    def sweep(self, older_than: float) -> int:
        """Remove what writers that were killed have left, after so many seconds; give how many."""


def key_of(sha256: str, generation: int = 0) -> str:
    suffix = f".{generation}" if generation else ""
    return f"sha256/{sha256[:2]}/{sha256}{suffix}"


def named_by(key: str) -> tuple[str, int] | None:
    """(sha256, generation) of a key; None for what is none of ours."""
    match = _KEY.fullmatch(key)
    return None if match is None else (match[1], int(match[2] or 0))


def blob_store() -> BlobStore:
    """The store that the settings name."""
    options = settings.ARTIFACT_STORE_S3
    return _store(settings.ARTIFACT_STORE_URL, tuple(sorted(options.items())))


@cache
def _store(url: str, options: tuple[tuple[str, str | None], ...]) -> BlobStore:
    if not url.startswith("s3://"):
        from pipelines.store.folder import FolderStore

        return FolderStore(Path(url))
    # Not before: the library costs half a second, and most sites have no bucket.
    from pipelines.store.bucket import BucketStore

    name, _, prefix = url.removeprefix("s3://").partition("/")
    return BucketStore(name, prefix.strip("/"), dict(options))
