"""Taking a backup: first the database, then the files that its rows name.

Rows point to files that never change, so files may be copied later than the rows; what came in
between is more than is needed and does no harm. What is missing or has changed is an error.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from formats.files import fsync_folder, sha256_of
from pipelines.backups import databases, describing, stones
from pipelines.backups.areas import Area, Found, areas, clear_workplaces
from pipelines.backups.counting import Dump
from pipelines.backups.describing import About, Backup, Entry
from pipelines.backups.errors import BackupError
from pipelines.backups.vault import Vault
from pipelines.models import Artifact, StoredFile
from pipelines.store.blobs import key_of

_ORIGINALS: Final = "videos/"


@dataclass
class _Copier:
    """Copies what is new; knows by name, size and time what was copied before."""

    vault: Vault
    before: dict[tuple[str, str], Entry]
    entries: list[Entry] = field(default_factory=list)

    def copy(self, area: Area) -> None:
        for found in area.files():
            entry = self._known(area, found) or self._copied(area, found)
            if entry is not None:
                self.entries.append(entry)

    def _known(self, area: Area, found: Found) -> Entry | None:
        old = self.before.get((area.name, found.name))
        same = old is not None and (old.bytes, old.stamp) == (found.bytes, found.stamp)
        return old if old and same and self.vault.has(old.sha256, old.bytes) else None

    def _copied(self, area: Area, found: Found) -> Entry | None:
        try:
            sha256, size = self.vault.keep(area.read(found.name))
        except FileNotFoundError:
            return None  # Removed meanwhile; whether a row needs it is asked at the end.
        if area.name == "media" and found.name.startswith(_ORIGINALS):
            _refuse_rot(found.name, sha256)
        return Entry(area.name, found.name, size, sha256, found.stamp)


def _refuse_rot(name: str, sha256: str) -> None:
    if Path(name).stem != sha256:
        raise BackupError(
            f"the clip {name} is damaged: its hash is not the one in its name;"
            " restore it from an older backup before you trust a new one"
        )


def take(target: Path, *, keep: int = 0) -> Backup:
    """Make a backup; `keep` removes all but so many of the newest. It is there whole or not."""
    target.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        backup = _take(target)
        if keep:
            prune(target, keep)
    return backup


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    with (target / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being written to {target}") from None
        yield


def _take(target: Path) -> Backup:
    moment = timezone.now()
    folder = target / "backups" / f".{describing.name_of(moment)}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        dumped = databases.dump(folder / "database")
        promised = _Promised.now()
        copier = _Copier(Vault(target / "files"), _entries_before(target))
        for area in areas():
            copier.copy(area)
        promised.refuse_gaps(copier.entries)
        about = _about(folder, dumped, copier.entries, moment.isoformat())
        describing.write_about(folder, about)
        stones.save(target)
        return _shown(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        clear_workplaces()


def _entries_before(target: Path) -> dict[tuple[str, str], Entry]:
    done = describing.all_of(target)
    return {(each.area, each.name): each for each in done[-1].entries()} if done else {}


def _about(folder: Path, dumped: Dump, entries: list[Entry], made_at: str) -> About:
    return About(
        made_at=made_at,
        engine=dumped.engine,
        server=dumped.server,
        tables=dumped.tables,
        migrations=dumped.migrations,
        database_sha256=sha256_of(folder / "database"),
        files_sha256=describing.write_entries(folder, entries),
        files=len(entries),
        bytes=sum(each.bytes for each in entries),
    )


def _shown(folder: Path) -> Backup:
    done = folder.with_name(folder.name.removeprefix("."))
    folder.rename(done)
    fsync_folder(done.parent)
    return describing.read_backup(done)


@dataclass(frozen=True, slots=True)
class _Promised:
    """Which rows there were before the files were looked at: their bytes lay there already."""

    stored_file: int
    artifact: int

    @classmethod
    def now(cls) -> "_Promised":
        return cls(_newest(StoredFile), _newest(Artifact))

    def refuse_gaps(self, entries: list[Entry]) -> None:
        names = {(each.area, each.name) for each in entries}
        for stored in StoredFile.objects.filter(pk__lte=self.stored_file).select_related("blob"):
            key = key_of(stored.blob.sha256, stored.blob.generation)
            if ("store", key) not in names and StoredFile.objects.filter(pk=stored.pk).exists():
                raise BackupError(f"the store lacks {key}, which is {stored.name} of an artifact")
        for artifact in Artifact.objects.filter(pk__lte=self.artifact, stored=False):
            path = artifact.path
            if not {("runs", path), ("runs", f"{path}/manifest.json")} & names:
                raise BackupError(
                    f"{settings.RUNS_ROOT}/{path} is missing, which is artifact {artifact.pk}"
                )


def _newest(model: type[StoredFile] | type[Artifact]) -> int:
    newest: int | None = model.objects.aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def prune(target: Path, keep: int) -> int:
    """Remove all but the newest backups, and the contents that none of them names."""
    done = describing.all_of(target)
    for old in done[:-keep]:
        aside = old.folder.with_name(f".{old.name}")
        old.folder.rename(aside)
        shutil.rmtree(aside)
    wanted = {entry.sha256 for each in done[-keep:] for entry in each.entries()}
    Vault(target / "files").forget_all_but(wanted)
    return len(done[:-keep])
