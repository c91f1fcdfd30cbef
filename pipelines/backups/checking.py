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
from pipelines.backups import describing, findings, postgres_dumps, records, sqlite_files
from pipelines.backups.describing import Backup
from pipelines.backups.errors import BackupError
from pipelines.backups.vault import Vault

_MANAGE = str(Path(settings.BASE_DIR) / "manage.py")


@dataclass(frozen=True, slots=True)
class Checked:
    backup: Backup
    rows: int
    files: int
    seconds: float


def check(target: Path, *, name: str = "", every_file: bool = False) -> Checked:
    """Restore into a scratch database and ask everything; BackupError says what is wrong.

    `every_file` reads all contents of the backup, not only what rows and the sample of clips name.
    """
    started = time.monotonic()
    backup = describing.newest(target, name)
    findings.refuse(backup.faults())
    if every_file:
        vault = Vault(target / "files")
        wanted = sorted({each.sha256 for each in backup.entries()})
        findings.refuse([fault for sha256 in wanted if (fault := vault.fault(sha256))])
    with _scratch(backup) as url:
        _ask(backup, target, url)
    seconds = time.monotonic() - started
    records.remember(records.CHECKED, backup, seconds)
    about = backup.about
    return Checked(backup, sum(about.tables.values()), about.files, seconds)


@contextmanager
def _scratch(backup: Backup) -> Iterator[str]:
    if backup.about.engine == "postgresql":
        with postgres_dumps.scratch(backup.database, f"tiebreak_check_{uuid.uuid4().hex}") as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="tiebreak-check-") as folder:
        path = Path(folder) / "copy.sqlite3"
        sqlite_files.load(backup.database, path)
        yield f"sqlite:///{path}"


def _ask(backup: Backup, target: Path, url: str) -> None:
    command = [sys.executable, _MANAGE, "check_restored", str(target), "--name", backup.name]
    environment = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BackupError(done.stderr.strip().removeprefix("CommandError: ") or "the check broke")


def ask_copy(target: Path, name: str) -> None:
    """In that process: the database of the settings is the copy."""
    backup = describing.newest(target, name)
    findings.refuse_other_rows(backup.about.tables)
    known = {(each.area, each.name): each.sha256 for each in backup.entries()}
    vault = Vault(target / "files")

    def read(area: str, file: str) -> str | None:
        path = vault.path(known[area, file]) if (area, file) in known else None
        return sha256_of(path) if path is not None and path.is_file() else None

    findings.refuse(findings.of_copy(read))
