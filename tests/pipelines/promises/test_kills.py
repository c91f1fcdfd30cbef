"""Whatever is killed, the run goes back into the queue, goes on from its last checkpoint, and no
process is left (J4)."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from pipelines.models import ENDED, Artifact, Run, WorkerHeartbeat
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.promises.conftest import (
    BACK_WITHIN,
    LEASE,
    Fleet,
    Queue,
    counted,
    family,
    kill,
    leftovers,
    owned_by,
    pick,
    seconds_of,
    since_now,
    starts,
    state_of,
    succeeded,
)
from tests.promises import Figures, counts
from tools.processes import children
from tools.services import RedisServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(120, 900, 1800)),
]
STEPS, SAVE_EVERY = 60, 5
GONE_WITHIN = 5.0  # seconds until no process of a killed one is left
Process = subprocess.Popen[bytes]


@dataclass
class Killer:
    """Kills one process after the other, and looks what becomes of its runs."""

    fleet: Fleet
    restart: dict[str, Callable[[], Process]]
    running: dict[str, Process]
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    killed: dict[str, int] = field(default_factory=dict)
    struck: list[tuple[Run, Any]] = field(default_factory=list)  # run as it was, and when
    slowest_end: float = 0.0

    def strike(self, what: str) -> bool:
        """Kill a main process, a process of a pool, or a trainer. False: nobody was at work."""
        name = self.chance.choice(list(self.running))
        process = self.running[name]
        victims = owned_by(family(process))
        if not victims:
            return False
        if what == "main":
            self._strike(victims, process.pid)
            process.wait()
            self.running[name] = self.restart[name]()
            return True
        if what == "pool":
            workers = [pid for pid in children(process.pid) if owned_by([pid])]
            pid = pick(self.chance, workers)
            return pid is not None and self._strike(owned_by([pid]), pid)
        victim = self.chance.choice(victims)
        pid = pick(self.chance, leftovers(victim))
        return pid is not None and self._strike([victim], pid)

    def _strike(self, victims: list[Run], pid: int) -> bool:
        moment, began = since_now()
        if not kill(pid):
            return False
        wait_until(lambda: not leftovers(*victims), "its trainers are gone", GONE_WITHIN)
        self.slowest_end = max(self.slowest_end, time.monotonic() - began)
        self.struck += [(run, moment) for run in victims]
        return True

    def until(self, kills: int, words: tuple[str, ...], another: Callable[[], None]) -> None:
        """Kill so many; `another` run comes where all have ended before."""
        deadline = time.monotonic() + 20 * kills + 30
        while sum(self.killed.values()) < kills:
            assert time.monotonic() < deadline, f"only {self.killed} were killed"
            if not Run.objects.exclude(state__in=ENDED).exists():
                another()
            what = self.chance.choice(words)
            if self.strike(what):
                self.killed[what] = self.killed.get(what, 0) + 1
            time.sleep(self.chance.uniform(0.05, 0.5))

    def slowest_return(self) -> float:
        """How long a run whose process died was without anybody; what had ended did not need it."""
        times = [0.0]
        for run, moment in self.struck:
            events = run.events.filter(at__gte=moment, fence=run.fence).order_by("id")
            first = events.exclude(after="running").first()  # it was just starting
            if first is not None:
                assert first.after in ("queued", "succeeded", "committing")
                times.append((first.at - moment).total_seconds())
        return max(times)


def lost_work(run: Run) -> int:
    """The most steps that an attempt did again: what lay behind its last checkpoint."""
    worst, ends = 0, {}
    for line in steps_of(run):
        if line["what"] == "start":
            ends[line["fence"]] = (line["step"], line["step"])
        else:
            began, _ = ends[line["fence"]]
            ends[line["fence"]] = (began, line["step"])
    for (_, reached), (began, _) in pairwise(ends[fence] for fence in sorted(ends)):
        worst = max(worst, reached - began)
    return worst


def under_kills(
    killer: Killer, queue: Queue, *, runs: int, kills: int, words: tuple[str, ...]
) -> dict[str, Any]:
    # Somebody lives on elsewhere and looks; starting a new worker takes a busy machine seconds.
    killer.fleet.worker("--queues", "io")
    wait_until(lambda: WorkerHeartbeat.objects.filter(queues=["io"]).exists(), "it looks", 60)
    queued: list[Run] = []

    def another() -> None:
        queued.append(queue(steps=STEPS, pause=0.03, save_every=SAVE_EVERY))
        Run.objects.filter(pk=queued[-1].pk).update(max_attempts=1000)

    for _ in range(runs):
        another()
    killer.until(kills, words, another)
    done = succeeded(queued, 60 + 10 * len(queued))
    wait_until(lambda: not leftovers(*done), "no process is left", GONE_WITHIN)
    assert {run.summary["value"] for run in done} == {STEPS * (STEPS + 1) // 2}
    assert Artifact.objects.count() == len(queued)
    for run in done:
        assert run.events.filter(after="succeeded").count() == 1
        assert starts(run) == sorted(starts(run))
    return {
        "runs": len(queued),
        **{f"killed_{word}": killer.killed.get(word, 0) for word in words},
        "slowest_return_s": round(killer.slowest_return(), 1),
        "slowest_end_of_processes_s": round(killer.slowest_end, 2),
        "steps_done_again": max(lost_work(run) for run in done),
        "left_processes": len(leftovers(*done)),
    }


def hold(found: dict[str, Any]) -> None:
    assert found["slowest_return_s"] <= BACK_WITHIN
    assert found["steps_done_again"] <= SAVE_EVERY
    assert found["left_processes"] == 0


@pytest.mark.redis
@pytest.mark.promise("J4")
def test_random_kills_of_celery_workers_pools_and_trainers_lose_nothing(
    fleet: Fleet, own_redis: RedisServer, queue_count: Queue, settings: Any, figures: Figures
) -> None:
    settings.CELERY_BROKER_URL = own_redis.url

    def start() -> Process:
        return fleet.celery(own_redis.url, "--pool", "prefork", "-c", "2")

    names = ("a", "b")[: counts(1, 2, 2)]
    killer = Killer(fleet, dict.fromkeys(names, start), {name: start() for name in names})
    fleet.ready(*killer.running.values())
    found = under_kills(
        killer, queue_count, runs=counts(2, 8, 20), kills=counts(3, 20, 50),
        words=("main", "pool", "trainer"),
    )  # fmt: skip
    figures("J4", **found)
    hold(found)


@pytest.mark.promise("J4")
def test_random_kills_of_plain_workers_and_trainers_lose_nothing(
    fleet: Fleet, queue_count: Queue, figures: Figures
) -> None:
    def start() -> Process:
        return fleet.worker("--slots", "2")

    names = ("a", "b")[: counts(1, 2, 2)]
    killer = Killer(fleet, dict.fromkeys(names, start), {name: start() for name in names})
    found = under_kills(
        killer, queue_count, runs=counts(2, 8, 20), kills=counts(3, 20, 50),
        words=("main", "trainer"),
    )  # fmt: skip
    figures("J4", **found)
    hold(found)


@pytest.mark.mutant("J4")
@pytest.mark.one_engine
def test_without_a_reaper_a_run_stays_with_its_dead_worker(
    fleet: Fleet, queue_count: Queue
) -> None:
    run = queue_count(steps=500, pause=0.02)
    first = fleet.worker(mutant="no-reaper")
    wait_until(counted(run, 3), "3 steps", 30)
    first.kill()
    first.wait()
    moment, _ = since_now()
    fleet.worker(mutant="no-reaper")
    time.sleep(counts(LEASE + 3, BACK_WITHIN, BACK_WITHIN))
    assert (state_of(run), seconds_of(run, "queued", moment)) == ("running", None)


@pytest.mark.mutant("J4")
@pytest.mark.one_engine
def test_without_ties_a_killed_worker_leaves_its_trainer_behind(
    fleet: Fleet, queue_count: Queue
) -> None:
    run = queue_count(steps=500, pause=0.02, fault="untied")
    process = fleet.worker(mutant="no-ties")
    wait_until(counted(run, 3), "3 steps", 30)
    run.refresh_from_db()
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)
    left = leftovers(run)
    for pid in left:
        kill(pid)
    assert len(left) == 1
