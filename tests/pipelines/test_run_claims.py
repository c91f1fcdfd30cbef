"""Who gets which run, and when: order, inputs, races, dead owners."""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from pipelines import launching, lifecycle, waiting, worker
from pipelines.models import Artifact, Run, RunState, WorkerHeartbeat
from pipelines.starting import cancel_run, retry_run
from tests.pipelines.conftest import TRAINERS, child_environment, wait_until

QUEUES = ("default", "gpu")


def queued(**values: Any) -> Run:
    return Run.objects.create(kind="counting", config={}, config_sha="", **values)


def expired(**values: Any) -> Run:
    past = timezone.now() - timedelta(seconds=5)
    return queued(**{"state": RunState.RUNNING, "lease_until": past, "attempt": 1, **values})


def consumer_of(producer: Run) -> Run:
    run = queued()
    run.inputs.create(role="before", producer=producer, producer_kind="scores")
    return run


@pytest.mark.django_db
def test_the_oldest_run_of_the_served_queues_is_claimed_with_fence_attempt_and_lease() -> None:
    queued(queue="gpu")
    first, second = queued(), queued()
    run = lifecycle.claim(["default"], "me")
    assert run is not None
    assert run.pk == first.pk
    assert (run.state, run.fence, run.attempt, run.owner) == (RunState.STARTING, 1, 1, "me")
    assert run.lease_until is not None
    assert 50 < (run.lease_until - timezone.now()).total_seconds() <= 60
    run = lifecycle.claim(["default"], "me")
    assert run is not None
    assert run.pk == second.pk
    assert lifecycle.claim(["default"], "me") is None


@pytest.mark.django_db
def test_a_run_whose_time_has_not_come_is_left_alone() -> None:
    run = queued(not_before=timezone.now() + timedelta(seconds=60))
    assert lifecycle.claim(QUEUES, "me") is None
    Run.objects.filter(pk=run.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert lifecycle.claim(QUEUES, "me") is not None


@pytest.mark.django_db
def test_a_doorbell_claims_its_own_run_and_only_once() -> None:
    first, second = queued(), queued()
    run = lifecycle.claim(QUEUES, "me", run_id=second.pk)
    assert run is not None
    assert run.pk == second.pk
    assert lifecycle.claim(QUEUES, "me", run_id=second.pk) is None
    first.refresh_from_db()
    assert first.state == RunState.QUEUED


def test_a_run_waits_for_the_run_that_makes_its_input_and_then_reads_it(
    queue_count: Any, attempt: Any
) -> None:
    producer = queue_count(steps=2)
    consumer = queue_count({"before": producer}, steps=1)
    assert attempt().pk == producer.pk
    assert consumer.inputs.get().artifact is None
    after = attempt()
    assert (after.pk, after.state) == (consumer.pk, RunState.SUCCEEDED)
    row = consumer.inputs.get()
    assert row.artifact == Artifact.objects.get(run=producer)
    path = launching.run_dir(after).input("before")
    assert path == launching.run_dir(producer).root / "outputs" / "sum.json"


@pytest.mark.django_db
def test_nobody_claims_a_run_whose_input_is_not_there() -> None:
    producer = queued()
    consumer_of(producer)
    run = lifecycle.claim(QUEUES, "me")
    assert run is not None
    assert run.pk == producer.pk
    assert lifecycle.claim(QUEUES, "me") is None


def test_an_input_that_changed_after_it_was_registered_fails_the_run(
    queue_count: Any, attempt: Any
) -> None:
    producer = queue_count(steps=2)
    attempt()
    (launching.run_dir(producer).outputs / "sum.json").write_text("{}")
    queue_count({"before": producer}, steps=1)
    run = attempt()
    # The child checks the hash when it opens the input; this one never does.
    assert run.state == RunState.SUCCEEDED
    with pytest.raises(Exception, match="'before' has changed"):
        launching.run_dir(run).input("before")


@pytest.mark.django_db
def test_what_waits_for_a_failed_or_cancelled_run_fails_with_its_name_down_to_the_last(
    mia: Any,
) -> None:
    producer = queued()
    middle = consumer_of(producer)
    last = consumer_of(middle)
    cancel_run(producer, mia)
    assert lifecycle.fail_without_inputs() == [middle.pk, last.pk]
    middle.refresh_from_db()
    last.refresh_from_db()
    assert (middle.state, middle.reason) == (RunState.FAILED, "input_failed")
    text = f"Its before should have come from run {producer.pk} (counting), which was cancelled."
    assert middle.message == text
    assert f"run {middle.pk} (counting), which failed" in last.message


@pytest.mark.django_db
def test_another_try_of_a_run_takes_along_what_failed_for_want_of_it(mia: Any) -> None:
    producer = queued(state=RunState.FAILED)
    middle = consumer_of(producer)
    last = consumer_of(middle)
    lifecycle.fail_without_inputs()
    retry_run(producer, mia)
    states = Run.objects.filter(pk__in=[producer.pk, middle.pk, last.pk])
    assert set(states.values_list("state", flat=True)) == {"queued"}


@pytest.mark.django_db
def test_what_is_tried_again_while_a_worker_looks_goes_on_with_its_input(
    mia: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = queued(state=RunState.FAILED)
    consumer = consumer_of(producer)
    fail = lifecycle._fail

    def tried_again_before(run_id: int) -> bool:
        retry_run(Run.objects.get(pk=producer.pk), mia)
        return fail(run_id)

    monkeypatch.setattr(lifecycle, "_fail", tried_again_before)
    assert lifecycle.fail_without_inputs() == []
    states = Run.objects.filter(pk__in=[producer.pk, consumer.pk])
    assert set(states.values_list("state", flat=True)) == {"queued"}


@pytest.mark.django_db(transaction=True)
def test_an_input_is_not_tried_again_between_the_look_and_the_end_of_who_needs_it(
    mia: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = queued(state=RunState.FAILED)
    consumer = consumer_of(producer)
    move = lifecycle.move

    def retry() -> None:
        retry_run(Run.objects.get(pk=producer.pk), mia)
        connection.close()

    somebody = threading.Thread(target=retry)

    def moved(run: Run, after: str, **changes: Any) -> bool:
        if run.pk == consumer.pk and after == RunState.FAILED:
            somebody.start()
            somebody.join(0.3)  # it waits for the rows that are held, or would be done by now
        return move(run, after, **changes)

    monkeypatch.setattr(lifecycle, "move", moved)
    lifecycle.fail_without_inputs()
    somebody.join()
    states = Run.objects.filter(pk__in=[producer.pk, consumer.pk])
    assert set(states.values_list("state", flat=True)) == {"queued"}


@pytest.mark.django_db
def test_of_two_inputs_the_one_that_failed_is_named() -> None:
    good, bad = queued(state=RunState.SUCCEEDED), queued(state=RunState.FAILED)
    run = consumer_of(good)
    run.inputs.create(role="beside", producer=bad, producer_kind="scores")
    assert lifecycle.fail_without_inputs() == [run.pk]
    run.refresh_from_db()
    text = f"Its beside should have come from run {bad.pk} (counting), which failed."
    assert run.message == text


@pytest.mark.django_db
def test_another_try_reaches_a_run_that_reads_two_of_them_once(mia: Any) -> None:
    producer = queued(state=RunState.FAILED)
    left, right = consumer_of(producer), consumer_of(producer)
    both = consumer_of(left)
    both.inputs.create(role="beside", producer=right, producer_kind="scores")
    lifecycle.fail_without_inputs()
    retry_run(producer, mia)
    states = Run.objects.filter(pk__in=[producer.pk, left.pk, right.pk, both.pk])
    assert set(states.values_list("state", flat=True)) == {"queued"}


@pytest.mark.django_db
def test_a_queued_run_says_what_it_waits_for() -> None:
    producer = queued()
    consumer = consumer_of(producer)
    assert waiting.waiting_for(consumer) == f"waits for run {producer.pk} (counting)"
    assert waiting.waiting_for(producer) == "waits for a worker: none is connected"
    worker.beat(worker.owner_name(), ["gpu"], slots=1)
    text = "waits for a worker of the queue default: none is connected"
    assert waiting.waiting_for(producer) == text
    worker.beat(worker.owner_name(), ["default", "gpu"], slots=1)
    assert waiting.waiting_for(producer) == "place 1 in the queue"
    assert waiting.waiting_for(queued()) == "place 2 in the queue"
    producer.not_before = timezone.now() + timedelta(seconds=7.5)
    assert waiting.waiting_for(producer) == "next try in 8 s"
    producer.state = RunState.RUNNING
    assert waiting.waiting_for(producer) == ""
    WorkerHeartbeat.objects.update(seen_at=timezone.now() - timedelta(seconds=31))
    assert waiting.live_workers() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "attempt", "after", "reason"),
    [
        (RunState.STARTING, 1, RunState.QUEUED, "lost"),
        (RunState.RUNNING, 1, RunState.QUEUED, "lost"),
        (RunState.COMMITTING, 2, RunState.QUEUED, "lost"),
        (RunState.RUNNING, 3, RunState.FAILED, "lost"),
        (RunState.CANCELLING, 1, RunState.CANCELLED, "cancelled"),
    ],
)
def test_a_lease_that_ran_out_is_taken_away(
    state: RunState, attempt: int, after: RunState, reason: str
) -> None:
    run = expired(state=state, attempt=attempt, owner="elsewhere:1:1")
    assert lifecycle.reap() == [run.pk]
    run.refresh_from_db()
    assert (run.state, run.reason, run.owner) == (after, reason, "")
    # The first loss costs no pause, the second does.
    assert (run.not_before is not None) == (attempt == 2)
    assert lifecycle.reap() == []


@pytest.mark.django_db
def test_a_renewal_that_comes_between_the_look_and_the_grip_of_the_reaper_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = expired(owner="elsewhere:1:1", fence=1)
    release = lifecycle._release

    def renewed_meanwhile(row: Run, **still: Any) -> bool:
        assert lifecycle.renew(row)
        return release(row, **still)

    monkeypatch.setattr(lifecycle, "_release", renewed_meanwhile)
    assert lifecycle.reap() == []
    run.refresh_from_db()
    assert run.state == RunState.RUNNING


@pytest.mark.django_db
def test_an_owner_that_is_known_to_be_dead_is_not_waited_for() -> None:
    later = timezone.now() + timedelta(minutes=1)
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    host, _, _ = worker.owner_name().partition(":")
    mine = expired(lease_until=later, owner=worker.owner_name())
    dead = expired(lease_until=later, owner=f"{host}:{gone.pid}:1")
    reused = expired(lease_until=later, owner=worker.owner_name() + "1")
    elsewhere = expired(lease_until=later, owner=f"other/{host}:{gone.pid}:1")
    worker.tidy()
    states = {run.pk: Run.objects.get(pk=run.pk).state for run in (mine, dead, reused, elsewhere)}
    assert states == {
        mine.pk: "running",
        dead.pk: "queued",
        reused.pk: "queued",
        elsewhere.pk: "running",
    }


@pytest.fixture
def race(settings: Any, database_url: str, tmp_path: Path) -> Callable[[str], list[int]]:
    """Let four processes begin at the same moment; give all that they say they got."""

    def begin(kind: str) -> list[int]:
        running = [
            subprocess.Popen(
                [sys.executable, str(TRAINERS / "racers.py"), kind, str(tmp_path)],
                env=child_environment(settings, database_url),
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 4, "ready", 120)
        (tmp_path / "go").touch()
        words = " ".join(process.communicate(timeout=120)[0] for process in running)
        assert [process.returncode for process in running] == [0] * 4
        return [int(word) for word in words.split()]

    return begin


@pytest.mark.promise("J3")
@pytest.mark.django_db(transaction=True)
def test_of_many_processes_that_claim_at_once_each_run_has_one_winner(
    race: Callable[[str], list[int]],
) -> None:
    runs = {queued().pk for _ in range(60)}
    got = race("claim")
    assert Counter(got) == Counter(runs)
    assert set(Run.objects.values_list("fence", "attempt", "state")) == {(1, 1, "starting")}


@pytest.mark.mutant("J3")
@pytest.mark.django_db(transaction=True)
def test_the_race_is_real_claims_without_a_condition_are_made_twice(
    race: Callable[[str], list[int]],
) -> None:
    for _ in range(60):
        queued()
    assert max(Counter(race("naive_claim")).values()) > 1


@pytest.mark.promise("J11")
@pytest.mark.django_db(transaction=True)
def test_of_many_reapers_each_orphan_has_one(race: Callable[[str], list[int]]) -> None:
    runs = {expired().pk for _ in range(50)}
    assert Counter(race("reap")) == Counter(runs)
    for run in Run.objects.all():
        assert run.events.filter(before="running", after="queued").count() == 1


@pytest.mark.mutant("J11")
@pytest.mark.django_db(transaction=True)
def test_the_race_is_real_reapers_without_a_condition_take_orphans_twice(
    race: Callable[[str], list[int]],
) -> None:
    for _ in range(50):
        expired()
    assert max(Counter(race("naive_reap")).values()) > 1
