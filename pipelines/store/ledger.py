"""Which blobs matter: the only writer of the tables Blob and StoredFile.

A commit first says what it wants (`reserve`), then writes into the store, and in the transaction
that ends the run confirms it and refers to it (`refer`). A collector first dooms a blob that nobody
refers to and nobody has wanted for long, then deletes it, then notes that it is gone. The
conditions stand in the UPDATEs, so whichever comes second sees the first; no file is touched in a
transaction.

A collector that was killed leaves a doomed row. After a while whoever wants the blob takes it over
under its next generation, which is another key: what the sleeper deletes when it wakes is a key
that nobody will use again. So with a blob that is gone: its row stays for a month, and the next
life of the blob is another generation. Who had reserved the earlier life sees that it has ended,
although another commit has made the same content anew.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from pipelines.errors import StoreError
from pipelines.models import ACTIVE, Artifact, Blob, Run, RunInput, StoredFile
from pipelines.store.blobs import key_of, named_by

_ROWS: Final = 500  # in one SQL statement
_GONE: Final = datetime(1970, 1, 1, tzinfo=UTC)  # doomed at this time: the bytes are deleted
_REMEMBERED: Final = timedelta(days=30)  # longer than anybody sleeps between `reserve` and `refer`
Wanted = Mapping[str, int]  # sha256 -> bytes


# The side of those who keep.


def reserve(wanted: Wanted, run: Run | None, *, patience: float | None = None) -> dict[str, str]:
    """Say that these blobs are wanted; give their keys. From now on no collector dooms them.

    Waits for a collector that is at one of them, longer than it may take.
    """
    until = time.monotonic() + (patience or 2 * settings.TIEBREAK_STORE_DOOM_SECONDS + 10)
    keys: dict[str, str] = {}
    for part in _parts(sorted(wanted)):
        while missing := set(part) - set(found := _reserved(part, wanted, run)):
            if time.monotonic() > until:
                raise StoreError(f"blob {min(missing)[:12]} is being deleted for too long")
            time.sleep(0.1)
        keys |= found
    return keys


def _reserved(part: list[str], wanted: Wanted, run: Run | None) -> dict[str, str]:
    late = Now() - timedelta(seconds=settings.TIEBREAK_STORE_DOOM_SECONDS)
    with transaction.atomic():
        rows = Blob.objects.filter(pk__in=part)
        # In one order, or two commits of the same blobs could wait for one another.
        known = set(rows.order_by("pk").select_for_update().values_list("pk", flat=True))
        rows.filter(doomed_at=None).update(wanted_at=Now(), wanted_by=run)
        rows.filter(doomed_at__lt=late).update(
            wanted_at=Now(), wanted_by=run, doomed_at=None, generation=F("generation") + 1
        )
        Blob.objects.bulk_create(
            (
                Blob(sha256=sha, bytes=wanted[sha], wanted_at=Now(), wanted_by=run)
                for sha in part
                if sha not in known
            ),
            ignore_conflicts=True,
        )
    held = Blob.objects.filter(pk__in=part, doomed_at=None)
    return {
        sha: key_of(sha, generation) for sha, generation in held.values_list("pk", "generation")
    }


def refer(files: Mapping[str, str], keys: Mapping[str, str], to: Artifact | RunInput) -> None:
    """In the transaction that makes `to`: its files (name -> sha256) are those blobs.

    StoreError where a collector has been faster, which it is only after `reserve` was long ago.
    """
    shas = sorted(set(files.values()))
    for part in _parts(shas):
        # What the lock has given, and no later look: a row that somebody takes over in between is
        # not locked, and may be doomed before it is referred to.
        rows = Blob.objects.filter(pk__in=part, doomed_at=None).order_by("pk").select_for_update()
        held = {
            sha: key_of(sha, generation) for sha, generation in rows.values_list("pk", "generation")
        }
        Blob.objects.filter(pk__in=held).update(wanted_at=Now())
        for sha in part:
            if held.get(sha) != keys[sha]:
                raise StoreError(f"blob {sha[:12]} was deleted before its artifact was registered")
    owner = {"artifact": to} if isinstance(to, Artifact) else {"given": to}
    StoredFile.objects.bulk_create(
        [StoredFile(name=name, blob_id=sha, **owner) for name, sha in sorted(files.items())],
        batch_size=_ROWS,
    )


# The side of the collector.


def unwanted() -> QuerySet[Blob]:
    """Blobs that nothing refers to, that nobody has wanted for long, of no run at work; and those
    that a collector has doomed and not come to an end with."""
    long_ago = Now() - timedelta(seconds=settings.TIEBREAK_STORE_KEEP_SECONDS)
    late = Now() - timedelta(seconds=settings.TIEBREAK_STORE_DOOM_SECONDS)
    left = Blob.objects.filter(~Exists(StoredFile.objects.filter(blob=OuterRef("pk"))))
    left = left.exclude(wanted_by__state__in=ACTIVE)
    begun = Q(doomed_at__gt=_GONE, doomed_at__lt=late)
    return left.filter(Q(doomed_at=None, wanted_at__lt=long_ago) | begun)


def doom(sha256: str) -> str | None:
    """Claim a blob for deletion; its key. None: somebody wants it, or another collector has it."""
    with transaction.atomic():
        # The lock first, and then a statement of its own, which sees what was referred to by then.
        row = Blob.objects.select_for_update(skip_locked=True).filter(pk=sha256).first()
        if row is None or unwanted().filter(pk=sha256).update(doomed_at=Now()) != 1:
            return None
    return key_of(sha256, row.generation)


def forget(sha256: str, key: str) -> bool:
    """The bytes are gone. False: somebody has taken the blob over, under another key."""
    named = named_by(key)
    doomed = Blob.objects.filter(pk=sha256, doomed_at__gt=_GONE)
    mine = doomed.filter(generation=named[1]) if named else doomed.none()
    return mine.update(doomed_at=_GONE, wanted_at=Now(), wanted_by=None) == 1


def bury() -> int:
    """Delete the rows of blobs that are gone for so long that nobody knows them any more."""
    long_ago = Now() - _REMEMBERED
    with transaction.atomic():
        gone = Blob.objects.filter(doomed_at=_GONE, wanted_at__lt=long_ago)
        # Locked, because Django deletes by the key alone what it has looked up before.
        rows = list(gone.select_for_update(skip_locked=True).values_list("pk", flat=True)[:5000])
        for part in _parts(rows):
            Blob.objects.filter(pk__in=part).delete()
    return len(rows)


def present() -> QuerySet[Blob]:
    """All but those that are gone."""
    return Blob.objects.exclude(doomed_at=_GONE)


def known_keys() -> set[str]:
    """The keys of all rows; there may be objects besides, of a database that is not this one."""
    return set(_keys(present()).values())


def _keys(rows: QuerySet[Blob]) -> dict[str, str]:
    found = rows.values_list("pk", "generation").iterator(chunk_size=5000)
    return {sha: key_of(sha, generation) for sha, generation in found}


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    listed = list(values)
    for start in range(0, len(listed), _ROWS):
        yield listed[start : start + _ROWS]
