"""A row means that the bytes are there, wherever the commit is killed (RELIABILITY A6).

Steps 1 to 6 are the trainer's (a folder appears under its name), 7 and 8 the worker's (the store,
the transaction). Each kill is a SIGKILL of a real process.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import registering
from pipelines.errors import StoreError
from pipelines.models import Artifact, Blob, Run, RunState, StoredFile
from pipelines.registry import path_of
from pipelines.store import ledger
from pipelines.store.blobs import blob_store, key_of
from pipelines.store.checking import damaged
from pipelines.store.collecting import collect
from tests.pipelines.conftest import child_environment
from tests.pipelines.trainers.leaving import STEPS
from tests.promises import Figures, counts

TRAINERS = Path(__file__).parents[1] / "trainers"
Start = Callable[..., subprocess.Popen[bytes]]


def queue_leaving(**config: Any) -> Run:
    from pipelines.starting import start_run

    return start_run("leaving", config, user=None)


def assert_rows_have_bytes() -> None:
    for artifact in Artifact.objects.all():
        registering.refuse_other_bytes(path_of(artifact), artifact.sha256)
        assert artifact.files.count() == 3
    assert list(damaged()) == []


def assert_whole(runs: list[Run], settings: Any) -> None:
    """One row for each run, its bytes behind it, and after a collection nothing beside them."""
    for run in runs:
        run.refresh_from_db()
        assert run.state == RunState.SUCCEEDED, run.message
        assert run.artifacts.count() == 1
    assert_rows_have_bytes()
    settings.TIEBREAK_STORE_KEEP_SECONDS = 0
    collect()
    referred = {key_of(sha) for sha in StoredFile.objects.values_list("blob_id", flat=True)}
    assert {held.key for held in blob_store().listing()} == referred
    assert not ledger.unwanted().exists()
    assert_rows_have_bytes()


@pytest.mark.faults
@pytest.mark.promise("A6")
@pytest.mark.django_db(transaction=True)
def test_a_trainer_killed_behind_each_step_of_its_commit_leaves_one_row_with_its_bytes(
    start_worker: Start, short_times: Any, test_kinds: None, figures: Figures
) -> None:
    rounds = counts(1, 2, 5)
    runs = [queue_leaving(kill=step, seed=n) for n in range(rounds) for step in STEPS]
    assert start_worker("--until-idle", "--slots", "2").wait(120) == 0
    assert {run.events.filter(note="killed").count() for run in runs} == {1}
    assert_whole(runs, short_times)
    figures("A6", kills_of_trainers=len(runs), rows=Artifact.objects.count(), without_bytes=0)


def dying_worker(where: str, settings: Any, database_url: str) -> int:
    """Until it is killed, or has nothing to do."""
    words = [sys.executable, str(TRAINERS / "dying_worker.py"), "worker", "--until-idle"]
    environment = child_environment(settings, database_url, TIEBREAK_TEST_DIE=where)
    return subprocess.run(words, env=environment, timeout=120, capture_output=True).returncode


@pytest.mark.faults
@pytest.mark.promise("A6")
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_store_or_in_the_transaction_leaves_one_row_with_its_bytes(
    start_worker: Start, short_times: Any, test_kinds: None, database_url: str, figures: Figures
) -> None:
    rounds = counts(1, 2, 5)
    runs = []
    for number in range(rounds):
        for where in ("put", "refer"):
            run = queue_leaving(seed=number)
            runs.append(run)
            assert dying_worker(where, short_times, database_url) == -signal.SIGKILL
            # This one, or the one that the worker before it has left.
            assert Run.objects.filter(state=RunState.COMMITTING).count() == 1
            assert not Artifact.objects.filter(run__state=RunState.COMMITTING).exists()
            assert_rows_have_bytes()
    assert start_worker("--until-idle").wait(60) == 0
    assert_whole(runs, short_times)
    figures("A6", kills_of_workers=len(runs), rows=Artifact.objects.count(), without_bytes=0)


@pytest.mark.mutant("A6")
@pytest.mark.django_db(transaction=True)
def test_rows_before_bytes_would_leave_a_row_that_lies(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row first, and killed in the upload: what this design would be without its order."""
    registered = []

    class Killed(BaseException):
        pass

    def row_first(path: Path, sha256: str, run: Run) -> Any:
        registered.append(
            Artifact.objects.create(
                kind="scores", run=run, path=f"{run.pk}/outputs/sum.json", sha256=sha256
            )
        )
        raise Killed

    monkeypatch.setattr(registering, "keep", row_first)
    queue_count(steps=2)
    with pytest.raises(Killed):
        attempt()
    (row,) = registered
    assert Artifact.objects.filter(pk=row.pk).exists()
    assert not row.files.exists()
    assert not Blob.objects.filter(pk=row.sha256).exists()


@pytest.mark.promise("A6")
@pytest.mark.django_db
def test_a_store_that_does_not_answer_costs_a_try_and_no_training(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_count(steps=3)

    def refuses(*_: Any) -> None:
        raise StoreError("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(registering, "keep", refuses)
        run = attempt()
    assert (run.state, run.reason, run.message) == (
        RunState.QUEUED, "store", "the store does not answer",
    )  # fmt: skip
    Run.objects.update(not_before=None)
    run = attempt()
    assert run.state == RunState.SUCCEEDED
    starts = [line for line in _steps(run) if line["what"] == "start"]
    assert len(starts) == 1  # the second attempt had nothing to do but to register


def _steps(run: Run) -> list[dict[str, Any]]:
    from tests.pipelines.conftest import steps_of

    return steps_of(run)


@pytest.mark.promise("A6")
@pytest.mark.django_db
def test_a_collector_that_was_faster_makes_the_commit_begin_again(
    queue_count: Any, attempt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_count(steps=3)
    keep = registering.keep

    def then_collected(path: Path, sha256: str, owner: Run) -> Any:
        kept = keep(path, sha256, owner)
        Blob.objects.filter(pk=sha256).delete()  # as a collection after 48 hours would
        return kept

    with monkeypatch.context() as patch:
        patch.setattr(registering, "keep", then_collected)
        run = attempt()
    assert (run.state, run.reason) == (RunState.QUEUED, "store")
    assert "was deleted before its artifact was registered" in run.message
    assert not run.artifacts.exists()
    Run.objects.update(not_before=None)
    assert attempt().state == RunState.SUCCEEDED
    assert_bytes_of(run)


def assert_bytes_of(run: Run) -> None:
    artifact = run.artifacts.get()
    assert blob_store().size(key_of(artifact.sha256)) == path_of(artifact).stat().st_size
    assert path_of(artifact).stat().st_size == artifact.bytes
