"""Garbage collection: what nothing refers to leaves the store, and what killed runs left goes too.

Any number of collectors may run, beside any number of commits: `pipelines.store.ledger` says why.
"""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import Error, connection

from annotation.accounts.sessions import SessionStore
from pipelines.errors import StoreError
from pipelines.models import ENDED, Run
from pipelines.store import ledger
from pipelines.store.blobs import BlobStore, blob_store

logger = logging.getLogger(__name__)
# In a run directory: a folder that was never shown, or on its way out, results refused, and what
# an import has unpacked or an export had begun: who tries it again after so long does that again.
_LEFTOVERS: Final = (
    ".tmp-*", "outputs/.tmp-*", "checkpoints/.tmp-*", "checkpoints/.old-*", "refused-*",
    "unpacked", "export-staging",
)  # fmt: skip


@dataclass
class Collected:
    """What a collection removed, or would remove."""

    blobs: int = 0
    bytes: int = 0
    unfinished: int = 0  # uploads and files that were never completed
    leftovers: int = 0  # folders in the directories of runs that have ended
    checkpoints: int = 0  # of runs that succeeded long ago, where that was asked for
    strangers: int = 0  # objects that no row of this database knows; they stay

    def to_json(self) -> dict[str, int]:
        return asdict(self)


class _Due:
    """When this process collects next: not at once, because a worker may live for seconds."""

    at = time.monotonic() + 3600.0


def collect_if_due() -> None:
    """Once a day, beside whatever this process does. Where there is Celery, its beat sees to it."""
    if time.monotonic() < _Due.at:
        return
    _Due.at = time.monotonic() + 24 * 3600.0
    threading.Thread(target=_collect_quietly, name="collector", daemon=True).start()


def once_a_day() -> None:
    """What a site sweeps up: bytes that nothing refers to, and log-ins that have expired."""
    SessionStore.clear_expired()
    logger.info("garbage: %s", as_words(collect(), dry_run=False))


def _collect_quietly() -> None:
    try:
        once_a_day()
    except (StoreError, Error) as error:
        logger.warning("garbage was not collected: %s", error)
    finally:
        connection.close()


def collect(*, dry_run: bool = False, checkpoints_after_days: float | None = None) -> Collected:
    """Remove what is wanted by nobody any more; `dry_run` only counts it."""
    done, store = Collected(), blob_store()
    for sha256, size in ledger.unwanted().values_list("pk", "bytes"):
        if dry_run or _collect_one(store, sha256):
            done.blobs += 1
            done.bytes += size
    keep = settings.TIEBREAK_STORE_KEEP_SECONDS
    if not dry_run:
        ledger.bury()
        done.unfinished = store.sweep(keep)
    done.leftovers = _remove(_leftovers(keep), dry_run=dry_run)
    if checkpoints_after_days is not None:
        old = _old_checkpoints(checkpoints_after_days * 86400)
        done.checkpoints = _remove(old, dry_run=dry_run)
    done.strangers = sum(1 for _ in strangers(store))
    return done


def _collect_one(store: BlobStore, sha256: str) -> bool:
    sent = time.monotonic()
    key = ledger.doom(sha256)
    if key is None:
        return False
    # Half of it, because somebody else may begin to count a moment before this process does.
    if time.monotonic() - sent > settings.TIEBREAK_STORE_DOOM_SECONDS / 2:
        return False  # It slept; the blob may have been taken over. Another collection comes.
    store.delete(key)
    return ledger.forget(sha256, key)


def strangers(store: BlobStore) -> Iterator[str]:
    """Old objects that no row knows: of another site, or of a database that was put back.

    They are never deleted here: this may be the wrong database.
    """
    known = ledger.known_keys()
    for held in store.listing():
        if held.key not in known and held.age > settings.TIEBREAK_STORE_KEEP_SECONDS:
            yield held.key


def _leftovers(older_than: float) -> Iterator[Path]:
    for folder in _folders_of_ended_runs():
        for pattern in _LEFTOVERS:
            yield from (path for path in folder.glob(pattern) if _age(path) > older_than)


def _old_checkpoints(older_than: float) -> Iterator[Path]:
    """A run that has succeeded needs its states no more; what it came to is an artifact."""
    for run in Run.objects.filter(state="succeeded").only("pk"):
        path = Path(settings.RUNS_ROOT) / str(run.pk) / "checkpoints"
        if path.is_dir() and _age(path) > older_than:
            yield path


def _folders_of_ended_runs() -> Iterator[Path]:
    for run_id in Run.objects.filter(state__in=ENDED).values_list("pk", flat=True):
        folder = Path(settings.RUNS_ROOT) / str(run_id)
        if folder.is_dir():
            yield folder


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(paths: Iterator[Path], *, dry_run: bool) -> int:
    found = list(paths)
    for path in [] if dry_run else found:
        logger.info("%s is removed", path)
        shutil.rmtree(path, ignore_errors=True)
    return len(found)


def as_words(done: Collected, *, dry_run: bool) -> str:
    verb = "would be" if dry_run else "were"
    text = (
        f"{done.blobs} blobs ({done.bytes} bytes) {verb} removed, {done.leftovers} leftovers of "
        f"runs, {done.unfinished} unfinished uploads, checkpoints of {done.checkpoints} runs"
    )
    if done.strangers:
        text += (
            f"; {done.strangers} objects are unknown to this database and stay: if no other site "
            "uses this store, they are of runs that the database does not know any more"
        )
    return text
