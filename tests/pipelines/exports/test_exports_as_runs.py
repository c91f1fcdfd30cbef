"""Exports of snapshots as runs: what they leave, how far they are, and the way to take it away."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from formats.checkpoints import MANIFEST, verify_folder
from formats.files import read_json
from pipelines import launching
from pipelines.errors import InvalidRunConfig
from pipelines.exports import files as export_files
from pipelines.exports.exporting import FORMATS, export
from pipelines.exports.runs import salt_of
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def snapshot(mia: Any) -> Artifact:
    campaign = make_campaign(pairs=6)
    return play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()


def _exported(snapshot: Artifact, name: str) -> Run:
    run: Run = play(start_run("export", {"format": name}, {"snapshot": snapshot}, user=None))
    return run


def _as(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_run_writes_what_the_command_writes(
    name: str, snapshot: Artifact, tmp_path: Path
) -> None:
    run = _exported(snapshot, name)
    artifact = run.artifacts.get()
    assert artifact.kind == "export"
    assert verify_folder(path_of(artifact))["snapshot"] == snapshot.sha256
    salt = salt_of(launching.run_dir(run))
    by_command = export(snapshot, name, tmp_path / "by-command", salt=salt)
    assert run.summary["rows"] == by_command.rows == artifact.meta["rows"]
    assert run.summary["rows"] >= (0 if name == "votes" else 6)
    folder, main = path_of(artifact), f"snapshot-{snapshot.pk}-{name}"
    if by_command.path.is_file():
        (found,) = (path for path in folder.iterdir() if path.stem == main)
        assert found.read_bytes() == by_command.path.read_bytes()
    else:
        files = [
            read_json(each / "manifest.json", MANIFEST)["files"]
            for each in (folder, by_command.path)
        ]
        assert files[0] == files[1]


def test_its_progress_is_told_to_the_end(snapshot: Artifact) -> None:
    run = _exported(snapshot, "hf")
    lines, _ = launching.run_dir(run).metrics_from(0)
    steps = [(line.step, line.total) for line in lines]
    assert steps[:2] == [(0, 1), (0, 18)]  # six pairs, read once for each split
    assert steps == sorted(steps, key=lambda each: each[0])
    assert (run.step, run.total, run.stage) == (18, 18, "done")


def test_what_a_format_has_no_place_for_is_counted(snapshot: Artifact) -> None:
    run = _exported(snapshot, "trl")
    assert sum(row.get("tie", 0) for row in run.summary["left_out"].values()) == 6
    (beside,) = path_of(run.artifacts.get()).glob("*.left-out.json")
    assert json.loads(beside.read_text())["VQ"]["invalid"] == 1


def test_an_unknown_format_is_refused_before_the_queue(snapshot: Artifact) -> None:
    with pytest.raises(InvalidRunConfig, match="format must be one of videoalign, rewardbench"):
        start_run("export", {"format": "excel"}, {"snapshot": snapshot}, user=None)
    assert not Run.objects.filter(kind="export").exists()


def test_files_are_taken_away_one_by_one_and_together(snapshot: Artifact, lee: Any) -> None:
    artifact = _exported(snapshot, "trl").artifacts.get()
    html = _as(lee).get(reverse("pipelines:artifact", args=[artifact.pk])).content.decode()
    name = f"snapshot-{snapshot.pk}-trl.jsonl"
    url = reverse("pipelines:export-file", args=[artifact.pk, name])
    assert f'href="{url}"' in html
    answer = _as(lee).get(url)
    assert b"".join(answer) == (path_of(artifact) / name).read_bytes()
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    zipped = _as(lee).get(reverse("pipelines:export-zip", args=[artifact.pk]))
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped))) as archive:
        assert f"export-{artifact.run_id}/{name}" in archive.namelist()
        assert f"export-{artifact.run_id}/manifest.json" in archive.namelist()


def test_what_is_too_large_for_a_zip_is_taken_file_by_file(snapshot: Artifact, lee: Any) -> None:
    artifact = _exported(snapshot, "parquet").artifacts.get()
    Artifact.objects.filter(pk=artifact.pk).update(bytes=export_files.ZIP_BYTES + 1)
    zipped = reverse("pipelines:export-zip", args=[artifact.pk])
    assert _as(lee).get(zipped).status_code == 404
    html = _as(lee).get(reverse("pipelines:artifact", args=[artifact.pk])).content.decode()
    assert f'href="{zipped}"' not in html
    assert "too large for a zip" in html


@pytest.mark.parametrize("name", ["manifest.json", "../../log.txt", "/etc/passwd", "x"])
def test_only_what_the_manifest_names_is_given(name: str, snapshot: Artifact, lee: Any) -> None:
    artifact = _exported(snapshot, "parquet").artifacts.get()
    path = f"/artifacts/{artifact.pk}/export/{name}"
    assert _as(lee).get(path).status_code == 404


def test_a_damaged_export_is_not_zipped(snapshot: Artifact, lee: Any) -> None:
    artifact = _exported(snapshot, "parquet").artifacts.get()
    (file,) = path_of(artifact).glob("*.parquet")
    file.write_bytes(b"other bytes")
    assert _as(lee).get(reverse("pipelines:export-zip", args=[artifact.pk])).status_code == 404


def test_annotators_get_no_export(snapshot: Artifact, alice: Any) -> None:
    artifact = _exported(snapshot, "parquet").artifacts.get()
    assert _as(alice).get(reverse("pipelines:export-zip", args=[artifact.pk])).status_code == 403
