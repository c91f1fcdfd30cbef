"""A worker that sleeps past its lease has lost its run: it writes nothing, its trainer ends: J5."""

import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Count

from formats.outcome import Outcome
from formats.run_dir import MetricLine
from pipelines import launching, lifecycle, registering
from pipelines.models import Artifact, Metric, Run, RunState
from pipelines.progress import Progress
from tests.pipelines.conftest import steps_of, wait_until
from tests.pipelines.promises.conftest import LEASE, Fleet, Queue, counted, leftovers, succeeded
from tests.pipelines.test_worker_faults import freeze
from tests.promises import Figures, counts

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(counts(120, 900, 1800)),
]


def overlap(run: Run) -> float:
    """For how many seconds two trainers worked on the run at once; at most 0 is none."""
    times: dict[int, list[float]] = {}
    for line in steps_of(run):
        times.setdefault(line["fence"], []).append(line["time"])
    fences = sorted(times)
    return max(max(times[a]) - min(times[b]) for a, b in pairwise(fences))


def let_it_sleep(
    fleet: Fleet, run: Run, sleeper: subprocess.Popen[bytes], *, mutant: str = ""
) -> None:
    """Freeze the worker at work until another one has the run, twice the lease at least."""
    freeze(sleeper, run)
    asleep = time.monotonic()
    other = fleet.worker(mutant=mutant)
    wait_until(lambda: 2 in {line["fence"] for line in steps_of(run)}, "another takes over", 60)
    time.sleep(max(0.0, 2 * LEASE - (time.monotonic() - asleep)))
    sleeper.send_signal(signal.SIGCONT)
    assert other.poll() is None


def one_zombie(fleet: Fleet, queue: Queue) -> float:
    run = queue(steps=300, pause=0.02, save_every=5)
    sleeper = fleet.worker()
    wait_until(counted(run, 5), "5 steps", 60)
    let_it_sleep(fleet, run, sleeper)
    (run,) = succeeded([run])
    assert run.fence == 2
    written_by = set(Metric.objects.filter(run=run, step__gt=first_step_of(run, 2)).values_list(
        "fence", flat=True))  # fmt: skip
    assert written_by == {2}
    assert run.events.filter(after="succeeded").values_list("fence", flat=True).get() == 2
    assert Artifact.objects.filter(run=run).count() == 1
    assert leftovers(run) == []
    for process in fleet.started:
        process.terminate()
        process.wait(30)
    return overlap(run)


def first_step_of(run: Run, fence: int) -> int:
    return min(line["step"] for line in steps_of(run) if line["fence"] == fence)


@pytest.mark.promise("J5")
def test_a_worker_that_slept_past_its_lease_writes_nothing_and_its_trainer_has_stopped(
    fleet: Fleet, queue_count: Queue, figures: Figures
) -> None:
    tries = counts(1, 4, 20)
    overlaps = [one_zombie(fleet, queue_count) for _ in range(tries)]
    doubled = Artifact.objects.values("run").annotate(n=Count("pk")).filter(n__gt=1).count()
    figures("J5", zombies=tries, overlap_s=max(0.0, round(max(overlaps), 3)), doubled=doubled)
    assert max(overlaps) < 0
    assert doubled == 0


@pytest.mark.mutant("J5")
@pytest.mark.one_engine
def test_without_a_deadline_two_trainers_work_on_one_run(fleet: Fleet, queue_count: Queue) -> None:
    run = queue_count(steps=1000, pause=0.02, save_every=5)
    sleeper = fleet.worker(mutant="no-deadline")
    wait_until(counted(run, 5), "5 steps", 60)
    # The other one is on another host: it cannot end the trainer of the first.
    freeze(sleeper, run)
    wait_until(lambda: lifecycle.reap() == [run.pk], "the lease runs out", 20)
    before = len(steps_of(run))
    time.sleep(0.5)
    assert len(steps_of(run)) > before


@pytest.fixture
def zombie(queue_count: Queue) -> Run:
    """The run as its former owner still knows it; by now it has another owner."""
    run = queue_count(steps=5)
    mine = lifecycle.claim(["default"], "elsewhere:1:1")
    assert mine is not None
    launching.prepare(mine)
    lifecycle.move(mine, RunState.RUNNING)
    lifecycle.put_back(Run.objects.get(pk=run.pk), "lost", "")
    theirs = lifecycle.claim(["default"], "elsewhere:2:2")
    assert theirs is not None
    lifecycle.move(theirs, RunState.RUNNING)
    return mine


def attempts(run: Run) -> dict[str, bool | None]:
    """What a former owner may try, and whether it was done."""
    folder = launching.run_dir(run)
    line = MetricLine(step=9, total=9, stage="", values={"value": 1.0})
    done: dict[str, bool | None] = {
        "metric": Progress(run, folder)._store([line]),
        "progress": lifecycle.note_progress(run, step=9, total=9, stage=""),
        "renewal": lifecycle.renew(run),
        "finish": registering.commit(run, Outcome(0)),
    }
    for state in (RunState.COMMITTING, RunState.SUCCEEDED, RunState.FAILED, RunState.QUEUED):
        done[state] = lifecycle.move(run, state)
    return done


@pytest.mark.promise("J5")
def test_with_an_old_fence_no_metric_no_renewal_and_no_end_is_written(
    zombie: Run, figures: Figures
) -> None:
    before = Run.objects.filter(pk=zombie.pk).values().get()
    tried = attempts(zombie)
    figures("J5", tried=len(tried), written=sum(map(bool, tried.values())))
    assert not any(tried.values())
    assert Run.objects.filter(pk=zombie.pk).values().get() == before
    assert not Metric.objects.exists()


@pytest.mark.promise("J5")
def test_a_trainer_with_an_old_fence_leaves_no_checkpoint(
    fleet: Fleet, queue_count: Queue, attempt: Any
) -> None:
    run = queue_count(steps=2000, pause=0.02, save_every=10_000)
    process = fleet.worker()
    wait_until(counted(run, 5), "5 steps", 60)
    freeze(process, run)
    folder = launching.run_dir(run)
    folder.write_lease(2, time.monotonic() + 60)  # Another worker owns the run.
    wait_until(lambda: not running(steps_of(run)[-1]["pid"]), "the trainer stops", 5)
    assert not folder.checkpoints.exists() or list(folder.checkpoints.iterdir()) == []


def running(pid: int) -> bool:
    """A child of the frozen worker stays as a zombie of the kernel, for nobody waits for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.mutant("J5")
@pytest.mark.one_engine
def test_without_the_fence_the_old_owner_ends_the_run_of_the_new_one(
    zombie: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_fence(run: Run, after: RunState, **changes: Any) -> bool:
        values = {"lease_until": None} if after not in lifecycle.ACTIVE else {}
        return Run.objects.filter(pk=run.pk).update(state=after, **values, **changes) == 1

    monkeypatch.setattr(lifecycle, "move", without_fence)
    assert lifecycle.move(zombie, RunState.FAILED)
    assert Run.objects.get(pk=zombie.pk).state == RunState.FAILED
