"""All processes of a site for the soak, natively: PostgreSQL, Redis, gunicorn, Celery with beat.

What dies is started again at once, as `restart: always` does in docker-compose.yml.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.annotation_site import Site
from tools.processes import children
from tools.services import PostgresServer, RedisServer, postgres_server, redis_server
from tools.web import ROOT, WebServer, gunicorn

TAG: Final = b"TIEBREAK_RUN_TAG="
# As in production, but for the pause after a failure: half an hour is too short for five minutes.
BACK_OFF: Final = "2,5,10"
LEASE_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class SoakSite(Site):
    broker: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **Site.environment.fget(self),  # type: ignore[attr-defined]
            "CELERY_BROKER_URL": self.broker,
            "TIEBREAK_LOG_LEVEL": "INFO",
            "TIEBREAK_RUN_BACKOFF_SECONDS": BACK_OFF,
            "TIEBREAK_RUN_LEASE_SECONDS": str(LEASE_SECONDS),
            "TIEBREAK_RUN_RENEW_SECONDS": str(RENEW_SECONDS),
            # One person of a script asks for all runs every two seconds.
            "TIEBREAK_TOKEN_RATE": "9999/min",
            "TIEBREAK_COSTLY_RATE": "9999/min",
            "OMP_NUM_THREADS": "1",
        }

    def soak_job(self, job: str, /, **orders: Any) -> dict[str, Any]:
        """A job of bench.soak_jobs in a process of its own."""
        said = self._run([sys.executable, "-m", "bench.soak_jobs", job], json.dumps(orders))
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer


@dataclass(slots=True)
class Tagged:
    """A process that works on a run: a trainer, or one of its own children."""

    pid: int
    run: int
    fence: int


@dataclass
class Stack:
    site: SoakSite
    postgres: PostgresServer
    redis: RedisServer
    web: WebServer
    kept: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: int = 0

    @property
    def runs_root(self) -> Path:
        return self.site.folder / "var" / "runs"

    @property
    def workers(self) -> list[subprocess.Popen[bytes]]:
        return [process for name, process in self.kept.items() if name != "beat"]

    def start(self) -> None:
        for name in ("worker-a", "worker-b", "beat"):
            self.kept[name] = self._start(name)

    def keep(self) -> None:
        """Start again what has died."""
        for name, process in self.kept.items():
            if process.poll() is not None:
                self.kept[name] = self._start(name)
                self.restarts += 1

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        words = ["worker", "-n", f"{name}@%h", "-Q", "default,io,gpu", "--pool", "prefork"]
        words += ["-c", "2"]
        if name == "beat":
            words = ["beat", "-s", str(self.site.folder / "beat.schedule"), "--pidfile", ""]
        with (self.site.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "config", *words, "-l", "INFO"],
                cwd=ROOT,
                env={**os.environ, **self.site.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """As an operator does: ask, wait, and only then kill."""
        for process in self.kept.values():
            process.send_signal(signal.SIGTERM)
        for process in self.kept.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def tagged(self) -> list[Tagged]:
        """Every process that belongs to a run of this site."""
        return list(_tagged(f"{self.runs_root}/".encode()))

    def below(self, pid: int) -> list[Tagged]:
        """Those whose run is supervised by this process or by one of its pool."""
        supervisors = {pid, *children(pid)}
        return [each for each in self.tagged() if _parent(each.pid) in supervisors]


def _tagged(root: bytes) -> Iterator[Tagged]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for entry in entries:
            if entry.startswith(TAG + root):
                run, _, fence = entry.removeprefix(TAG + root).partition(b"#")
                yield Tagged(int(folder.name), int(run), int(fence))


def _parent(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[1])


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """A migrated site with everything that it stands on; its workers start with `start`."""
    with ExitStack() as everything:
        postgres = everything.enter_context(postgres_server(durable=True))
        redis = everything.enter_context(redis_server())
        site = SoakSite(postgres.url, folder, redis.url)
        site.set_up()
        served = gunicorn(site.environment, folder / "web.log", workers=2)
        found = Stack(site, postgres, redis, everything.enter_context(served))
        try:
            yield found
        finally:
            found.stop()


def gone_within(found: Stack, pids: set[int], seconds: float) -> float | None:
    """How long until none of these processes is there; None: some still are."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if not pids & {each.pid for each in found.tagged()}:
            return time.monotonic() - began
        time.sleep(0.05)
    return None
