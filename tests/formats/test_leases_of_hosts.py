"""A lease ends in time on every host: by the writer's clock on its own, by its term elsewhere."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from formats import leases
from formats.leases import TAG, Lease, LeaseWatch
from formats.outcome import ExitCode
from formats.run_dir import RunDir

HERE, ELSEWHERE = "this boot", "another boot"


class Clock:
    """The monotonic clock of a host, which began to count at any time."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lease.json"


def written(file: Path, fence: int, at: float, *, boot: str = HERE) -> None:
    """As a supervisor on a host whose clock shows `at`: 50 s to save and stop, 60 s in all."""
    Lease(fence, at + 50, at + 60, boot, 50.0).write(file)


def test_on_the_writers_host_the_moments_are_those_of_the_file(file: Path) -> None:
    clock = Clock(1000.0)
    written(file, 3, at=990.0)
    lease = LeaseWatch(file, clock=clock, boot=HERE).look()
    assert lease is not None
    assert (lease.fence, lease.deadline, lease.end) == (3, 1040.0, 1050.0)


@pytest.mark.promise("J5")
@pytest.mark.parametrize("began", [5.0, 1000.0, 9e6])
def test_elsewhere_a_lease_counts_from_when_its_renewal_was_seen(file: Path, began: float) -> None:
    clock = Clock(began)
    written(file, 3, at=990.0)
    watch = LeaseWatch(file, clock=clock, boot=ELSEWHERE)
    first = watch.look()
    assert first is not None
    assert (first.deadline, first.end) == (began + 50, began + 60)
    clock.now += 30
    assert watch.look() == first  # the same renewal does not count anew
    written(file, 3, at=1020.0)
    second = watch.look()
    assert second is not None
    assert (second.deadline, second.end) == (began + 80, began + 90)


@pytest.mark.promise("J5")
def test_the_lease_of_a_supervisor_that_fell_silent_is_over_on_every_host(file: Path) -> None:
    here, elsewhere = Clock(990.0), Clock(7.0)
    written(file, 3, at=990.0)
    watches = [LeaseWatch(file, clock=here, boot=HERE)]
    watches.append(LeaseWatch(file, clock=elsewhere, boot=ELSEWHERE))
    assert [watch.over(3) for watch in watches] == ["", ""]
    here.now, elsewhere.now = here.now + 59, elsewhere.now + 59
    assert [watch.over(3) for watch in watches] == ["", ""]
    here.now, elsewhere.now = here.now + 2, elsewhere.now + 2
    assert [watch.over(3) for watch in watches] == ["the lease is over"] * 2


@pytest.mark.mutant("J5")
def test_a_deadline_of_another_hosts_clock_taken_as_ours_would_never_come(file: Path) -> None:
    written(file, 3, at=9e6)  # a host that has been up for a hundred days
    naive = Lease.read(file)
    assert naive is not None
    assert naive.deadline - 7.0 > 8e6


@pytest.mark.promise("J5")
def test_another_fence_ends_a_process_and_an_unreadable_lease_counts_as_not_renewed(
    file: Path,
) -> None:
    clock = Clock(990.0)
    written(file, 3, at=990.0)
    watch = LeaseWatch(file, clock=clock, boot=HERE)
    assert watch.over(2) == "another worker owns the run"
    assert watch.over(3) == ""
    file.write_text("{ half a")
    assert watch.over(3) == ""
    clock.now += 61
    assert watch.over(3) == "the lease is over"
    assert LeaseWatch(file.with_name("none"), clock=clock, boot=HERE).over(3) == ""


@pytest.mark.promise("J5")
def test_a_former_owner_that_slept_while_it_wrote_stops_nobody(file: Path) -> None:
    clock = Clock(990.0)
    written(file, 3, at=990.0)
    watch = LeaseWatch(file, clock=clock, boot=HERE)
    assert watch.over(3) == ""
    written(file, 2, at=985.0)
    assert watch.over(3) == ""
    clock.now += 61
    assert watch.over(3) == "the lease is over"  # the late one prolongs nothing either
    written(file, 3, at=clock.now)
    assert watch.over(3) == ""
    written(file, 4, at=clock.now)
    assert watch.over(3) == "another worker owns the run"


@pytest.mark.mutant("J5")
def test_taken_at_its_word_the_late_lease_would_stop_the_new_owner(file: Path) -> None:
    written(file, 3, at=990.0)
    written(file, 2, at=985.0)
    naive = LeaseWatch(file, clock=Clock(990.0), boot=HERE)  # it has seen no other
    assert naive.over(3) == "another worker owns the run"


def test_a_lease_without_a_host_is_one_of_this_host(file: Path) -> None:
    file.write_text('{"schema": "lease/1", "fence": 4, "deadline": 77.5}')
    lease = LeaseWatch(file, boot=HERE).look()
    assert lease is not None
    assert (lease.fence, lease.deadline, lease.end) == (4, 77.5, 77.5)


def test_a_run_directory_writes_what_its_own_host_reads(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    now = time.monotonic()
    run.write_lease(5, now + 50, now + 60)
    lease = LeaseWatch(run.lease_file).look()
    assert lease is not None
    assert (lease.fence, lease.deadline, lease.end) == (5, now + 50, now + 60)
    assert lease.term == pytest.approx(50, abs=1)
    assert (run.lease(), lease.boot) == ((5, now + 50), leases.this_boot())


# Processes. One that hangs in a call never comes to its next step.

HANGS = """
import sys, time
from formats.run_dir import RunDir
from formats.supervised import end_process, supervise

def body(run):
    (run.dir.root / "fence").write_text(str(run.fence))
    while True:
        time.sleep(3600)

end_process(supervise(body, RunDir(sys.argv[1])))
"""
STEPS = HANGS.replace("time.sleep(3600)", "run.check(); time.sleep(0.02)")


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    def started(program: str, fence: int | None = 1) -> subprocess.Popen[bytes]:
        tag = {} if fence is None else {TAG: f"{tmp_path}#{fence}"}
        words = [sys.executable, "-c", program, str(tmp_path)]
        return subprocess.Popen(words, env={**os.environ, **tag}, stderr=subprocess.DEVNULL)

    return started


def ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


@pytest.mark.promise("J5")
@pytest.mark.faults
@pytest.mark.parametrize("boot", ["", ELSEWHERE], ids=["here", "another host"])
def test_a_process_that_hangs_ends_with_its_lease(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]], boot: str
) -> None:
    now = time.monotonic()
    lag = 0.0 if not boot else 1e6  # the clocks of two hosts have nothing in common
    Lease(1, now + lag + 0.5, now + lag + 1.0, boot, 0.5).write(tmp_path / "lease.json")
    process = start(HANGS)
    assert ended(process, 10) == ExitCode.RUN_ME_AGAIN
    assert time.monotonic() - now < 6


@pytest.mark.promise("J5")
@pytest.mark.faults
def test_a_process_that_hangs_ends_when_another_worker_owns_its_run(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    run = RunDir(tmp_path)
    run.write_lease(1, time.monotonic() + 600)
    process = start(HANGS)
    while not (tmp_path / "fence").exists():
        time.sleep(0.02)
    run.write_lease(2, time.monotonic() + 600)
    assert ended(process, 10) == ExitCode.RUN_ME_AGAIN


@pytest.mark.promise("J5")
@pytest.mark.faults
def test_a_process_that_starts_late_does_not_take_the_next_lease_for_its_own(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    RunDir(tmp_path).write_lease(8, time.monotonic() + 600)
    late = start(STEPS, fence=7)  # as a scheduler may start it, long after its worker died
    assert ended(late, 10) == ExitCode.RUN_ME_AGAIN


@pytest.mark.mutant("J5")
@pytest.mark.faults
def test_without_the_fence_it_was_started_with_it_would_go_on(
    tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    RunDir(tmp_path).write_lease(8, time.monotonic() + 600)
    process = start(STEPS, fence=None)
    assert ended(process, 1.5) is None
    assert (tmp_path / "fence").read_text() == "8"
