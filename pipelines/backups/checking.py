"""A backup is a restore that was checked: into a database beside the site's, which goes again.

Files are read from the backup itself. The questions are asked by a process of its own, because this
one is connected to the site's database.
"""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from formats.files import sha256_of
from pipelines.backups import findings, postgres_dumps, records, snapshots, sqlite_files
from pipelines.backups.errors import BackupError
from pipelines.backups.snapshots import Snapshot
from pipelines.backups.vault import Vault

_MANAGE = Path(settings.BASE_DIR) / "manage.py"


@dataclass(frozen=True, slots=True)
class Checked:
    snapshot: Snapshot
    rows: int
    files: int
    seconds: float


def check(target: Path, *, name: str = "", every_file: bool = False) -> Checked:
    """Restore into a scratch database and ask everything; BackupError says what is wrong.

    `every_file` reads all contents of the backup, not only what rows and the sample of clips name.
    """
    started = time.monotonic()
    snapshot = snapshots.newest(target, name)
    findings.refuse(snapshot.faults())
    if every_file:
        vault = Vault(target / "files")
        wanted = sorted({each.sha256 for each in snapshot.entries()})
        findings.refuse([fault for sha256 in wanted if (fault := vault.fault(sha256))])
    with _scratch(snapshot) as url:
        _ask(snapshot, target, url)
    seconds = time.monotonic() - started
    records.remember(records.CHECKED, snapshot, seconds)
    about = snapshot.about
    return Checked(snapshot, sum(about.tables.values()), about.files, seconds)


@contextmanager
def _scratch(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.about.engine == "postgresql":
        with postgres_dumps.scratch(snapshot.database, f"tiebreak_check_{uuid.uuid4().hex}") as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="tiebreak-check-") as folder:
        path = Path(folder) / "copy.sqlite3"
        sqlite_files.load(snapshot.database, path)
        yield f"sqlite:///{path}"


def _ask(snapshot: Snapshot, target: Path, url: str) -> None:
    command = [sys.executable, _MANAGE, "check_restored", str(target), "--name", snapshot.name]
    environment = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BackupError(done.stderr.strip().removeprefix("CommandError: ") or "the check broke")


def ask_copy(target: Path, name: str) -> None:
    """In that process: the database of the settings is the copy."""
    snapshot = snapshots.newest(target, name)
    findings.refuse_other_rows(snapshot.about.tables)
    known = {(each.area, each.name): each.sha256 for each in snapshot.entries()}
    vault = Vault(target / "files")

    def read(area: str, file: str) -> str | None:
        path = vault.path(known[area, file]) if (area, file) in known else None
        return sha256_of(path) if path is not None and path.is_file() else None

    findings.refuse(findings.of_copy(read))
