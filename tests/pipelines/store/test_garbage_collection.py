"""Collectors and commits at the same time: no blob that a row refers to is ever gone (A10)."""

import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from annotation.models import Session
from formats.files import sha256_of
from pipelines import tasks
from pipelines.errors import StoreError
from pipelines.models import Artifact, Blob, Run, RunState, StoredFile
from pipelines.store import collecting, ledger
from pipelines.store.blobs import blob_store, key_of
from pipelines.store.collecting import collect
from pipelines.store.keeping import Kept, keep
from tests.pipelines.conftest import child_environment
from tests.promises import Figures, counts

RACER = Path(__file__).parents[1] / "trainers" / "racing_store.py"


def race(
    folder: Path, settings: Any, database_url: str, *, rounds: int, how: str
) -> list[dict[str, int]]:
    """Two that commit and two that collect; what the first two have seen."""
    environment = child_environment(
        settings, database_url, TIEBREAK_STORE_KEEP_SECONDS="0", TIEBREAK_STORE_DOOM_SECONDS="5"
    )

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(RACER), *words]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    for seed in (1, 2):
        Run.objects.create(kind="counting", name=f"racer {seed}", config={}, config_sha="0" * 64)
    collectors = [start("collect", str(folder), how) for _ in range(2)]
    commits = [start("commit", str(folder), str(rounds // 2), str(seed)) for seed in (1, 2)]
    try:
        told = [each.communicate(timeout=240)[0] for each in commits]
        (folder / "stop").touch()
        codes = [each.wait(60) for each in (*commits, *collectors)]
        assert codes == [0, 0, 0, 0] or how == "naive", codes
    finally:
        for each in (*commits, *collectors):
            each.kill()
            each.wait()
            if each.stdout is not None:
                each.stdout.close()
    # A commit that met a row without its blob may have broken down: so much is lost at least.
    return [json.loads(text) if text else {"lost": 1} for text in told]


@pytest.mark.faults
@pytest.mark.promise("A10")
@pytest.mark.django_db(transaction=True)
def test_no_blob_that_a_row_refers_to_is_collected(
    short_times: Any, database_url: str, tmp_path: Path, figures: Figures
) -> None:
    rounds = counts(16, 100, 200)
    found = race(tmp_path, short_times, database_url, rounds=rounds, how="good")
    assert sum(each["rounds"] for each in found) == rounds
    assert [each["lost"] for each in found] == [0, 0]
    again = sum(each["again"] for each in found)
    figures("A10", rounds=rounds, lost=0, commits_begun_again=again)


@pytest.mark.faults
@pytest.mark.mutant("A10")
@pytest.mark.django_db(transaction=True)
def test_asking_and_then_deleting_loses_blobs(
    short_times: Any, database_url: str, tmp_path: Path
) -> None:
    found = race(tmp_path, short_times, database_url, rounds=80, how="naive")
    assert sum(each["lost"] for each in found) > 0


# One step at a time.


@pytest.fixture
def kept(db: None, tmp_path: Path, settings: Any) -> tuple[str, Kept]:
    """A blob that nothing refers to."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"weights")
    sha = sha256_of(path)
    return sha, keep(path, sha, None)


def make_old(sha: str) -> None:
    Blob.objects.filter(pk=sha).update(wanted_at=timezone.now() - timedelta(hours=49))


@pytest.mark.promise("A10")
def test_only_what_nobody_has_wanted_for_two_days_goes(kept: tuple[str, Kept]) -> None:
    sha, _ = kept
    assert collect().blobs == 0
    make_old(sha)
    assert collect().blobs == 1


@pytest.mark.promise("A10")
@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.COMMITTING])
def test_nothing_of_a_run_at_work_goes_however_old(kept: tuple[str, Kept], state: str) -> None:
    sha, _ = kept
    run = Run.objects.create(
        kind="counting", config={}, config_sha="0" * 64, state=state, lease_until=timezone.now()
    )
    Blob.objects.filter(pk=sha).update(wanted_by=run)
    make_old(sha)
    assert collect().blobs == 0
    assert blob_store().size(key_of(sha)) == 7


@pytest.mark.promise("A10")
def test_whoever_wants_a_blob_again_makes_it_young(kept: tuple[str, Kept], tmp_path: Path) -> None:
    sha, _ = kept
    make_old(sha)
    keep(tmp_path / "a.bin", sha, None)
    assert collect().blobs == 0


@pytest.mark.promise("A10")
def test_a_blob_that_a_dead_collector_had_claimed_is_taken_over_under_another_key(
    kept: tuple[str, Kept], tmp_path: Path, settings: Any
) -> None:
    sha, _ = kept
    make_old(sha)
    sleeping = ledger.doom(sha)
    assert sleeping == key_of(sha)
    settings.TIEBREAK_STORE_DOOM_SECONDS = 0.2
    started = time.monotonic()
    again = keep(tmp_path / "a.bin", sha, None)  # waits for the collector, and no longer
    assert 0.1 < time.monotonic() - started < 5
    assert again.keys[sha] == key_of(sha, 1)
    # The sleeper wakes and does what it was about to do.
    blob_store().delete(sleeping)
    assert not ledger.forget(sha, sleeping)
    assert blob_store().size(again.keys[sha]) == 7


@pytest.fixture
def an_artifact(kept: tuple[str, Kept]) -> Artifact:
    """Whose run had put `kept` into the store, and commits late."""
    run = Run.objects.create(kind="counting", config={}, config_sha="0" * 64)
    return Artifact.objects.create(run=run, kind="scores", path="outputs/a.bin", sha256=kept[0])


def made_anew(sha: str) -> str:
    """Collected after it had been reserved, and reserved by another commit; its new key."""
    make_old(sha)
    assert collect().blobs == 1
    return ledger.reserve({sha: 7}, None)[sha]


@pytest.mark.promise("A10")
def test_who_reserved_a_blob_before_it_went_cannot_refer_to_its_next_life(
    kept: tuple[str, Kept], an_artifact: Artifact
) -> None:
    sha, late = kept
    assert made_anew(sha) != late.keys[sha]
    with pytest.raises(StoreError, match="was deleted before"), transaction.atomic():
        late.refer(an_artifact)
    assert not an_artifact.files.exists()


@pytest.mark.mutant("A10")
def test_a_row_that_is_deleted_at_once_lets_it_refer_to_bytes_that_are_gone(
    kept: tuple[str, Kept], an_artifact: Artifact, monkeypatch: Any
) -> None:
    def forget(sha256: str, _key: str) -> bool:
        return bool(Blob.objects.filter(pk=sha256).delete()[0])

    monkeypatch.setattr(ledger, "forget", forget)
    sha, late = kept
    made_anew(sha)
    with transaction.atomic():
        late.refer(an_artifact)
    assert blob_store().size(late.keys[sha]) is None


@pytest.mark.promise("A10")
def test_rows_of_blobs_that_are_gone_are_buried_after_a_month(kept: tuple[str, Kept]) -> None:
    sha, _ = kept
    make_old(sha)
    assert collect().blobs == 1
    assert collect().blobs == 0
    assert Blob.objects.filter(pk=sha).exists()
    Blob.objects.filter(pk=sha).update(wanted_at=timezone.now() - timedelta(days=31))
    assert collect().blobs == 0
    assert not Blob.objects.filter(pk=sha).exists()


@pytest.mark.promise("A10")
def test_what_a_dead_collector_had_begun_another_one_ends(
    kept: tuple[str, Kept], settings: Any
) -> None:
    sha, _ = kept
    make_old(sha)
    assert ledger.doom(sha) is not None
    assert ledger.doom(sha) is None  # it is claimed
    assert collect().blobs == 0
    settings.TIEBREAK_STORE_DOOM_SECONDS = 0
    time.sleep(0.01)
    assert collecting._collect_one(blob_store(), sha) is False  # no time at all: it lets go
    settings.TIEBREAK_STORE_DOOM_SECONDS = 0.2
    time.sleep(0.3)
    assert collect().blobs == 1
    assert list(blob_store().listing()) == []


def test_what_no_row_knows_is_counted_and_stays(
    kept: tuple[str, Kept], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Blob.objects.all().delete()  # the database of another day was put back
    settings.TIEBREAK_STORE_KEEP_SECONDS = -1
    assert collect().strangers == 1
    assert len(list(blob_store().listing())) == 1
    call_command("collect_garbage", "--dry-run")
    assert "1 objects are unknown to this database and stay" in capsys.readouterr().out


def test_leftovers_and_old_states_of_ended_runs_go_and_those_of_others_stay(
    db: None, settings: Any
) -> None:
    from pipelines.exports import runs as export_runs
    from pipelines.ingests import ingesting

    settings.TIEBREAK_STORE_KEEP_SECONDS = -1
    folders = []
    for state in ("succeeded", "queued"):
        run = Run.objects.create(kind="counting", config={}, config_sha="0" * 64)
        if state == "succeeded":
            for after in ("starting", "running", "committing", "succeeded"):
                until = None if after == "succeeded" else timezone.now()
                Run.objects.filter(pk=run.pk).update(state=after, lease_until=until)
        folder = Path(settings.RUNS_ROOT) / str(run.pk)
        for name in (
            "outputs/.tmp-1", "checkpoints/.old-2", "checkpoints/ckpt-1", "refused-1",
            ingesting.UNPACKED, export_runs.STAGING,
        ):  # fmt: skip
            (folder / name).mkdir(parents=True)
        folders.append(folder)
    assert collect(dry_run=True).leftovers == 5
    assert collect().leftovers == 5
    ended, waiting = folders
    assert sorted(p.name for p in ended.iterdir()) == ["checkpoints", "outputs"]
    assert (ended / "checkpoints" / "ckpt-1").is_dir()
    assert (waiting / "outputs" / ".tmp-1").is_dir()
    assert collect(checkpoints_after_days=1).checkpoints == 0
    assert collect(checkpoints_after_days=-1).checkpoints == 1
    assert not (ended / "checkpoints").exists()
    assert (waiting / "checkpoints" / "ckpt-1").is_dir()


def test_the_database_itself_keeps_a_blob_that_a_file_refers_to(kept: tuple[str, Kept]) -> None:
    from django.db.models import ProtectedError

    sha, found = kept
    run = Run.objects.create(kind="counting", config={}, config_sha="0" * 64)
    artifact = Artifact.objects.create(kind="scores", run=run, path="x", sha256=sha)
    found.refer(artifact)
    assert StoredFile.objects.count() == 1
    with pytest.raises(ProtectedError):
        Blob.objects.all().delete()


@pytest.mark.django_db
def test_what_is_done_once_a_day_takes_expired_log_ins_along(
    short_times: Any, alice: Any, bob: Any
) -> None:
    for user in (alice, bob):
        Client().force_login(user)
    Session.objects.filter(person=alice).update(expire_date=timezone.now() - timedelta(days=1))
    tasks.collect_garbage()
    assert [each.person for each in Session.objects.all()] == [bob]
