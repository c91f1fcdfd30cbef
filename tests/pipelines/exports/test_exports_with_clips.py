"""Exports that hold their clips, or name them by links; and the names of people in them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from formats.dimensions import BUILT_IN
from formats.errors import FormatError
from formats.files import sha256_of
from formats.labels import Label
from formats.records import Opinion, PreferenceRecord, VideoRef
from formats.snapshot import write_snapshot
from pipelines.exports.exporting import export
from pipelines.exports.source import Media
from pipelines.models import Artifact
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


@pytest.fixture
def snapshot(mia: Any) -> Artifact:
    campaign = make_campaign(pairs=3)
    return play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()


def test_the_clips_come_along_once_each_under_their_hash(
    snapshot: Artifact, tmp_path: Path
) -> None:
    done = export(snapshot, "hf", tmp_path / "x", how=Media("files"))
    (table,) = [pq.read_table(each) for each in (done.path / "data").glob("*.parquet")][:1]
    for path, digest in zip(
        table["path_a"].to_pylist(), table["sha256_a"].to_pylist(), strict=True
    ):
        assert sha256_of(done.path / path) == digest
    assert len(list((done.path / "media").iterdir())) == 6


def test_the_command_takes_them_along(snapshot: Artifact, tmp_path: Path, capsys: Any) -> None:
    words = ("export", str(snapshot.pk), "--format", "trl", "--output", str(tmp_path / "x"))
    call_command(*words, "--media", "files")
    said = capsys.readouterr().out
    assert "6 clips and start images in media" in said
    table = tmp_path / "x" / f"snapshot-{snapshot.pk}-trl.jsonl"
    assert f"  {sha256_of(table)}  {table.name}" in said
    with pytest.raises(CommandError, match="prefix must be what stands before the path"):
        call_command(*words[:-1], str(tmp_path / "y"), "--media", "links")


def test_a_clip_that_is_not_what_people_saw_stops_the_export(
    snapshot: Artifact, tmp_path: Path, settings: Any
) -> None:
    row = json.loads(_lines(export(snapshot, "trl", tmp_path / "rows").path)[0])
    clip = Path(settings.MEDIA_ROOT) / row["chosen"]
    kept = clip.read_bytes()
    clip.write_bytes(b"other")
    with pytest.raises(FormatError, match=f"pair {row['pair_id']} is not what people saw"):
        export(snapshot, "trl", tmp_path / "x", how=Media("files"))
    clip.unlink()
    with pytest.raises(FormatError, match=f"pair {row['pair_id']} is missing"):
        export(snapshot, "trl", tmp_path / "x", how=Media("files"))
    assert not (tmp_path / "x").exists()
    clip.write_bytes(kept)
    done = export(snapshot, "trl", tmp_path / "x", how=Media("files"))
    (kept_there,) = (done.path / "media").glob(f"{row['chosen_sha256']}.*")
    assert kept_there.read_bytes() == kept


def test_links_are_paths_behind_a_prefix(snapshot: Artifact, tmp_path: Path) -> None:
    plain = _lines(export(snapshot, "trl", tmp_path / "plain").path)
    how = Media("links", "s3://bucket/a b/")
    linked = _lines(export(snapshot, "trl", tmp_path / "linked", how=how).path)
    for before, after in zip(plain, linked, strict=True):
        assert json.loads(after)["chosen"] == f"s3://bucket/a b/{json.loads(before)['chosen']}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


# People.


def _voted(folder: Path) -> Artifact:
    """Two pairs with the votes of two people, on one of whom much is known."""
    clip = VideoRef("v", "clips/a.mp4", "a" * 64, 8.0, 8)
    said = [Opinion(name, "VQ", Label.A) for name in ("annotator-1", "annotator-2")]
    records = [
        PreferenceRecord(f"p{n}", "a prompt", "train", clip, clip, {"VQ": Label.A}, judgements=said)
        for n in range(2)
    ]
    known = {"annotator-1": {"VQ": 0.5}}
    sha256 = write_snapshot(folder, BUILT_IN["videoalign"], records, {}, known)
    return Artifact(pk=1, sha256=sha256, meta={})


def test_people_have_one_name_in_an_export_and_another_in_the_next(tmp_path: Path) -> None:
    artifact, folder = _voted(tmp_path / "snapshot"), tmp_path / "snapshot"
    names = []
    for number in range(2):
        done = export(artifact, "votes", tmp_path / f"{number}.jsonl", source=folder)
        rows = [json.loads(line) for line in _lines(done.path)[1:]]
        assert done.rows == len(rows) == 4
        names.append({row["annotator"] for row in rows})
        sure = [row for row in rows if row["reliability"]]
        assert [row["reliability"] for row in sure] == [{"VQ": 0.5}] * 2
    assert [len(each) for each in names] == [2, 2]
    assert not names[0] & names[1]
    assert not (names[0] | names[1]) & {"annotator-1", "annotator-2"}


def test_the_table_of_votes_names_them_as_the_metadata_does(tmp_path: Path) -> None:
    artifact = _voted(tmp_path / "snapshot")
    done = export(artifact, "parquet", tmp_path / "x.parquet", source=tmp_path / "snapshot")
    table = pq.read_table(done.path)
    people = {each["annotator"] for each in table["judgements"].to_pylist()[0]}
    known = json.loads(table.schema.metadata[b"tiebreak.reliability"])
    assert len(people) == 2
    assert known.keys() < people
