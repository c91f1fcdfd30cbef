"""One attempt at one run: what the child does and what becomes of the row."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from pipelines import launching, logs
from pipelines.models import Artifact, Metric, Run, RunState
from pipelines.progress import Progress
from pipelines.starting import cancel_run, retry_run
from tests.pipelines.conftest import steps_of, wait_until

Queue = Callable[..., Run]
Attempt = Callable[..., Run]


def test_it_brings_a_run_to_its_end_and_registers_what_it_left(
    queue_count: Queue, attempt: Attempt
) -> None:
    queue_count(steps=7)
    run = attempt()
    assert run.state == RunState.SUCCEEDED, run.message
    assert (run.step, run.total, run.stage) == (7, 7, "counting")
    assert run.summary == {"value": 28}  # 1 + 2 + … + 7
    assert run.lease_until is None
    assert run.owner == ""
    artifact = Artifact.objects.get()
    assert (artifact.kind, artifact.path) == ("scores", f"{run.pk}/outputs/sum.json")
    values = Metric.objects.filter(run=run, name="value").order_by("step").values_list("value")
    assert [value for (value,) in values] == [1, 3, 6, 10, 15, 21, 28]
    states = [(event.before, event.after) for event in run.events.all()]
    assert states == [
        ("", "queued"),
        ("queued", "starting"),
        ("starting", "running"),
        ("running", "committing"),
        ("committing", "succeeded"),
    ]


def test_a_crash_is_tried_again_from_the_last_checkpoint_and_later_given_up(
    queue_count: Queue, attempt: Attempt, drain: Callable[[], None]
) -> None:
    run = queue_count(steps=9, save_every=3, fault="crash", at=8)
    after = attempt()
    assert (after.state, after.reason, after.attempt) == (RunState.QUEUED, "crash", 1)
    assert after.not_before is not None
    drain()
    run.refresh_from_db()
    assert (run.state, run.reason, run.attempt) == (RunState.FAILED, "crash", 3)
    assert "RuntimeError: the counter broke" in run.message
    starts = [line["step"] for line in steps_of(run) if line["what"] == "start"]
    assert starts == [0, 6, 6]


def test_a_segfault_is_a_failure_like_others(queue_count: Queue, attempt: Attempt) -> None:
    queue_count(fault="segfault", at=2)
    run = attempt()
    assert (run.state, run.reason) == (RunState.QUEUED, "killed")
    assert "SIGSEGV" in run.message


def test_a_bad_config_is_never_tried_again(queue_count: Queue, attempt: Attempt) -> None:
    queue_count(fault="bad_config", at=1)
    run = attempt()
    assert (run.state, run.reason, run.attempt) == (RunState.FAILED, "bad_config", 1)
    assert run.message == "this counter cannot count so far"


def test_a_child_that_ends_well_but_says_nothing_has_not_ended_well(
    queue_count: Queue, attempt: Attempt
) -> None:
    queue_count(steps=2, fault="no_outcome")
    run = attempt()
    assert (run.state, run.reason) == (RunState.QUEUED, "crash")
    assert "without an outcome" in run.message


def test_an_output_with_another_hash_is_refused(queue_count: Queue, attempt: Attempt) -> None:
    queue_count(steps=2, fault="bad_hash")
    run = attempt()
    assert (run.state, run.reason) == (RunState.FAILED, "bad_output")
    assert "damaged" in run.message
    assert not Artifact.objects.exists()
    folder = launching.run_dir(run)
    assert not folder.outputs.exists()
    assert not folder.outcome_file.exists()


@pytest.mark.parametrize("path", ["../outside.json", "/etc/hostname", ".", "outputs/none.json"])
def test_an_output_outside_the_run_directory_is_refused(
    queue_count: Queue, attempt: Attempt, path: str
) -> None:
    queue_count(steps=1, output_path=path)
    run = attempt()
    assert (run.state, run.reason) == (RunState.FAILED, "bad_output")
    assert not Artifact.objects.exists()


def test_asking_to_be_run_again_costs_no_try_if_there_was_progress(
    queue_count: Queue, attempt: Attempt
) -> None:
    queue_count(steps=5, fault="again", at=4)
    run = attempt()
    assert (run.state, run.reason, run.attempt) == (RunState.QUEUED, "stopped", 0)


def test_asking_to_be_run_again_without_progress_is_a_failure(
    queue_count: Queue, attempt: Attempt, drain: Callable[[], None]
) -> None:
    run = queue_count(steps=5, fault="again", at=1)
    drain()
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.FAILED, 3)


@pytest.mark.promise("J9")
def test_a_hang_is_found_and_its_stacks_are_kept(
    queue_count: Queue, attempt: Attempt, short_times: Any
) -> None:
    short_times.TIEBREAK_RUN_HANG_SECONDS = 0.8
    queue_count(fault="hang", at=3)
    run = attempt()
    assert (run.state, run.reason) == (RunState.QUEUED, "hang")
    assert "in misbehave" in launching.run_dir(run).log_file.read_text()
    assert launching.leftovers(run) == []


def is_alive(pid: int) -> bool:
    """Not gone, and not dead and waiting for its parent to notice."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_left_the_session_of_the_child_is_found_and_killed(
    queue_count: Queue, attempt: Attempt
) -> None:
    queue_count(steps=3, fault="spawn", at=2)
    run = attempt()
    assert run.state == RunState.SUCCEEDED
    grandchild = int((launching.run_dir(run).root / "grandchild").read_text())
    assert not is_alive(grandchild)
    assert launching.leftovers(run) == []


def _later(act: Callable[[], object]) -> threading.Thread:
    from django.db import connection

    def work() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.promise("J7")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("fault", "limit"), [(None, 1.0), ("deaf", 2.5)])
def test_cancel_frees_the_machine_within_the_grace(
    queue_count: Queue, attempt: Attempt, mia: Any, fault: str | None, limit: float
) -> None:
    run = queue_count(steps=10_000, pause=0.01, fault=fault, at=5)
    times = {}

    def cancel() -> None:
        wait_until(lambda: len(steps_of(run)) > 5, "counting")
        cancel_run(Run.objects.get(pk=run.pk), mia)
        times["asked"] = time.monotonic()

    thread = _later(cancel)
    after = attempt()
    took = time.monotonic() - times["asked"]
    thread.join()
    assert after.state == RunState.CANCELLED
    assert after.message == "Cancelled by mia."
    assert took < limit
    assert launching.leftovers(after) == []


def test_a_queued_run_is_cancelled_at_once(queue_count: Queue, mia: Any) -> None:
    run = cancel_run(queue_count(), mia)
    run.refresh_from_db()
    assert (run.state, run.fence) == (RunState.CANCELLED, 0)


def test_a_worker_that_leaves_puts_the_run_back_and_the_next_one_goes_on(
    queue_count: Queue, attempt: Attempt
) -> None:
    run = queue_count(steps=60, pause=0.02, save_every=1000)
    leave = threading.Event()

    def stop() -> None:
        wait_until(lambda: len(steps_of(run)) > 10, "counting")
        leave.set()

    thread = threading.Thread(target=stop)
    thread.start()
    after = attempt(leave)
    thread.join()
    assert (after.state, after.reason, after.attempt) == (RunState.QUEUED, "worker_left", 0)
    assert after.not_before is None
    after = attempt()
    assert after.state == RunState.SUCCEEDED
    # It saved when it was asked to stop, so no step was counted twice.
    steps = [line["step"] for line in steps_of(run) if line["what"] == "step"]
    assert steps == list(range(1, 61))


def test_a_finished_child_is_not_run_again_when_only_the_registration_was_lost(
    queue_count: Queue, attempt: Attempt
) -> None:
    run = queue_count(steps=3)
    run = attempt()
    # The worker died between the child's end and the commit: no row knows of it.
    Artifact.objects.all().delete()
    again = Run.objects.create(kind="counting", config=run.config, config_sha="")
    launching.run_dir(run).root.rename(launching.run_dir(again).root)
    after = attempt()
    assert (after.pk, after.state) == (again.pk, RunState.SUCCEEDED)
    assert Artifact.objects.get().run == after
    assert len([line for line in steps_of(after) if line["what"] == "start"]) == 1


def test_a_kill_between_the_result_and_the_outcome_does_not_block_the_next_attempt(
    queue_count: Queue, drain: Callable[[], None]
) -> None:
    run = queue_count(steps=3, folder=True, fault="killed_before_outcome")
    drain()
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2), run.message


def test_a_failed_run_can_be_tried_again_by_a_person(
    queue_count: Queue, attempt: Attempt, mia: Any
) -> None:
    run = queue_count(fault="bad_config", at=1)
    run = attempt()
    Run.objects.filter(pk=run.pk).update(config={"steps": 2})
    retry_run(run, mia)
    run = attempt()
    assert (run.state, run.attempt, run.fence) == (RunState.SUCCEEDED, 1, 2)


def test_lines_that_no_trainer_should_write_do_not_stop_the_import(
    queue_count: Queue, attempt: Attempt
) -> None:
    run = queue_count(steps=2)
    folder = launching.run_dir(run)
    folder.root.mkdir(parents=True)
    folder.metrics_file.write_text(
        "not json\n[]\n"
        '{"step": "one", "total": 2, "values": {}}\n'
        '{"step": 1, "total": 2, "values": {"loss": NaN}}\n'
        '{"step": 1, "total": 2, "values": {"loss": 1e999}}\n'
        '{"step": 1, "total": 2, "values": {"huge": 1' + "0" * 400 + "}}\n"
        '{"step": -1, "total": 2, "values": {"loss": 1}}\n'
        '{"step": 1, "total": 2, "values": "loss"}\n'
        '{"step": 1, "total": 2, "values": {"long' + "g" * 300 + '\\u0000": 2}}\n'
    )
    after = attempt()
    assert after.state == RunState.SUCCEEDED
    names = set(Metric.objects.values_list("name", flat=True))
    assert names == {"value", "long" + "g" * 96}


def test_a_value_of_a_newer_fence_is_never_replaced_by_an_older_one(
    short_times: Any, db: None
) -> None:
    lease = timezone.now() + timedelta(minutes=1)
    run = Run.objects.create(
        kind="x", config={}, config_sha="", state="running", fence=1, lease_until=lease
    )
    folder = launching.run_dir(run)
    folder.root.mkdir(parents=True)
    Metric.objects.create(run=run, name="loss", step=1, value=0.5, fence=2)
    Metric.objects.create(run=run, name="loss", step=2, value=0.4, fence=0)
    folder.log_metrics(1, 2, {"loss": 9.0})
    folder.log_metrics(2, 2, {"loss": 9.0})
    assert Progress(run, folder).advance() is True
    values = Metric.objects.order_by("step").values_list("value", "fence")
    assert list(values) == [(0.5, 2), (9.0, 1)]


def test_the_child_knows_its_fence_and_a_deadline_before_the_lease_ends(
    queue_count: Queue, attempt: Attempt
) -> None:
    before = time.monotonic()
    queue_count(steps=1)
    run = attempt()
    lease = launching.run_dir(run).lease()
    assert lease is not None
    fence, deadline = lease
    assert fence == run.fence == 1
    # 3 s of lease less 1 s of margin, counted from before the renewal was sent.
    assert before + 2.0 <= deadline <= time.monotonic() + 2.0


def test_a_kind_that_is_not_registered_any_more_fails_with_a_sentence(
    short_times: Any, db: None, attempt: Attempt
) -> None:
    Run.objects.create(kind="gone", config={}, config_sha="")
    run = attempt()
    assert (run.state, run.reason) == (RunState.FAILED, "bad_config")
    assert "there is no run kind 'gone'" in run.message


def test_the_log_is_appended_and_its_tail_is_kept(queue_count: Queue, tmp_path: Path) -> None:
    run = queue_count()
    folder = launching.run_dir(run)
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.log_file.write_text("\n".join(f"line {n}" for n in range(5000)))
    assert logs.tail(folder, lines=2) == "line 4998\nline 4999"
