"""What must be true of a restored site: the same rows, votes without contradiction, clips and
artifacts with the bytes that their rows name."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from django.db.models import QuerySet

from annotation.media.keeping import original_key
from annotation.media.storage import media_storage
from annotation.models import Campaign, Video
from annotation.promises import broken_promises
from formats.files import sha256_of
from pipelines.backups import databases
from pipelines.backups.errors import BackupError
from pipelines.models import Artifact, StoredFile
from pipelines.registry import path_of
from pipelines.store.blobs import blob_store, key_of

CLIPS: Final = 100
# The hash of a file of an area; None where there is none.
Reader = Callable[[str, str], str | None]


def refuse_other_rows(wanted: Mapping[str, int]) -> None:
    """Before anything else is done with the tables: as many rows as there were."""
    found = databases.row_counts()
    wrong = [
        f"{table} has {found.get(table, 0)} rows instead of {rows}"
        for table, rows in wanted.items()
        if found.get(table) != rows
    ]
    refuse(wrong)


def refuse(wrong: list[str]) -> None:
    if wrong:
        raise BackupError("what was restored is not what was backed up: " + "; ".join(wrong[:10]))


def of_site() -> list[str]:
    """Everything that is wrong with this site and its files."""
    return [*_of_votes(), *_of_clips(_clip_here), *_of_artifacts_here()]


def of_copy(read: Reader) -> list[str]:
    """The same of a copy of the database, whose files are read from the backup."""
    return [*_of_votes(), *_of_clips(lambda video: read("media", video.file)), *_of_stored(read)]


def _of_votes() -> Iterator[str]:
    for campaign in Campaign.objects.select_related("dimension_set"):
        for what in broken_promises(campaign):
            yield f"{campaign.name}: {what}"


def sampled() -> QuerySet[Video]:
    """The clips whose bytes are read: as many as CLIPS, always the same of the same rows."""
    rows = list(Video.objects.order_by("pk").values_list("pk", flat=True))
    chosen = random.Random(0).sample(rows, min(CLIPS, len(rows)))
    return Video.objects.filter(pk__in=chosen)


def _of_clips(hash_of: Callable[[Video], str | None]) -> Iterator[str]:
    for video in sampled():
        found = hash_of(video)
        if found != video.sha256:
            yield f"clip {video.pk} ({original_key(video.sha256)}) {_fault(found)}"


def _clip_here(video: Video) -> str | None:
    store = media_storage()
    if not store.exists(video.file):
        return None
    path = store.local(video.file, video.sha256)
    return sha256_of(path) if path.is_file() else None


def _of_artifacts_here() -> Iterator[str]:
    for artifact in Artifact.objects.filter(stored=False):
        path = path_of(artifact)
        file = path / "manifest.json" if path.is_dir() else path
        found = sha256_of(file) if file.is_file() else None
        if found != artifact.sha256:
            yield f"artifact {artifact.pk} ({artifact.path}) {_fault(found)}"
    for stored in StoredFile.objects.select_related("blob"):
        key = key_of(stored.blob.sha256, stored.blob.generation)
        if blob_store().size(key) != stored.blob.bytes:
            yield f"{stored.name} of an artifact is not in the store under {key}"


def _of_stored(read: Reader) -> Iterator[str]:
    for stored in StoredFile.objects.select_related("blob"):
        found = read("store", key_of(stored.blob.sha256, stored.blob.generation))
        if found != stored.blob.sha256:
            yield f"{stored.name} of an artifact {_fault(found)}"
    for artifact in Artifact.objects.filter(stored=False):
        found = read("runs", artifact.path) or read("runs", f"{artifact.path}/manifest.json")
        if found != artifact.sha256:
            yield f"artifact {artifact.pk} ({artifact.path}) {_fault(found)}"


def _fault(found: str | None) -> str:
    return "is missing" if found is None else "is damaged: its hash is another one"
