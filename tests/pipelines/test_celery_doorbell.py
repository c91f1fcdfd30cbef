"""Messages are hints: lost, late or doubled they do no harm, and nothing needs the broker."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from config.celery import app
from pipelines import doorbell, launching, tasks
from pipelines.models import Artifact, Run, RunState, WorkerHeartbeat
from pipelines.starting import start_run
from tests.pipelines.conftest import child_environment, steps_of, wait_until
from tools import services

ROOT = Path(__file__).parents[2]
NOBODY_LISTENS = "redis://127.0.0.1:9/0"


def test_without_a_broker_no_message_is_sent(
    queue_count: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a message was sent")

    monkeypatch.setattr("celery.app.base.Celery.send_task", never)
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        run = queue_count()
    assert len(callbacks) == 1
    assert doorbell.ring(run.pk, run.queue) is False


def test_a_celery_worker_refuses_settings_with_which_every_run_would_stop() -> None:
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "threads"]
    bad = {"CELERY_BROKER_URL": NOBODY_LISTENS, "TIEBREAK_RUN_LEASE_SECONDS": "3"}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **bad}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "pipelines.E001" in done.stderr


@pytest.mark.promise("J2")
def test_start_works_while_redis_is_down_and_says_so_in_the_log(
    queue_count: Any,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.CELERY_BROKER_URL = NOBODY_LISTENS
    began = time.monotonic()
    with (
        caplog.at_level(logging.WARNING),
        django_capture_on_commit_callbacks(execute=True),
    ):
        run = queue_count()
    assert time.monotonic() - began < 3
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert f"run {run.pk} stays queued until a worker looks by itself" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.promise("J1")
def test_a_run_that_is_rolled_back_rings_nobody(
    short_times: Any, test_kinds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(doorbell, "ring", lambda run_id, queue: rung.append(run_id))
    with transaction.atomic():
        start_run("counting", {}, user=None)
        transaction.set_rollback(True)
    assert (rung, Run.objects.count()) == ([], 0)
    run = start_run("counting", {}, user=None)
    assert rung == [run.pk]


def test_a_doorbell_with_nothing_to_claim_returns_at_once(queue_count: Any) -> None:
    run = queue_count(steps=2)
    tasks.ring(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    began = time.monotonic()
    tasks.ring(run.pk)
    tasks.ring(10**9)
    assert time.monotonic() - began < 0.2
    run.refresh_from_db()
    assert run.fence == 1


def test_the_sweep_rings_again_for_what_could_start_and_for_nothing_else(
    queue_count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(doorbell, "ring", lambda run_id, queue: rung.append(run_id))
    producer = queue_count()
    queue_count({"before": producer})
    tasks.sweep()
    assert rung == [producer.pk]


@pytest.fixture
def start_celery(
    short_times: Any, transactional_db: None, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, broker: str = redis_url) -> subprocess.Popen[bytes]:
        with (tmp_path / f"celery-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "tests.pipelines.trainers.celery_app"),
                    *("worker", "-Q", "default,gpu", "-n", f"w{len(started)}@%h", "-l", "INFO"),
                    *words,
                ],
                env=child_environment(short_times, database_url, CELERY_BROKER_URL=broker),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process

    yield start
    for n, process in enumerate(started):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"--- celery {n}\n{(tmp_path / f'celery-{n}.log').read_text()}")


def flush(redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()


POOLS = [("--pool", "threads", "-c", "2"), ("--pool", "prefork", "-c", "2")]


@pytest.mark.redis
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pool", POOLS, ids=["threads", "prefork"])
@pytest.mark.promise("J3")
def test_a_real_celery_worker_passes_a_run_though_the_doorbell_rings_many_times(
    start_celery: Any,
    queue_count: Any,
    settings: Any,
    redis_url: str,
    pool: tuple[str, ...],
) -> None:
    flush(redis_url)
    settings.CELERY_BROKER_URL = redis_url
    first = queue_count(steps=30, pause=0.01)
    second = queue_count({"before": first}, steps=3)
    for _ in range(30):
        assert doorbell.ring(first.pk, first.queue)
    start_celery(*pool)
    for run in (first, second):
        wait_until(lambda: Run.objects.get(pk=run.pk).state == "succeeded", "it succeeds", 40)  # noqa: B023
    first.refresh_from_db()
    assert (first.attempt, first.fence) == (1, 1)
    assert len([line for line in steps_of(first) if line["what"] == "start"]) == 1
    assert Artifact.objects.filter(run=first).count() == 1
    alive = WorkerHeartbeat.objects.get()
    assert (alive.queues, alive.slots) == (["default", "gpu"], 2)
    assert launching.leftovers(first) == []


@pytest.mark.redis
@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pool", POOLS, ids=["threads", "prefork"])
@pytest.mark.promise("J4")
def test_kill_9_of_a_celery_worker_leaves_no_process_and_the_sweep_brings_the_run_back(
    start_celery: Any,
    queue_count: Any,
    settings: Any,
    redis_url: str,
    pool: tuple[str, ...],
) -> None:
    flush(redis_url)
    settings.CELERY_BROKER_URL = redis_url
    run = queue_count(steps=60, pause=0.02, save_every=5)
    worker = start_celery(*pool)
    wait_until(lambda: len(steps_of(run)) > 12, "12 steps", 30)
    run.refresh_from_db()
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: launching.leftovers(run) == [], "the trainer is gone", 1.0)
    flush(redis_url)  # Redis has lost everything as well.
    start_celery(*pool)
    tasks.sweep()
    wait_until(lambda: Run.objects.get(pk=run.pk).state == "succeeded", "it succeeds", 40)
    run.refresh_from_db()
    assert run.fence == 2
    assert run.summary == {"value": 1830}


@pytest.mark.redis
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pool", POOLS, ids=["threads", "prefork"])
def test_a_celery_worker_that_is_asked_to_leave_does_not_wait_for_the_end_of_a_training(
    start_celery: Any,
    queue_count: Any,
    settings: Any,
    redis_url: str,
    pool: tuple[str, ...],
) -> None:
    flush(redis_url)
    settings.CELERY_BROKER_URL = redis_url
    run = queue_count(steps=5000, pause=0.01)
    worker = start_celery(*pool)
    wait_until(lambda: len(steps_of(run)) > 5, "5 steps", 30)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    run.refresh_from_db()
    assert (run.state, run.reason, run.attempt) == (RunState.QUEUED, "worker_left", 0)
    assert launching.leftovers(run) == []


@pytest.mark.redis
@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
@pytest.mark.promise("O1")
def test_a_run_does_not_notice_that_redis_has_died(
    start_celery: Any, queue_count: Any, settings: Any
) -> None:
    import redis

    with services.redis() as url:
        settings.CELERY_BROKER_URL = url
        run = queue_count(steps=100, pause=0.02)
        start_celery("--pool", "threads", "-c", "2", broker=url)
        wait_until(lambda: len(steps_of(run)) > 5, "5 steps", 30)
        with contextlib.suppress(redis.ConnectionError), redis.Redis.from_url(url) as client:
            client.shutdown(nosave=True)
        wait_until(lambda: Run.objects.get(pk=run.pk).state == "succeeded", "it succeeds", 30)
        run.refresh_from_db()
        assert (run.fence, run.attempt) == (1, 1)
        assert len([line for line in steps_of(run) if line["what"] == "start"]) == 1


@pytest.mark.redis
@pytest.mark.promise("J12")
def test_a_connection_that_the_network_has_forgotten_ends_within_a_minute(redis_url: str) -> None:
    with app.connection_for_read(redis_url) as connection:
        client = connection.default_channel.client
        client.ping()
        (kept,) = client.connection_pool._available_connections
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, between, probes = (kept._sock.getsockopt(socket.IPPROTO_TCP, each) for each in names)
        assert kept._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert idle + between * probes <= 60
