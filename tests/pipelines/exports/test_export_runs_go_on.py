"""An export run that was stopped: tried again it keeps what was whole, and makes nothing twice."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from formats.checkpoints import verify_folder
from formats.supervised import Supervised
from pipelines import launching
from pipelines.exports import hugging_face, source
from pipelines.exports import runs as export_runs
from pipelines.models import Artifact, Run
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]


class Stopped(Exception):
    """As the supervisor's wish to stop ends a step."""


@pytest.fixture
def run(mia: Any, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An export of six pairs, two to a file; whether it is to go on is asked at every row."""
    monkeypatch.setattr(source, "_TICK", 1)
    monkeypatch.setattr(hugging_face, "SHARD", 1)
    campaign = make_campaign(pairs=6)
    snapshot = play(start_run("snapshot", {"campaign": campaign.pk}, user=mia)).artifacts.get()
    return start_run("export", {"format": "hf"}, {"snapshot": snapshot}, user=mia)


def _stop_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = rows

    def check(self: Supervised, save: Any = None) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped

    monkeypatch.setattr(Supervised, "check", check)


def _files(folder: Path) -> dict[str, int]:
    """Name -> the place on the disk, which another file would not have."""
    return {path.name: path.stat().st_ino for path in folder.rglob("*.parquet")}


def test_what_was_whole_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = launching.run_dir(run).root / export_runs.STAGING
    with monkeypatch.context() as patch:
        _stop_after(4, patch)
        with pytest.raises(Stopped):
            _performed(run)
    before = _files(staging)
    assert before
    play(run)
    folder = path_of(run.artifacts.get())
    after = _files(folder)
    assert before.items() <= after.items()  # the very files, linked
    assert sum(pq.read_table(each).num_rows for each in folder.rglob("*.parquet")) == 6
    assert verify_folder(folder)["main"] == 6
    assert not staging.exists()


def test_killed_between_the_last_two_steps_it_gives_what_is_there(run: Run) -> None:
    first = _performed(run)
    files = _files(launching.run_dir(run).outputs)
    second = _performed(run)
    assert second.outputs[0].sha256 == first.outputs[0].sha256
    assert _files(launching.run_dir(run).outputs) == files


def test_a_damaged_output_of_an_earlier_attempt_is_made_again(run: Run) -> None:
    first = _performed(run)
    next(launching.run_dir(run).outputs.rglob("*.parquet")).write_bytes(b"other")
    assert _performed(run).outputs[0].sha256 == first.outputs[0].sha256


def _performed(run: Run) -> Any:
    from formats.run_dir import RunDir

    folder = launching.run_dir(run).root
    if not launching.run_dir(run).config_file.exists():
        launching.prepare(run)
    return export_runs.perform(Supervised(RunDir(folder)))


def test_the_artifact_names_its_rows(run: Run) -> None:
    play(run)
    artifact = Artifact.objects.get(run=run)
    assert sum(artifact.meta["rows_of_files"].values()) == artifact.meta["rows"] == 6
