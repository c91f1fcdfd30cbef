"""What came in as a CSV goes out of a snapshot byte for byte; else it says what people said."""

import csv
from pathlib import Path
from typing import Any

import pytest

from annotation.imports.reading_in import import_videoalign
from annotation.models import Campaign, Consensus, Triplet
from models_rm.benchmarks.reading import read_benchmark
from pipelines.exports.exporting import export
from pipelines.exports.source import Media
from pipelines.models import Artifact
from pipelines.starting import start_run
from tests.pipelines.loop_world import play, remembered, write_clip

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

# Quoted without need, CRLF, columns in another order, one of somebody else, scores, a name.
HEADER = (
    '"path_A",path_B,A_model,B_model,prompt,TA,VQ,MQ,Overall,MOS_A_VQ,MOS_B_VQ,'
    "fps_A,num_frames_A,fps_B,num_frames_B,pair_id"
)
ROWS = (
    './videos/0.mp4,videos/1.mp4,wan,sora,"a ""red""\n猫",A,same,B,A,3.50,2,8,4.0,8.0,4,z-1',
    "videos/2.mp4,videos/3.mp4,wan,wan,plain,invalid,A,same,B,4,1.0,8.0,4.0,8.0,4.0,a-2",
)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    with remembered():
        for shade in range(4):
            write_clip(tmp_path / "videos" / f"{shade}.mp4", shade * 17)
        path = tmp_path / "labels.csv"
        path.write_bytes("".join(line + "\r\n" for line in (HEADER, *ROWS)).encode())
        import_videoalign(path, "real")
    return path


def _snapshot(user: Any = None) -> Artifact:
    campaign = Campaign.objects.get(name="real")
    run = play(start_run("snapshot", {"campaign": campaign.pk}, user=user))
    found: Artifact = run.artifacts.get()
    return found


@pytest.mark.parametrize("name", ["videoalign", "rewardbench"])
def test_it_goes_out_byte_for_byte(name: str, sheet: Path, tmp_path: Path) -> None:
    done = export(_snapshot(), name, tmp_path / "out.csv")
    assert done.path.read_bytes() == sheet.read_bytes()
    assert done.rows == 2


def test_a_benchmark_needs_its_generators(sheet: Path, tmp_path: Path) -> None:
    """Rows that came without them get our columns there, and stay as they came elsewhere."""
    Triplet.objects.all().delete()
    Campaign.objects.all().delete()
    header = "path_A,path_B,prompt,VQ,MQ,TA"
    sheet.write_text(f"{header}\nvideos/0.mp4,videos/1.mp4,red,A,B,same\n")
    import_videoalign(sheet, "real")
    snapshot = _snapshot()
    plain = export(snapshot, "videoalign", tmp_path / "plain.csv")
    assert plain.path.read_bytes() == sheet.read_bytes()
    (row,) = _rows(export(snapshot, "rewardbench", tmp_path / "bench.csv").path)
    assert (row["A_model"], row["B_model"]) == ("", "")
    assert (row["VQ"], row["MQ"], row["TA"]) == ("A", "B", "same")
    assert (row["path_A"], row["fps_A"], row["num_frames_A"]) == ("videos/0.mp4", "8.0", "4.0")


def test_a_snapshot_says_what_it_said_when_labels_have_changed_since(
    sheet: Path, tmp_path: Path
) -> None:
    before = _snapshot()
    Consensus.objects.filter(triplet__prompt__text="plain", label="A").update(label="tie")
    after = _snapshot()
    assert export(before, "videoalign", tmp_path / "before.csv").path.read_bytes() == (
        sheet.read_bytes()
    )
    rows = _rows(export(after, "videoalign", tmp_path / "after.csv").path)
    assert list(rows[0]) == [
        *("path_A", "path_B", "prompt", "VQ", "MQ", "TA"),
        *("fps_A", "num_frames_A", "fps_B", "num_frames_B", "MOS_A_VQ", "MOS_B_VQ", "pair_id"),
    ]
    assert [row["VQ"] for row in rows] == ["same", "same"]  # in the order of the file
    assert rows[0]["path_A"] == "./videos/0.mp4"
    assert rows[0]["prompt"] == 'a "red"\n猫'
    assert (rows[1]["MOS_A_VQ"], rows[1]["MOS_B_VQ"]) == ("4.0", "1.0")


def test_links_and_files_have_their_own_paths(sheet: Path, tmp_path: Path) -> None:
    snapshot = _snapshot()
    done = export(snapshot, "rewardbench", tmp_path / "x", how=Media("files"))
    (file,) = done.path.glob("*.csv")
    for row in _rows(file):
        assert (done.path / row["path_A"]).is_file()
        assert row["A_model"] == "wan"
    linked = export(snapshot, "videoalign", tmp_path / "l.csv", how=Media("links", "s3://b/"))
    assert all(row["path_B"].startswith("s3://b/") for row in _rows(linked.path))


def test_the_benchmark_reads_as_one(sheet: Path, tmp_path: Path) -> None:
    Consensus.objects.filter(triplet__prompt__text="plain", label="A").update(label="tie")
    done = export(_snapshot(), "rewardbench", tmp_path / "x.csv")
    benchmark = read_benchmark(done.path)
    assert benchmark.columns == ("VQ", "MQ", "TA")
    assert [pair.model_b for pair in benchmark.pairs] == ["sora", "wan"]
    assert [pair.labels for pair in benchmark.pairs] == [
        {"VQ": 0, "MQ": -1, "TA": 1},
        {"VQ": 0, "MQ": 0},  # invalid is no label
    ]


def test_a_campaign_that_is_gone_is_exported_from_the_snapshot(sheet: Path, tmp_path: Path) -> None:
    snapshot = _snapshot()
    Triplet.objects.all().delete()
    rows = _rows(export(snapshot, "videoalign", tmp_path / "x.csv").path)
    assert [row["pair_id"] for row in rows] == ["a-2", "z-1"]
    assert [row["TA"] for row in rows] == ["invalid", "A"]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
