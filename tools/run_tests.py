"""Run the whole suite: what plays, everything else on SQLite, then on a real PostgreSQL.

python tools/run_tests.py [--promises] [pytest arguments]

With --promises those tests alone that hold a promise, or show that its test can fail.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tools.services import postgres

ROOT = Path(__file__).resolve().parent.parent
PLAYED = ["tests/e2e"]
# The longest first, or one worker is left with it at the end.
ON_POSTGRES = ["tests/loop/test_through_celery.py", "tests/annotation", "tests/pipelines"]
REST = "not playback and not gpu"
SERVED = f"{REST} and not e2e"
PROMISES = "(promise or mutant)"
NOTHING_TO_RUN = 5  # pytest's exit code
MEMORY = Path("/dev/shm")  # noqa: S108, on purpose: what tests write is gone with them
_ROOM = 6 * 2**30
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


def workers(*, more: int) -> str:
    """For playback as many as there are cores: with more, clips do not play in time.

    Elsewhere some tests wait for processes and browsers while others compute, so a few more.
    """
    cores = min(4, len(os.sched_getaffinity(0)))
    return os.environ.get("TIEBREAK_TEST_WORKERS", str(cores + more))


@contextmanager
def scratch() -> Iterator[str]:
    """Where tests write. Much is fsynced as in production, and on a busy disk tests wait for that
    two thirds of their time; where memory has the room, they wait for nothing."""
    with tempfile.TemporaryDirectory(
        prefix="tiebreak-", dir=MEMORY if _bears_tests(MEMORY) else None, ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL lies in it, and runs as somebody else
        yield folder


def _bears_tests(folder: Path) -> bool:
    """Room, and leave to start programs: the servers of the tests are copied there."""
    if not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free > _ROOM


def run(
    title: str, arguments: list[str], environment: dict[str, str], *, more: int
) -> tuple[int, dict[str, int]]:
    print(f"== {title}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers(more=more)]
    command += ["--dist", "loadgroup"]
    command += arguments
    environment = {**os.environ, **environment}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line if _COUNT.search(line) else last
    counts: dict[str, int] = {}
    for number, word in _COUNT.findall(last):
        counts["failed" if word.startswith("error") else word] = int(number) + counts.get(word, 0)
    print(f"== {title}: {time.monotonic() - started:.0f} s", flush=True)
    return process.returncode, counts


def migrated(url: str) -> None:
    """All tables, for the workers to copy."""
    environment = {**os.environ, "DATABASE_URL": url}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def on_sqlite() -> dict[str, str]:
    template = Path(tempfile.gettempdir()) / "template.sqlite3"
    migrated(f"sqlite:///{template}")
    return {
        "DATABASE_URL": "",
        "TIEBREAK_TEST_ENGINE": "sqlite",
        "TIEBREAK_TEST_TEMPLATE": str(template),
    }


def on_postgres(url: str) -> dict[str, str]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_of_tests")
    migrated(f"{url.rpartition('/')[0]}/template_of_tests")
    return {
        "DATABASE_URL": url,
        "TIEBREAK_TEST_POSTGRES_URL": url,
        "TIEBREAK_TEST_ENGINE": "postgresql",
        "TIEBREAK_TEST_TEMPLATE": "template_of_tests",
    }


def main() -> int:
    with scratch() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        return run_all(sys.argv[1:])


def run_all(given: list[str]) -> int:
    only = f"{PROMISES} and " if "--promises" in given else ""
    given = [each for each in given if each != "--promises"]
    # Who names files or folders wants those alone, on both engines.
    paths = [each for each in given if (ROOT / each.partition("::")[0]).exists()]
    passes: list[tuple[int, dict[str, int]]] = []
    # A broker belongs to production, and so to PostgreSQL; a browser needs one engine only.
    sqlite = on_sqlite()
    # Cases of promises are counted where all of an engine are tried (tests/conftest.py).
    counting = {"TIEBREAK_TEST_COUNTS": "" if given else "1"}
    played = ["-m", f"{only}playback and not gpu", *given, *([] if paths else PLAYED)]
    passes.append(run("playback", played, sqlite, more=0))
    passes.append(run("SQLite", ["-m", only + REST, *given], sqlite | counting, more=1))
    with postgres() as url:
        folders = [] if paths else ON_POSTGRES
        words = ["-m", only + SERVED, *given, *folders]
        passes.append(run("PostgreSQL", words, on_postgres(url) | counting, more=1))
    total: Counter[str] = Counter()
    for _, counts in passes:
        total.update(counts)
    failed = total.get("failed", 0)
    # What asks for files may find nothing to run in a pass.
    broken = any(code not in (0, NOTHING_TO_RUN) for code, _ in passes)
    if (broken or not total) and not failed:
        failed = 1  # pytest broke before it could count
    print(f"{total.get('passed', 0)} passed, {failed} failed, {total.get('skipped', 0)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
