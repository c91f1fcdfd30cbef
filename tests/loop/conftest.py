"""What the loop tests share: a site with the micro world, and workers as real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.loops import demo_site
from pipelines.models import ENDED, LoopGroup, Run, RunState

ROOT = Path(__file__).parents[2]
LOOP_SECONDS = 420


@pytest.fixture
def child_environment(database_url: str, settings: Any, tmp_path: Path) -> dict[str, str]:
    """What a child process of the site sees: this test's database and folders."""
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "RUNS_ROOT": str(settings.RUNS_ROOT),
        "TIEBREAK_VAR": str(tmp_path / "var"),
        "TIEBREAK_RUN_BACKOFF_SECONDS": "0.2,0.2,0.2",
        "TIEBREAK_RUN_POLL_SECONDS": "0.2",
        "TIEBREAK_RUN_RENEW_SECONDS": "1",
        "TIEBREAK_RUN_LEASE_SECONDS": "8",
        "TIEBREAK_RUN_LEASE_MARGIN_SECONDS": "2",
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def process(argv: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A process of its own session that is gone at the end, whatever happens."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.fixture
def worker(child_environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Start `manage.py worker` as a real process: `with worker() as process: …`."""

    def start(**more: str) -> Any:
        argv = [sys.executable, str(ROOT / "manage.py"), "worker", "--slots", "2"]
        return process(argv, {**child_environment, **more}, tmp_path / "worker.log")

    return start


@pytest.fixture
def celery_worker(child_environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Start a real Celery worker on a broker."""

    def start(broker: str) -> Any:
        argv = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "threads"]
        argv += ["--concurrency", "2", "--queues", "default,io,gpu", "--loglevel", "INFO"]
        environment = {**child_environment, "CELERY_BROKER_URL": broker}
        return process(argv, environment, tmp_path / "celery.log")

    return start


def wait_until(done: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.3)


@pytest.fixture
def loop(live_server: Any, settings: Any, tmp_path: Path) -> LoopGroup:
    """The micro demo, filled: its runs are queued and no worker is there."""
    settings.VAR = tmp_path / "var"
    values = demo_site.preset("micro")
    demo_site.prepare(values)
    return demo_site.fill(values, live_server.url, lambda text: None)


def story(log: Path) -> str:
    runs = "\n".join(f"{r.pk} {r.kind} {r.state} {r.reason} {r.message}" for r in Run.objects.all())
    return f"{runs}\n{log.read_text()[-3000:] if log.exists() else 'no log'}"


def await_the_end(log: Path) -> None:
    """Every run that nobody cancelled has succeeded."""
    wanted = Run.objects.exclude(state=RunState.CANCELLED)

    def ended() -> bool:
        states = set(wanted.values_list("state", flat=True))
        return states <= set(ENDED) or RunState.FAILED in states

    wait_until(ended, LOOP_SECONDS, lambda: story(log))
    assert set(wanted.values_list("state", flat=True)) == {RunState.SUCCEEDED}, story(log)
