"""Real Celery workers, Redis and web servers as processes, which the tests kill (J1-J12, O1).

What each test tries in `make test` is little (tests/promises.py); time constants are those of
tests/pipelines/conftest.py, some twenty times shorter than in production.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines import launching
from pipelines.models import ACTIVE, Run, RunState
from tests.pipelines.conftest import TIMES, child_environment, steps_of, wait_until
from tools.processes import children
from tools.services import RedisServer, ServiceMissing, redis_server
from tools.web import Application, WebServer, gunicorn

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
LEASE = float(TIMES["TIEBREAK_RUN_LEASE_SECONDS"])  # type: ignore[arg-type]
# Between a worker's death and its run back in the queue: the lease, and the 15 s of the promise
# until somebody looks.
BACK_WITHIN = LEASE + 15
NO_BROKER = "redis://127.0.0.1:9/0"

# Brings what the tests of J1-J12 need anyway: short times, tables that others see, counting runs.
Queue = Callable[..., Run]


@dataclass
class Fleet:
    """Processes that a test started; all of them are gone when it ends."""

    settings: Any
    database_url: str
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def celery(
        self, broker: str, *words: str, mutant: str = "", **more: str
    ) -> subprocess.Popen[bytes]:
        command = [
            # Quietly: its banner is no line of a log.
            *("-m", "celery", "-q", "-A", "tests.pipelines.promises.spoiled_celery", "worker"),
            *("-Q", "default,gpu,io", "-n", f"w{len(self.started)}@%h", "-l", "INFO"),
            *("--without-gossip", "--without-mingle"),
            *(words or ("--pool", "threads", "-c", "2")),
        ]
        return self._start(command, MUTANT=mutant, CELERY_BROKER_URL=broker, **more)

    def worker(self, *words: str, mutant: str = "", **more: str) -> subprocess.Popen[bytes]:
        command = [str(HERE / "spoiled_manage.py"), "worker", *words]
        return self._start(command, MUTANT=mutant, **more)

    def _start(self, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"process-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=child_environment(self.settings, self.database_url, **more),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"process-{self.started.index(process)}.log").read_text()

    def ready(self, *processes: subprocess.Popen[bytes]) -> None:
        """Wait until Celery workers listen."""
        for each in processes:
            wait_until(lambda: self._is_ready(each), "the worker is ready", 60)  # noqa: B023

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, f"the worker ended:\n{self.log(process)[-3000:]}"
        return " ready." in self.log(process)

    def end(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def fleet(
    short_times: Any, test_kinds: None, transactional_db: None, database_url: str, tmp_path: Path
) -> Iterator[Fleet]:
    found = Fleet(short_times, database_url, tmp_path)
    yield found
    found.end()
    for process in found.started:
        print(f"--- {process.args}\n{found.log(process)[-6000:]}")


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test alone, to be killed."""
    from tests.conftest import unavailable

    try:
        with redis_server() as server:
            yield server
    except ServiceMissing as error:
        unavailable(str(error))


# The site.


@dataclass
class Site:
    """A web server, and a person who starts runs through the API."""

    server: WebServer
    token: str

    def start(self, accident: str = "", **config: Any) -> int:
        """The answer's status; 0 where there was no answer. The run is named for the test."""
        body = json.dumps({"kind": "counting", "config": config, "name": accident})
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "X-Accident": accident,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("POST", "/api/runs", body, headers)
            return connection.getresponse().status
        except (http.client.HTTPException, OSError):
            return 0
        finally:
            connection.close()


@pytest.fixture
def serve(fleet: Fleet, mia: Any, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    from annotation.accounts.tokens import make_token

    _, token = make_token(mia, "tests of promises")
    with contextlib.ExitStack() as stack:

        def start(broker: str, *, mutant: str = "", workers: int = 1) -> Site:
            environment = child_environment(
                fleet.settings, fleet.database_url, CELERY_BROKER_URL=broker, MUTANT=mutant
            )
            environment["TIEBREAK_TOKEN_RATE"] = environment["TIEBREAK_COSTLY_RATE"] = "9999/min"
            application = Application("spoiled_site", HERE)
            served = gunicorn(
                environment, tmp_path / "web.log", application=application, workers=workers
            )
            return Site(stack.enter_context(served), token)

        yield start


# Runs.


def state_of(run: Run) -> str:
    return str(Run.objects.values_list("state", flat=True).get(pk=run.pk))


def succeeded(runs: Sequence[Run], seconds: float = 60) -> list[Run]:
    keys = [run.pk for run in runs]
    others = Run.objects.filter(pk__in=keys).exclude(state=RunState.SUCCEEDED)
    wait_until(lambda: not others.exists(), f"{len(runs)} runs succeed", seconds)
    return list(Run.objects.filter(pk__in=keys).order_by("pk"))


def counted(run: Run, steps: int) -> Callable[[], bool]:
    return lambda: len([line for line in steps_of(run) if line["what"] == "step"]) >= steps


def starts(run: Run) -> list[int]:
    """At which step each attempt of it began."""
    return [line["step"] for line in steps_of(run) if line["what"] == "start"]


def seconds_of(run: Run, after: str, since: Any) -> float | None:
    """When it first came to that state after a moment; None: not yet."""
    event = run.events.filter(after=after, at__gte=since).first()
    return None if event is None else float((event.at - since).total_seconds())


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def pick(chance: random.Random, pids: Sequence[int]) -> int | None:
    return chance.choice(list(pids)) if pids else None


def owned_by(pids: Sequence[int]) -> list[Run]:
    """The runs that these processes work on."""
    return [
        run
        for run in Run.objects.filter(state__in=ACTIVE)
        if any(f":{pid}:" in run.owner for pid in pids)
    ]


def family(process: subprocess.Popen[bytes]) -> list[int]:
    return [process.pid, *children(process.pid)]


def leftovers(*runs: Run) -> list[int]:
    return [pid for run in runs for pid in launching.leftovers(run)]


def since_now() -> tuple[Any, float]:
    from django.utils import timezone

    return timezone.now(), time.monotonic()
