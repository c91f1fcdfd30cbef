"""Is every byte that a row promises there? And putting into the store what was made before it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.db import transaction

from formats.errors import FormatError
from formats.files import sha256_of
from pipelines.errors import StoreError
from pipelines.models import Artifact, Blob
from pipelines.registering import note_stored, refuse_other_bytes
from pipelines.registry import path_of
from pipelines.store.blobs import blob_store, key_of
from pipelines.store.keeping import keep


def damaged() -> Iterator[str]:
    """Read every blob that a row refers to and hash it again; one sentence for each fault."""
    store = blob_store()
    with tempfile.TemporaryDirectory(prefix="tiebreak-check-") as scratch:
        for blob in Blob.objects.filter(files__isnull=False).distinct().order_by("pk"):
            copy = Path(scratch) / blob.pk
            key = key_of(blob.pk, blob.generation)
            try:
                store.fetch(key, copy)
                if sha256_of(copy) != blob.pk:
                    yield f"{key} is damaged: its bytes have another sha256"
            except StoreError as error:
                yield str(error)
            finally:
                copy.unlink(missing_ok=True)


def adopt() -> Iterator[tuple[Artifact, str]]:
    """Put artifacts of before the store into it; (artifact, fault or nothing) for each."""
    for artifact in Artifact.objects.filter(stored=False).order_by("pk"):
        path = path_of(artifact)
        try:
            refuse_other_bytes(path, artifact.sha256)
            kept = keep(path, artifact.sha256, None)
            with transaction.atomic():
                kept.refer(artifact)
                note_stored(artifact, kept.bytes)
        except (FormatError, StoreError, OSError) as error:
            yield artifact, str(error)
        else:
            yield artifact, ""
