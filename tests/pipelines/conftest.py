"""Runs that are started for real, in seconds: a counting trainer and scaled constants of time."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.trainers import kinds_for_tests

TRAINERS = Path(__file__).parent / "trainers"
TIMES: dict[str, float | list[float]] = {
    "TIEBREAK_RUN_LEASE_SECONDS": 3.0,
    "TIEBREAK_RUN_LEASE_MARGIN_SECONDS": 1.0,
    "TIEBREAK_RUN_RENEW_SECONDS": 0.3,
    "TIEBREAK_RUN_POLL_SECONDS": 0.05,
    "TIEBREAK_RUN_GRACE_SECONDS": 1.0,
    "TIEBREAK_RUN_HANG_SECONDS": 20.0,
    "TIEBREAK_RUN_BACKOFF_SECONDS": [0.1, 0.2, 0.3],
    "TIEBREAK_RUN_LOOK_SECONDS": 0.5,
    "TIEBREAK_RUN_UNHEARD_SECONDS": 3.0,
}


@pytest.fixture
def short_times(settings: Any) -> Any:
    for name, value in TIMES.items():
        setattr(settings, name, value)
    return settings


@pytest.fixture
def test_kinds() -> Iterator[None]:
    kinds_for_tests.register()
    yield
    kinds_for_tests.unregister()


@pytest.fixture
def queue_count(short_times: Any, test_kinds: None, db: None) -> Callable[..., Any]:
    """Queue a run that counts; keywords go to its config."""
    from pipelines.starting import start_run

    def start(inputs: Any = None, *, kind: str = "counting", **config: Any) -> Any:
        return start_run(kind, config, inputs, user=None)

    return start


@pytest.fixture
def attempt() -> Callable[..., Any]:
    """Claim the next run and supervise it here, once. Gives the run as it is left."""
    from pipelines import lifecycle
    from pipelines.supervisor import supervise
    from pipelines.worker import owner_name

    def work(leave: threading.Event | None = None) -> Any:
        run = lifecycle.claim(["default", "gpu"], owner_name())
        assert run is not None, "there was nothing to claim"
        supervise(run, leave or threading.Event())
        run.refresh_from_db()
        return run

    return work


@pytest.fixture
def drain(attempt: Callable[..., Any]) -> Callable[[], None]:
    """Work until no run is queued."""
    from pipelines import lifecycle
    from pipelines.models import Run

    def work() -> None:
        deadline = time.monotonic() + 20
        while Run.objects.filter(state="queued").exists():
            assert time.monotonic() < deadline, "the queue does not empty"
            lifecycle.fail_without_inputs()
            if lifecycle.claimable(["default", "gpu"]).exists():
                attempt()
            else:
                time.sleep(0.02)

    return work


def child_environment(settings: Any, database_url: str, **more: str) -> dict[str, str]:
    """For a process that works on the test's database and folders."""
    times = {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in TIMES.items()
    }
    return {
        **os.environ,
        **times,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url,
        "RUNS_ROOT": str(settings.RUNS_ROOT),
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "ARTIFACT_STORE_URL": str(settings.ARTIFACT_STORE_URL),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **more,
    }


@pytest.fixture
def start_worker(
    short_times: Any, transactional_db: None, database_url: str, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `manage.py worker` as a process of its own; all are killed at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(TRAINERS / "manage.py"), "worker", *words],
                env=child_environment(short_times, database_url, **more),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for n in range(len(started)):
        print(f"--- worker {n}\n{(tmp_path / f'worker-{n}.log').read_text()}")


def steps_of(run: Any) -> list[dict[str, Any]]:
    """What the counting trainer noted: one entry per start and per step, with fence and time."""
    from pipelines import launching

    file = launching.run_dir(run).root / "steps.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value
