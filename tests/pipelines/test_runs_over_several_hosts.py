"""A run on several hosts: started by the site's launcher, stopped together, never half alive."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from formats import leases
from formats.checkpoints import newest_verified
from formats.run_dir import RunDir
from pipelines import kinds, launchers, launching
from pipelines.errors import InvalidRunConfig
from pipelines.models import ENDED, Run
from pipelines.starting import cancel_run
from pipelines.worker import Worker
from tests.pipelines.conftest import TRAINERS, wait_until
from tests.promises import counts
from trainers import launched
from trainers.hosts import Layout, Table

Queue = Callable[..., Run]
# Of `make test`: processes that need no torch, on two hosts.
HOSTS, TALK = counts(2, 3, 3), counts(False, True, True)
SRUN = f"{sys.executable} {TRAINERS / 'srun.py'} --nodes={{hosts}}"


@pytest.fixture
def site(short_times: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hosts of one process each, none of which is that of the worker."""
    short_times.TIEBREAK_LAUNCHER = SRUN
    short_times.TIEBREAK_LAUNCHER_HOSTS = 3
    short_times.TIEBREAK_RUN_LEASE_SECONDS, short_times.TIEBREAK_RUN_LEASE_MARGIN_SECONDS = 12, 4
    short_times.TIEBREAK_RUN_HANG_SECONDS = 120
    short_times.TIEBREAK_RUN_GRACE_SECONDS = 15
    monkeypatch.setattr(leases, "this_boot", lambda: "that of the worker's host")
    return short_times


@pytest.fixture
def work(site: Any) -> Iterator[Callable[[], None]]:
    """A worker of the queue gpu that is at work beside the test."""
    threads: list[tuple[Worker, threading.Thread]] = []

    def start() -> None:
        worker = Worker(["gpu"], slots=1)

        def working() -> None:
            worker.run()
            connection.close()  # this thread's own

        thread = threading.Thread(target=working)
        thread.start()
        threads.append((worker, thread))

    yield start
    for worker, thread in threads:
        worker.leave.set()
        thread.join(60)


def places(run: Run, fence: int) -> list[dict[str, Any]]:
    """Which processes this attempt had, as they said themselves."""
    file = launching.run_dir(run).root / "places.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    found = [row for row in map(json.loads, lines) if row["fence"] == fence]
    return sorted(found, key=lambda row: row["rank"])


def alive(rows: list[dict[str, Any]]) -> list[int]:
    return [row["pid"] for row in rows if Path(f"/proc/{row['pid']}").exists()]


def steps(run: Run) -> int:
    lines, _ = launching.run_dir(run).metrics_from(0)
    return lines[-1].step if lines else 0


def at_work(run: Run, fence: int, beyond: int, processes: int = HOSTS) -> list[dict[str, Any]]:
    wait_until(lambda: len(places(run, fence)) == processes, "all processes", 90)
    wait_until(lambda: steps(run) > beyond, "it goes on", 30)
    return places(run, fence)


@pytest.mark.promise("J14")
@pytest.mark.faults
@pytest.mark.one_engine
@pytest.mark.django_db(transaction=True)
def test_losing_any_process_stops_all_hosts_and_the_run_goes_on_under_a_new_fence(
    queue_count: Queue, work: Callable[[], None], figures: Any
) -> None:
    killed = counts([1], [0, 1, 2], [0, 1, 2] * 4)
    total = 10 * (len(killed) + 1)
    run = queue_count(kind="far", processes=HOSTS, steps=total, pause=0.05, talk=TALK)
    Run.objects.filter(pk=run.pk).update(max_attempts=len(killed) + 1)
    work()
    slowest = 0.0
    for fence, rank in enumerate(killed, start=1):
        rows = at_work(run, fence, beyond=10 * fence - 4)
        assert len({row["address"] for row in rows}) == HOSTS
        os.kill(rows[rank]["pid"], signal.SIGKILL)
        died = time.monotonic()
        wait_until(lambda: not alive(rows), "all hosts stop", 20)  # noqa: B023 - called at once
        wait_until(lambda: Run.objects.get(pk=run.pk).fence > fence, "it is claimed", 30)  # noqa: B023
        slowest = max(slowest, time.monotonic() - died)
    wait_until(lambda: Run.objects.get(pk=run.pk).state in ENDED, "it ends", 90)
    run.refresh_from_db()
    assert run.state == "succeeded", launching.run_dir(run).log_file.read_text()
    assert (run.fence, run.attempt) == (len(killed) + 1, len(killed) + 1)
    # What was lost was made again, and nothing was counted twice.
    once = total * (total + 1) // 2
    assert run.summary == {"value": once * sum(range(1, HOSTS + 1)), "processes": HOSTS}
    back = run.events.filter(before="running", after="queued")
    assert list(back.values_list("note", flat=True)) == ["killed"] * len(killed)
    assert launching.leftovers(run) == []
    figures("J14", killed=len(killed), recovered=len(killed), slowest_s=round(slowest, 1))


@pytest.mark.mutant("J14")
@pytest.mark.faults
@pytest.mark.one_engine
@pytest.mark.django_db(transaction=True)
def test_hosts_that_do_not_tell_one_another_go_on_without_the_process_that_was_lost(
    queue_count: Queue, work: Callable[[], None], site: Any
) -> None:
    site.TIEBREAK_LAUNCHER = f"{SRUN} --lonely"
    run = queue_count(kind="far", processes=2, steps=5000, pause=0.02, talk=False)
    work()
    # On a machine that stood still for a lease the run begins anew: then once more.
    assert any(_first_goes_on(run, fence) for fence in (1, 2, 3))
    assert Run.objects.get(pk=run.pk).state == "running"


def _first_goes_on(run: Run, fence: int) -> bool:
    first, second = at_work(run, fence, beyond=3, processes=2)
    os.kill(second["pid"], signal.SIGKILL)
    time.sleep(6)
    return alive([first]) == [first["pid"]]


@pytest.mark.faults
@pytest.mark.one_engine
@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_ends_on_all_hosts_though_the_launcher_hands_no_signal_on(
    queue_count: Queue, work: Callable[[], None], site: Any, mia: Any
) -> None:
    site.TIEBREAK_LAUNCHER = f"{SRUN} --deaf"
    hosts = counts(1, 3, 3)
    run = queue_count(kind="far", processes=hosts, steps=5000, pause=0.02, talk=TALK)
    work()
    rows = at_work(run, 1, beyond=3, processes=hosts)
    run.refresh_from_db()
    cancel_run(run, mia)
    began = time.monotonic()
    wait_until(lambda: Run.objects.get(pk=run.pk).state == "cancelled", "it is cancelled", 15)
    assert time.monotonic() - began < 10
    assert alive(rows) == []
    # They were asked, and have saved; nobody was killed.
    saved = newest_verified(launching.run_dir(run).checkpoints, print)
    assert saved is not None
    assert saved.step >= steps(run)


# What is started, without starting it.


def test_the_launcher_gets_the_trainer_and_the_run_directory_and_nothing_else(
    queue_count: Queue, settings: Any
) -> None:
    settings.TIEBREAK_LAUNCHER = "srun --nodes={hosts} --gpus-per-node={processes} --label 'a b'"
    settings.TIEBREAK_LAUNCHER_HOSTS, settings.TIEBREAK_LAUNCHER_PROCESSES = 4, 8
    run = queue_count(kind="far", processes=16)
    run.fence = 7
    folder = str(launching.run_dir(run).root)
    python = [sys.executable, "-I", "-m"]
    trainer = str(TRAINERS / "together_torch.py")
    assert launching.command_line(kinds.get("far"), run) == [
        *python, "trainers.launched",
        "srun", "--nodes=2", "--gpus-per-node=8", "--label", "a b", "--",
        *python, "trainers.torchrun", "2x8@7", "-I", trainer, folder,
    ]  # fmt: skip


def test_only_trainers_of_the_queue_gpu_go_to_the_launcher(
    queue_count: Queue, settings: Any
) -> None:
    here = queue_count(kind="counting")
    plain = launching.command_line(kinds.get("counting"), here)
    settings.TIEBREAK_LAUNCHER = "srun"
    assert launching.command_line(kinds.get("counting"), here) == plain
    assert launching.command_line(kinds.get("performing"), here)[1].endswith("manage.py")


@pytest.mark.parametrize(
    ("processes", "expected"), [(1, (1, 1)), (7, (1, 7)), (8, (1, 8)), (16, (2, 8)), (12, (2, 6))]
)
def test_as_few_hosts_as_will_do(processes: int, expected: tuple[int, int], settings: Any) -> None:
    settings.TIEBREAK_LAUNCHER_HOSTS, settings.TIEBREAK_LAUNCHER_PROCESSES = 3, 8
    found = launchers.places_for(processes)
    assert (found.hosts, found.each) == expected


def test_processes_that_no_hosts_can_hold_are_refused_with_what_they_can(settings: Any) -> None:
    settings.TIEBREAK_LAUNCHER_HOSTS, settings.TIEBREAK_LAUNCHER_PROCESSES = 3, 8
    with pytest.raises(InvalidRunConfig, match="at most 24 processes of one run"):
        launchers.places_for(25)
    with pytest.raises(InvalidRunConfig, match="9 processes do not share hosts of 8 evenly"):
        launchers.places_for(9)


def test_no_secret_goes_to_other_hosts_whatever_a_pattern_would_let_through(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TIEBREAK_LAUNCHER_ENVIRONMENT = ["SLURM_*", "*"]
    secret = ["SLURM_JWT", "SECRET_KEY", "DATABASE_URL", "PGPASSWORD", "MEDIA_S3_SECRET_KEY"]
    secret += ["CELERY_BROKER_URL", "EMAIL_URL", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "CACHE_URL"]
    for name in (*secret, "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "x")
    found = launchers.far_environment()
    assert found["SLURM_JOB_ID"] == "x"
    assert [name for name in secret if name in found] == []


# What hosts say to one another.


@pytest.mark.parametrize(
    ("word", "layout"),
    [("4", Layout(1, 4)), ("2x8@17", Layout(2, 8, "17")), ("1x1@a.0-2", Layout(1, 1, "a.0-2"))],
)
def test_a_layout_is_read_from_its_word(word: str, layout: Layout) -> None:
    assert Layout.read(word) == layout
    assert word in (layout.word, "4")


@pytest.mark.parametrize("word", ["2x8", "2x8@", "2x8@../..", "x", "2x@1", "two"])
def test_a_layout_without_an_attempt_or_numbers_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"name the attempt|invalid literal"):
        Layout.read(word)


def test_hosts_meet_where_the_first_one_is(tmp_path: Path) -> None:
    first, second = Table(tmp_path, "7"), Table(tmp_path, "7")
    address, port, here = first.meet("127.0.0.1")
    assert here
    assert second.meet("127.0.0.2") == (address, port, False)
    assert Table(tmp_path, "8").meet("127.0.0.2")[2]  # another attempt meets anew


def test_the_port_where_they_meet_is_none_that_connections_are_given(tmp_path: Path) -> None:
    """Seconds pass before torchrun listens there, and a busy host opens many in between."""
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [Table(tmp_path, str(attempt)).meet("127.0.0.1")[1] for attempt in range(30)]
    assert [port for port in ports if lowest <= port <= highest] == []
    assert len(set(ports)) > 25


def test_the_launcher_ends_as_the_hosts_say_and_for_itself_before_any_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "outcome.json").write_text("{}")
    old = Table(tmp_path, "6")
    old.stop(64)

    def ends_with(code: int) -> int:
        launcher = [sys.executable, "-c", f"import sys; sys.exit({code})"]
        part = ["python", "-I", "-m", "trainers.torchrun", "2x1@7", "-I", "t.py", str(tmp_path)]
        return launched.main([*launcher, "--", *part])

    kept = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    try:
        assert ends_with(0) == 0
        assert ends_with(3) == 3  # it never came to a host
        assert not (tmp_path / "outcome.json").exists()
    finally:
        signal.signal(signal.SIGTERM, kept[0])
        signal.signal(signal.SIGUSR1, kept[1])
    assert launched._cause(137, _said(tmp_path, "a", 1, -9)) == -9
    assert launched._cause(143, _said(tmp_path, "b", 1, 64)) == 64
    assert launched._cause(0, _said(tmp_path, "c", 75)) == 0  # asked when it was done
    assert RunDir(tmp_path).outcome() is None


def _said(folder: Path, attempt: str, *codes: int) -> Table:
    table = Table(folder, attempt)
    for code in codes:
        table.stop(code)
    return table
