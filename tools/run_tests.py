"""Run the whole suite: everything on SQLite, then what touches tables on a real PostgreSQL.

python tools/run_tests.py [pytest arguments]
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tools.services import postgres

ROOT = Path(__file__).resolve().parent.parent
ON_POSTGRES = ["tests/annotation", "tests/pipelines"]
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


def workers() -> str:
    """As many as there are cores: with more, clips do not play in time in the browser tests."""
    return os.environ.get("TIEBREAK_TEST_WORKERS", str(min(4, len(os.sched_getaffinity(0)))))


def run(
    title: str, arguments: list[str], environment: dict[str, str]
) -> tuple[int, dict[str, int]]:
    print(f"== {title}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers(), "--dist", "loadgroup"]
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


def main() -> int:
    given = sys.argv[1:]
    # Who names files or folders wants those alone, on both engines.
    paths = [each for each in given if (ROOT / each.partition("::")[0]).exists()]
    code, total = run("SQLite", ["-m", "not gpu", *given], {"DATABASE_URL": ""})
    # Browser tests need one engine only; what processes do to each other is tested on both.
    with postgres() as url:
        environment = {
            "DATABASE_URL": url,
            "TIEBREAK_TEST_POSTGRES_URL": url,
            "TIEBREAK_SECOND_ENGINE": "1",
        }
        second, counts = run(
            "PostgreSQL",
            ["-m", "not gpu and not e2e", *given, *([] if paths else ON_POSTGRES)],
            environment,
        )
    for word, number in counts.items():
        total[word] = total.get(word, 0) + number
    failed = total.get("failed", 0)
    if (code or second) and not failed:
        failed = 1  # pytest broke before it could count
    print(f"{total.get('passed', 0)} passed, {failed} failed, {total.get('skipped', 0)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
