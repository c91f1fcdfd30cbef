"""The exports in the hands of those they are for: `load_dataset` and TRL's own check, offline."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from formats.labels import Label
from formats.records import PreferenceRecord
from pipelines.exports.exporting import Export, export
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.starting import start_run
from tests.pipelines.loop_world import make_campaign, play

pytestmark = [pytest.mark.django_db, pytest.mark.one_engine]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def snapshot(mia: Any) -> Artifact:
    campaign = make_campaign(pairs=6)
    config = {"campaign": campaign.pk, "split": {"train": 0.5, "validation": 0.2, "test": 0.3}}
    return play(start_run("snapshot", config, user=mia)).artifacts.get()


def _opened(folder: Export, file: Export, cache: Path) -> dict[str, Any]:
    child = subprocess.run(
        [
            *(sys.executable, "-m", "tests.pipelines.exports.opened_elsewhere"),
            *(str(folder.path), str(file.path), str(cache)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "OMP_NUM_THREADS": "1"},
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    return found


def test_load_dataset_and_trl_read_what_the_snapshot_says(
    snapshot: Artifact, tmp_path: Path
) -> None:
    folder = export(snapshot, "hf", tmp_path / "hf")
    file = export(snapshot, "trl", tmp_path / "trl.jsonl")
    found = _opened(folder, file, tmp_path / "cache")
    records = PreferenceRecord.read(path_of(snapshot) / "preferences.jsonl")
    _same_rows(found["splits"], records)
    _same_preferences(found["trl"], records)


def _same_rows(splits: dict[str, list[dict[str, Any]]], records: list[PreferenceRecord]) -> None:
    rows = {row["pair_id"]: row for of_split in splits.values() for row in of_split}
    assert {name: {row["split"] for row in of} for name, of in splits.items()} == {
        name: {name} for name in splits
    }
    assert rows.keys() == {record.pair_id for record in records}
    for record in records:
        row = rows[record.pair_id]
        assert row["prompt"] == record.prompt
        assert row["path_a"] == record.video_a.path
        assert row["label_VQ"] == record.labels.get("VQ")
        assert (row["seed_a"], row["seed_b"]) == (0, 1)


def _same_preferences(seen: dict[str, Any], records: list[PreferenceRecord]) -> None:
    decided = [
        (record, label)
        for record in records
        for label in record.labels.values()
        if label in (Label.A, Label.B)
    ]
    assert seen["rows"] == len(decided)
    assert not seen["conversational"]
    assert seen["keys"]["ours"] == ""
    assert "Invalid keys" in seen["keys"]["without rejected"]
    assert "Invalid keys" in seen["keys"]["with a label"]
    liked = sorted(row["completion"] for row in seen["unpaired"] if row["label"])
    assert liked == sorted(
        record.video_a.path if label is Label.A else record.video_b.path
        for record, label in decided
        if record.video_b is not None
    )
    assert len(seen["unpaired"]) == 2 * len(decided)
