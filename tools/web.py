"""A site behind gunicorn, as in production, for fault tests and benchmarks."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.processes import children
from tools.services import DIES_WITH_ITS_PARENT, free_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Application:
    """What gunicorn serves: by default, this checkout."""

    module: str = "config.wsgi"
    folder: Path = ROOT
    python: str = sys.executable
    config: str = "python:config.gunicorn"  # as production runs it; none: gunicorn's own


class WebServer:
    """A running gunicorn. Its master starts a new worker for each one that dies."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path):
        self.process, self.port, self.log = process, port, log
        self.url = f"http://127.0.0.1:{port}"
        self.killed = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill_a_worker(self, chance: random.Random) -> None:
        workers = children(self.pid)
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            self.killed += 1

    def wait_until_it_answers(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not _answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"gunicorn did not come up:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once; whoever is served loses the answer
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def gunicorn(
    environment: Mapping[str, str],
    log: Path,
    *,
    workers: int = 4,
    threads: int = 2,
    application: Application | None = None,
) -> Iterator[WebServer]:
    """Serve on a free port of loopback until the block ends."""
    application = application or Application()
    port = free_port()
    command = [
        *DIES_WITH_ITS_PARENT, application.python, "-m", "gunicorn", application.module,
        "--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--threads", str(threads),
        "--timeout", "60", "--graceful-timeout", "5",
        # As behind a proxy, which keeps its connections open: 2 s would cut off slow voters.
        "--keep-alive", "30", *(["--config", application.config] if application.config else []),
    ]  # fmt: skip
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=application.folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    server = WebServer(process, port, log)
    try:
        server.wait_until_it_answers(120)
        yield server
    finally:
        server.stop()


def _answers(port: int) -> bool:
    """An answer to HTTP: the master listens long before a worker has loaded the site."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(30)
            connection.sendall(b"HEAD / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer = connection.recv(16)
            return answer.startswith(b"HTTP/") and not answer.startswith(b"HTTP/1.1 5")
    except OSError:
        return False
