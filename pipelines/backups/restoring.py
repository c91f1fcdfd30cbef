"""Restoring into an empty site, and what is asked of it afterwards."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from annotation.accounts import erasing
from annotation.models import Session
from pipelines.backups import databases, describing, findings, records, stones
from pipelines.backups.areas import area, areas, clear_workplaces
from pipelines.backups.describing import Backup, Entry
from pipelines.backups.errors import BackupError
from pipelines.backups.vault import Vault


@dataclass(frozen=True, slots=True)
class Restored:
    backup: Backup
    rows: int
    files: int
    erased_again: int
    seconds: float


def restore(target: Path, *, name: str = "") -> Restored:
    """Fill an empty site from a backup; BackupError, and nothing is written, where that cannot be.

    Everything of the backup is checked first: half a site is worse than none.
    """
    started = time.monotonic()
    backup = describing.newest(target, name)
    entries = list(backup.entries())
    _refuse_a_filled_site()
    _refuse_damage(target, backup, entries)
    databases.load(backup.database, backup.about.engine)
    findings.refuse_other_rows(backup.about.tables)
    _put_back(Vault(target / "files"), entries)
    stones.bring_back(target)
    call_command("migrate", verbosity=0)
    connections.close_all()
    # Who was logged in when it was taken may have been logged out, or barred, since.
    Session.objects.all().delete()
    again = erasing.reapply()
    findings.refuse(findings.of_site())
    done = Restored(
        backup,
        rows=sum(backup.about.tables.values()),
        files=len(entries),
        erased_again=len(again.erased),
        seconds=time.monotonic() - started,
    )
    records.remember(records.RESTORED, backup, done.seconds)
    return done


def _refuse_a_filled_site() -> None:
    if filled := databases.what_is_there():
        raise BackupError(
            f"the database is not empty: it has rows in {', '.join(filled)}; restore into a new one"
        )
    for each in areas():
        if next(each.files(), None) is not None:
            raise BackupError(
                f"there are files already in the place for {each.name} (MEDIA_ROOT, RUNS_ROOT, the"
                " store): restore into empty folders and buckets"
            )


def _refuse_damage(target: Path, backup: Backup, entries: Iterable[Entry]) -> None:
    vault = Vault(target / "files")
    faults = backup.faults()
    faults += [fault for sha256 in sorted({each.sha256 for each in entries})
               if (fault := vault.fault(sha256))]  # fmt: skip
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise BackupError(f"the backup {backup.name} is not whole: {'; '.join(faults[:5])}{more}")


def _put_back(vault: Vault, entries: Iterable[Entry]) -> None:
    by_area: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_area[entry.area].append(entry)
    try:
        for name, its in by_area.items():
            place = area(name)
            for entry in its:
                with vault.checked_copy(entry.sha256, place.workplace()) as copy:
                    place.put(copy, entry.name, entry.sha256)
    finally:
        clear_workplaces()
    Path(settings.RUNS_ROOT).mkdir(parents=True, exist_ok=True)
