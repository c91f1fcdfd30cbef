"""Our own site for the benchmark: a database, what is done to it in child processes, a gunicorn."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tools.processes import cpu_seconds
from tools.web import ROOT, WebServer, gunicorn


@dataclass(frozen=True, slots=True)
class Site:
    database: str  # URL
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "TIEBREAK_VAR": str(self.folder / "var"),
            "TIEBREAK_MODE": "development",
            "TIEBREAK_LOG_LEVEL": "WARNING",
            "CELERY_BROKER_URL": "",
        }

    def set_up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for command in (["migrate", "-v", "0"], ["collectstatic", "--noinput", "-v", "0"]):
            self._run([sys.executable, "manage.py", *command], "")

    def job(self, job: str, /, **orders: Any) -> dict[str, Any]:
        """A job of bench.annotation_jobs in a process of its own."""
        said = self._run([sys.executable, "-m", "bench.annotation_jobs", job], json.dumps(orders))
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def _run(self, command: list[str], said: str) -> str:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **self.environment},
            input=said,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return done.stdout

    @property
    def log(self) -> Path:
        return self.folder / "web.log"

    @contextmanager
    def served(self, *, workers: int = 4, threads: int = 2) -> Iterator[WebServer]:
        with gunicorn(self.environment, self.log, workers=workers, threads=threads) as server:
            yield server


class CpuMeter:
    """CPU time of process trees by name, while it is on."""

    def __init__(self, **trees: int):
        self._trees = trees
        self.seconds = dict.fromkeys(trees, 0.0)

    def __enter__(self) -> Self:
        self._before = {name: cpu_seconds(pid) for name, pid in self._trees.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for name, pid in self._trees.items():
            self.seconds[name] += cpu_seconds(pid) - self._before[name]

    def milliseconds_per(self, count: int) -> dict[str, float]:
        return {name: round(1000 * each / max(count, 1), 1) for name, each in self.seconds.items()}
