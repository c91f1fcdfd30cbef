"""A folder or an archive taken in chunks comes to what one run makes of it: each file once."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Video
from formats.errors import FormatError
from pipelines import chunking, throughput
from pipelines.errors import InvalidRunConfig
from pipelines.ingests.gathered import gathered
from pipelines.ingests.ingesting import UNPACKED
from pipelines.models import Run, RunState
from pipelines.registry import path_of
from pipelines.run_cards import cards
from pipelines.starting import start_run
from tests.annotation import hostile_media as hostile
from tests.pipelines.loop_world import play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]
CHUNKS = 3
SIDES = {"a.mp4": 64, "wan/b.mp4": 80, "wan/c.mp4": 96, "d.mp4": 112}


@pytest.fixture
def incoming(settings: Any) -> Path:
    folder = Path(settings.MEDIA_ROOT) / "incoming"
    (folder / "batch" / "wan").mkdir(parents=True)
    for name, side in SIDES.items():
        hostile.clip(folder / "batch" / name, side=side)
    # The same bytes under other names, so that twins meet in different chunks.
    for number in range(4):
        shutil.copy(folder / "batch" / "a.mp4", folder / "batch" / f"twin-{number}.mp4")
    (folder / "batch" / "notes.txt").write_text("no clip")
    rows = ["path,prompt", *(f"{name},a red square" for name in [*SIDES, "notes.txt", "gone.mp4"])]
    rows += [f"twin-{number}.mp4,a red square" for number in range(4)]
    (folder / "batch" / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def report_of(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path_of(run.artifacts.get()).read_text())
    return found


def taken(config: dict[str, Any], user: Any) -> tuple[Run, list[Run]]:
    run = start_run("ingest", {"processes": 1, **config}, user=user)
    chunks = [play(chunk) for chunk in reversed(chunking.chunks_of(run))]
    return play(run), chunks


def said(run: Run) -> dict[str, tuple[str, str, str]]:
    rows = report_of(run)["files"]
    return {row["file"]: (row["verdict"], row["reason"], row["sha256"]) for row in rows}


def test_chunks_of_a_folder_come_to_the_report_of_one_run(incoming: Path, mia: Any) -> None:
    config = {"folder": "batch", "manifest": "manifest.csv"}
    whole, chunks = taken({**config, "chunks": CHUNKS}, mia)
    assert (whole.kind, whole.queue, {each.queue for each in chunks}) == (
        "ingests_gathered", "io", {"io"},
    )  # fmt: skip
    assert whole.state == RunState.SUCCEEDED, whole.message
    alone, _ = taken(config, mia)
    assert said(whole) == said(alone)
    counts, counts_alone = report_of(whole)["counts"], report_of(alone)["counts"]
    assert counts["known before"] == 0  # what another chunk brought is new
    assert counts_alone["known before"] == 8
    assert counts | {"known before": 8} == counts_alone
    assert counts["same bytes as another file"] == 4
    assert report_of(whole)["same_bytes"] == report_of(alone)["same_bytes"]
    # One row for each content: chunks that meet the same bytes give the same row.
    assert Video.objects.count() == len(SIDES)
    sizes = [len(report_of(chunk)["files"]) for chunk in chunks]
    assert sum(sizes) == 10
    assert min(sizes) < max(sizes) < 10


def test_of_an_archive_each_chunk_unpacks_its_own_files_alone(
    incoming: Path, mia: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    with zipfile.ZipFile(incoming / "batch.zip", "w") as archive:
        for path in sorted((incoming / "batch").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(incoming / "batch"))
    left: dict[str, int] = {}
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: left.update(_files(path)))
    whole, chunks = taken(
        {"archive": "batch.zip", "manifest": "manifest.csv", "chunks": CHUNKS}, mia
    )
    alone, _ = taken({"folder": "batch", "manifest": "manifest.csv"}, mia)
    assert said(whole) == said(alone)
    for chunk in chunks:
        own = [row for row in report_of(chunk)["files"] if row["file"] != "gone.mp4"]
        folder = str(Path(settings.RUNS_ROOT) / str(chunk.pk) / UNPACKED)
        assert left[folder] == len(own) + 1  # and the manifest


def _files(path: Any) -> dict[str, int]:
    return {str(path): len(list(Path(path).iterdir()))} if Path(path).is_dir() else {}


def test_more_chunks_than_files_leave_some_with_nothing_to_do(incoming: Path, mia: Any) -> None:
    whole, chunks = taken({"folder": "batch", "prompt": "a square", "chunks": 12}, mia)
    assert whole.state == RunState.SUCCEEDED, whole.message
    assert any(not report_of(chunk)["files"] for chunk in chunks)
    assert len(report_of(whole)["files"]) == 9


def test_a_folder_without_a_file_is_refused_by_the_run_that_gathers(
    incoming: Path, mia: Any
) -> None:
    (incoming / "empty").mkdir()
    run = start_run("ingest", {"folder": "empty", "prompt": "x", "chunks": 2}, user=mia)
    for chunk in chunking.chunks_of(run):
        play(chunk)
    with pytest.raises(FormatError, match="there is no file to take"):
        play(run)


def test_a_file_in_two_reports_is_refused(incoming: Path, mia: Any) -> None:
    run, _ = taken({"folder": "batch", "prompt": "x", "chunks": 1}, mia)
    report = path_of(run.artifacts.get())
    with pytest.raises(FormatError, match="is in two chunks"):
        gathered([report, report])


@pytest.mark.parametrize("config", [{"chunks": 0}, {"chunks": 2, "chunk": 2}, {"chunk": "1"}])
def test_chunks_that_cannot_be_are_refused(incoming: Path, mia: Any, config: Any) -> None:
    with pytest.raises(InvalidRunConfig, match="chunk"):
        start_run("ingest", {"folder": "batch", "prompt": "x", **config}, user=mia)
    assert not Run.objects.exists()


def test_the_gathering_run_shows_how_far_its_chunks_are(incoming: Path, mia: Any) -> None:
    run = start_run("ingest", {"folder": "batch", "prompt": "x", "chunks": 3}, user=mia)
    first = chunking.chunks_of(run)[0]
    assert chunking.gathering_of(first) == run
    Run.objects.filter(pk=first.pk).update(step=4, total=5)
    assert throughput.throughputs([run])[run.pk].done == 4
    card = cards([run], mia)[0]
    assert (card.step, card.total) == (4, 15)  # the others count as this one does
