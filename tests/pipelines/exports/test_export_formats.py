"""Snapshots in the formats of other tools, and what those have no place for."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from formats.errors import FormatError
from pipelines.exports.exporting import export, find_snapshot
from pipelines.models import Artifact
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot() -> Artifact:
    campaign = make_campaign(pairs=6)
    found: Artifact = play(
        start_run("snapshot", {"campaign": campaign.pk}, user=None)
    ).artifacts.get()
    return found


def test_trl_has_no_ties_and_says_how_many_there_were(snapshot: Artifact, tmp_path: Path) -> None:
    done = export(snapshot, "trl", tmp_path / "trl.jsonl")
    rows = [json.loads(line) for line in done.path.read_text().splitlines()]
    # 18 labels: 1 invalid, 6 ties, 11 decided.
    assert len(rows) == done.rows == 11
    assert all(row["chosen"] != row["rejected"] for row in rows)
    beside = json.loads((tmp_path / "trl.jsonl.left-out.json").read_text())
    assert sum(beside[key]["tie"] for key in beside) == 6
    assert beside["VQ"]["invalid"] == 1


def test_parquet_keeps_every_label_and_names_its_snapshot(
    snapshot: Artifact, tmp_path: Path
) -> None:
    done = export(snapshot, "parquet", tmp_path / "x.parquet")
    table = pq.read_table(done.path)
    assert table.num_rows == 6
    assert table.schema.metadata[b"tiebreak.snapshot"].decode() == snapshot.sha256
    assert sorted(table["label_VQ"].to_pylist()) == ["A", "A", "B", "invalid", "tie", "tie"]


def test_hugging_face_gets_a_folder_with_one_file_per_split(
    snapshot: Artifact, tmp_path: Path
) -> None:
    done = export(snapshot, "hf", tmp_path / "hf")
    files = sorted(path.name for path in (done.path / "data").iterdir())
    sizes = [pq.read_table(done.path / "data" / name).num_rows for name in files]
    assert sum(sizes) == 6
    card = (done.path / "README.md").read_text()
    assert all(f"    - data/{name}" in card for name in files)


def test_label_studio_gets_tasks_with_our_labels(snapshot: Artifact, tmp_path: Path) -> None:
    done = export(snapshot, "labelstudio", tmp_path / "ls.json")
    tasks = json.loads(done.path.read_text())
    names = {result["from_name"] for task in tasks for result in task["annotations"][0]["result"]}
    assert names == {"VQ", "MQ", "TA"}
    assert 'name="VQ"' in (tmp_path / "ls.json.config.xml").read_text()


def test_videoalign_says_same_for_a_tie(snapshot: Artifact, tmp_path: Path) -> None:
    done = export(snapshot, "videoalign", tmp_path / "va.csv")
    header, *rows = done.path.read_text().splitlines()
    assert header.startswith("path_A,path_B,prompt,VQ,MQ,TA,fps_A")
    assert len(rows) == 6
    assert sum(",same," in row for row in rows) >= 4


def test_a_label_that_changed_since_is_not_passed_off_as_the_snapshot(
    snapshot: Artifact, tmp_path: Path
) -> None:
    from annotation.models import Consensus

    export(snapshot, "videoalign", tmp_path / "before.csv")
    Consensus.objects.filter(label="A").update(label="B")
    export(snapshot, "videoalign", tmp_path / "after.csv")
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def test_nothing_is_overwritten(snapshot: Artifact, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FormatError, match="never overwritten"):
        export(snapshot, "trl", tmp_path / "x")
    assert (tmp_path / "x").read_text() == "mine"


def test_a_snapshot_is_found_by_id_or_by_its_address(snapshot: Artifact) -> None:
    assert find_snapshot(str(snapshot.pk)) == snapshot
    assert find_snapshot(snapshot.sha256[:8]) == snapshot
    with pytest.raises(FormatError, match="there is no snapshot 'zzzzzzzz'"):
        find_snapshot("zzzzzzzz")


def test_the_command_says_what_it_wrote(snapshot: Artifact, tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "trl.jsonl"
    call_command("export", str(snapshot.pk), "--format", "trl", "--output", str(target))
    assert "11 rows" in capsys.readouterr().out
    with pytest.raises(CommandError, match="never overwritten"):
        call_command("export", str(snapshot.pk), "--format", "trl", "--output", str(target))


def test_two_commands_with_one_target_go_one_at_a_time(snapshot: Artifact, tmp_path: Path) -> None:
    place = tmp_path / ".x.csv.export"
    place.mkdir()
    handle = os.open(place, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(FormatError, match="another process is writing this export"):
        export(snapshot, "videoalign", tmp_path / "x.csv")
    os.close(handle)
    assert export(snapshot, "videoalign", tmp_path / "x.csv").rows == 6
    assert not list(tmp_path.glob(".x.csv*"))
