"""A full disk and missing memory have their names, spoil nothing, and a retry works (J13)."""

from collections.abc import Callable
from typing import Any

import pytest

from formats.checkpoints import newest_verified, verify_folder
from formats.outcome import ExitCode
from formats.run_dir import RunDir
from formats.supervised import is_out_of_memory
from pipelines import endings, launching, supervisor
from pipelines.models import Run, RunState
from pipelines.starting import retry_run
from tests.pipelines.conftest import steps_of
from tests.promises import Figures, counts

Queue = Callable[..., Run]
Attempt = Callable[..., Run]
MEGABYTE = 1_000_000


@pytest.mark.promise("J13")
@pytest.mark.parametrize("fault", ["full_disk", "file_limit"])
def test_a_full_disk_in_the_middle_of_a_checkpoint_is_named_and_costs_only_that_one(
    queue_count: Queue, attempt: Attempt, mia: Any, figures: Figures, fault: str
) -> None:
    rounds = counts(1, 4, 10)
    for number in range(rounds):
        at = 6 + number
        run = queue_count(steps=20, save_every=3, fault=fault, at=at)
        Run.objects.filter(pk=run.pk).update(max_attempts=1)
        failed = attempt()
        assert (failed.state, failed.reason) == (RunState.FAILED, "disk_full")
        assert "No space left on device" in failed.message or "File too large" in failed.message
        folder = launching.run_dir(failed)
        newest = newest_verified(folder.checkpoints, print)
        assert newest is not None
        verify_folder(newest.path)
        assert newest.step < at
        # Somebody makes room and asks for another try; the worker is the one of before.
        Run.objects.filter(pk=run.pk).update(config={"steps": 20, "save_every": 3})
        retry_run(failed, mia)
        again = attempt()
        assert (again.state, again.summary) == (RunState.SUCCEEDED, {"value": 210})
        starts = [line["step"] for line in steps_of(run) if line["what"] == "start"]
        assert starts == [0, newest.step]
    figures("J13", fault=fault, rounds=rounds, named=rounds, loaded=rounds)


@pytest.mark.promise("J13")
def test_missing_memory_is_named_and_the_next_try_takes_the_half_at_once(
    queue_count: Queue, attempt: Attempt, short_times: Any, figures: Figures
) -> None:
    rounds = counts(1, 4, 10)
    # RLIMIT_AS of the trainer; Python and its libraries take a small part of it.
    short_times.TIEBREAK_TRAINER_MEMORY_MB = 600
    for number in range(rounds):
        at, appetite = 6 + number, 800 * MEGABYTE
        queue_count(
            kind="splitting", steps=20, save_every=3, fault="hungry", at=at, appetite=appetite
        )
        tried = attempt()
        assert (tried.state, tried.reason) == (RunState.QUEUED, "oom")
        assert tried.message.startswith("Out of memory; the next try halves the micro-batch.")
        assert tried.retry == {"split": 2, "reason": "oom", "fence": 1, "step": tried.step}
        newest = newest_verified(launching.run_dir(tried).checkpoints, print)
        assert newest is not None
        Run.objects.update(not_before=None)
        again = attempt()
        assert (again.state, again.summary, again.fence) == (RunState.SUCCEEDED, {"value": 210}, 2)
        assert launching.run_dir(again).split() == 2
    figures("J13", fault="memory", rounds=rounds, named=rounds, recovered=rounds)


@pytest.mark.promise("J13")
def test_what_does_not_fit_in_the_half_either_fails_without_a_third_try(
    queue_count: Queue, attempt: Attempt, mia: Any, short_times: Any
) -> None:
    short_times.TIEBREAK_TRAINER_MEMORY_MB = 600
    queue_count(
        kind="splitting", steps=9, save_every=3, fault="hungry", at=5, appetite=4000 * MEGABYTE
    )
    attempt()
    Run.objects.update(not_before=None)
    run = attempt()
    assert (run.state, run.reason, run.attempt) == (RunState.FAILED, "oom", 2)
    assert run.message.startswith("Out of memory, with half the micro-batch too.")
    # Another try of a person's begins as the config says.
    retry_run(run, mia)
    run = attempt()
    assert (run.state, run.reason, run.retry["fence"]) == (RunState.QUEUED, "oom", 3)


def test_a_kind_that_cannot_split_its_work_is_tried_again_as_it_is(
    queue_count: Queue, attempt: Attempt, short_times: Any
) -> None:
    short_times.TIEBREAK_TRAINER_MEMORY_MB = 600
    queue_count(steps=9, save_every=3, fault="hungry", at=5, appetite=4000 * MEGABYTE)
    run = attempt()
    assert (run.state, run.reason, run.retry) == (RunState.QUEUED, "oom", {})
    assert not launching.run_dir(run).retry_file.exists()


@pytest.mark.mutant("J13")
def test_where_every_end_is_a_crash_nothing_is_named_and_nothing_is_halved(
    queue_count: Queue, attempt: Attempt, short_times: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor.endings, "describe", lambda *_: ("crash", "It ended."))
    short_times.TIEBREAK_TRAINER_MEMORY_MB = 600
    for fault in ("full_disk", "hungry"):
        queue_count(
            kind="splitting", steps=9, save_every=3, fault=fault, at=5, appetite=4000 * MEGABYTE
        )
        run = attempt()
        assert (run.reason, run.retry) == ("crash", {})
        Run.objects.all().delete()


class OutOfMemoryError(RuntimeError):
    """As torch calls the one of a GPU; tests/models_rm has torch's own."""


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to …"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_libraries_say_in_many_ways_that_memory_is_missing(
    error: Exception, is_memory: bool
) -> None:
    assert is_out_of_memory(error) is is_memory


def test_a_kill_counts_as_missing_memory_only_where_the_kernel_counted_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 5\noom_kill 7\n")
    monkeypatch.setattr(endings, "_VMSTAT", file)
    assert endings.oom_kills() == 7
    assert not endings.was_killed_for_memory(-9, "", 7)
    assert endings.was_killed_for_memory(-9, "", 6)
    assert not endings.was_killed_for_memory(-15, "", 6)
    assert endings.was_killed_for_memory(-6, "terminate called: std::bad_alloc", 7)
    assert not endings.was_killed_for_memory(-6, "assertion failed", 7)


def test_the_record_of_a_retry_comes_and_goes(tmp_path: Any) -> None:
    folder = RunDir(tmp_path)
    assert folder.split() == 1
    folder.write_retry({"split": 2, "reason": "oom"})
    assert folder.split() == 2
    folder.write_retry({})
    assert (folder.split(), folder.retry_file.exists()) == (1, False)


def test_a_full_disk_under_the_supervisor_itself_is_named_too(
    queue_count: Queue, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    queue_count(steps=3)
    monkeypatch.setattr(RunDir, "write_lease", full)
    run = attempt()
    assert (run.state, run.reason) == (RunState.QUEUED, "disk_full")
    assert ExitCode.DISK_FULL == 73
