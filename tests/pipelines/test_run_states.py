"""Only legal changes of a run's state exist, whoever makes them, and each leaves an event."""

import itertools
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from pipelines import lifecycle, run_guard, wishes
from pipelines.errors import WrongState
from pipelines.models import ACTIVE, Run, RunEvent, RunState

PAIRS = list(itertools.permutations(RunState, 2))
LEGAL = 25


def run_in(state: RunState, **values: Any) -> Run:
    if state in ACTIVE:
        values["lease_until"] = timezone.now()
    return Run.objects.create(kind="test", config={}, config_sha="", state=state, **values)


def by_orm(run: Run, after: RunState) -> None:
    lease = timezone.now() if after in ACTIVE else None
    Run.objects.filter(pk=run.pk).update(state=after, lease_until=lease)


def by_sql(run: Run, after: RunState) -> None:
    lease = "'2030-01-01 00:00:00'" if after in ACTIVE else "NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE pipelines_run SET state = %s, lease_until = {lease} WHERE id = %s",
            [after.value, run.pk],
        )


def by_lifecycle(run: Run, after: RunState) -> None:
    changes = {"lease_until": timezone.now()} if after in ACTIVE else {}
    assert lifecycle.move(run, after, **changes)


@pytest.mark.promise("J6")
@pytest.mark.django_db
@pytest.mark.parametrize("change", [by_orm, by_sql, by_lifecycle])
def test_of_all_ordered_pairs_the_legal_ones_pass_with_an_event_and_the_others_raise(
    change: Any,
) -> None:
    passed = refused = 0
    for before, after in PAIRS:
        run = run_in(before)
        try:
            with transaction.atomic():
                change(run, after)
        except DatabaseError:
            refused += 1
            assert after not in lifecycle.LEGAL[before], f"{before} to {after} was refused"
            assert Run.objects.get(pk=run.pk).state == before
            continue
        passed += 1
        assert after in lifecycle.LEGAL[before], f"{before} to {after} was let through"
        event = RunEvent.objects.filter(run=run).latest("id")
        assert (event.before, event.after) == (before, after)
        assert abs((timezone.now() - event.at).total_seconds()) < 60
    assert (passed, refused) == (LEGAL, len(PAIRS) - LEGAL)


@pytest.mark.mutant("J6")
@pytest.mark.django_db
def test_without_the_guard_every_change_would_pass() -> None:
    drop_guard()
    try:
        assert not run_guard.stands(connection)
        passed = 0
        for before, after in PAIRS:
            by_sql(run_in(before), after)
            passed += 1
        assert passed == len(PAIRS) > LEGAL
        assert RunEvent.objects.count() == 0
    finally:
        run_guard.install(connection)


@pytest.mark.django_db
def test_a_guard_that_was_lost_is_put_back_by_the_next_migrate() -> None:
    assert run_guard.stands(connection)
    drop_guard()
    run_guard.after_migrate(using="default")
    assert run_guard.stands(connection)
    with pytest.raises(DatabaseError), transaction.atomic():
        by_sql(run_in(RunState.SUCCEEDED), RunState.QUEUED)


def drop_guard() -> None:
    """What a rebuild of the table does on SQLite, and a careless person on PostgreSQL."""
    names = [*run_guard.TRIGGERS[connection.vendor]]
    on = " ON pipelines_run" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP TRIGGER {name}{on}")


@pytest.mark.promise("J6")
@pytest.mark.django_db
def test_the_fence_never_falls() -> None:
    run = run_in(RunState.QUEUED, fence=3)
    with pytest.raises(DatabaseError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(fence=2)
    Run.objects.filter(pk=run.pk).update(fence=3)


@pytest.mark.django_db
@pytest.mark.parametrize("state", RunState)
def test_a_lease_is_there_exactly_while_somebody_owns_the_run(state: RunState) -> None:
    wrong = None if state in ACTIVE else timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(kind="x", config={}, config_sha="", state=state, lease_until=wrong)


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["state", "want", "queue"])
def test_a_word_that_nobody_knows_is_refused(column: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(kind="x", config={}, config_sha="", **{column: "maybe"})


@pytest.mark.django_db
def test_a_writer_with_an_old_state_or_an_old_fence_changes_nothing() -> None:
    run = run_in(RunState.RUNNING, fence=2)
    stale_state = Run.objects.get(pk=run.pk)
    stale_state.state = RunState.STARTING
    stale_fence = Run.objects.get(pk=run.pk)
    stale_fence.fence = 1
    assert not lifecycle.move(stale_state, RunState.FAILED)
    assert not lifecycle.move(stale_fence, RunState.FAILED)
    assert not lifecycle.renew(stale_fence)
    assert not lifecycle.see(stale_fence)
    assert not lifecycle.note_progress(stale_fence, step=9, total=9, stage="")
    run.refresh_from_db()
    assert (run.state, run.step) == (RunState.RUNNING, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "after"),
    [
        (RunState.QUEUED, RunState.CANCELLED),
        (RunState.STARTING, RunState.CANCELLING),
        (RunState.RUNNING, RunState.CANCELLING),
        (RunState.CANCELLING, RunState.CANCELLING),
        (RunState.CANCELLED, RunState.CANCELLED),
    ],
)
def test_cancel_goes_as_far_as_it_can_at_once(state: RunState, after: RunState) -> None:
    assert wishes.cancel(run_in(state), "mia").state == after


@pytest.mark.django_db
@pytest.mark.parametrize("state", [RunState.COMMITTING, RunState.SUCCEEDED, RunState.FAILED])
def test_what_is_done_cannot_be_cancelled(state: RunState) -> None:
    run = run_in(state)
    with pytest.raises(WrongState, match=f"run {run.pk} "):
        wishes.cancel(run, "mia")
