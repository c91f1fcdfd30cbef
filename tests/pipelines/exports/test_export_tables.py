"""Parquet of a snapshot: row by row what it says, in row groups, never whole in memory."""

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from formats.dimensions import BUILT_IN
from formats.errors import FormatError
from formats.labels import Label
from formats.records import ImageRef, Opinion, PreferenceRecord, VideoRef
from formats.snapshot import write_snapshot
from pipelines.exports import exporting, parquet, source, tables
from pipelines.exports.catalogue import FORMATS
from pipelines.exports.source import Source
from pipelines.exports.staging import Staging

pytestmark = pytest.mark.one_engine

SET = BUILT_IN["videoalign"]
KEYS = SET.keys
_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_clip = st.builds(
    VideoRef,
    id=st.just("x"),
    path=_text,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    fps=st.floats(1, 120),
    num_frames=st.integers(1, 10_000),
    generator=st.sampled_from(["", "wan", "生成器"]),
    seed=st.none() | st.integers(-(2**62), 2**62),
)
_score = st.dictionaries(st.sampled_from(KEYS), st.floats(1, 5))
_opinion = st.builds(
    Opinion,
    annotator=st.sampled_from(["annotator-1", "annotator-2"]),
    dimension=st.sampled_from(KEYS),
    label=st.sampled_from(Label),
)
_record = st.builds(
    PreferenceRecord,
    pair_id=_text,
    prompt=_text,
    split=st.sampled_from(["train", "validation", "test"]),
    video_a=_clip,
    video_b=st.none() | _clip,
    labels=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(Label)),
    posterior=st.dictionaries(
        st.sampled_from(KEYS), st.lists(st.floats(0, 1), min_size=3, max_size=3)
    ),
    scores_a=_score,
    scores_b=_score,
    votes=st.integers(0, 9),
    source=st.sampled_from(["votes", "import"]),
    judgements=st.lists(_opinion, max_size=4),
    image=st.none() | st.builds(ImageRef, path=_text, sha256=_text),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=st.lists(_record, min_size=1, max_size=6))
def test_every_fact_of_a_record_is_in_its_row(
    records: list[PreferenceRecord], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("snapshot")
    write_snapshot(folder / "s", SET, records, {})
    taken = Source(folder / "s", "f" * 64, b"salt")
    parquet.write_rows(folder / "x.parquet", taken, taken.rows())
    rows = pq.read_table(folder / "x.parquet").to_pylist()
    for record, row in zip(sorted(records, key=lambda each: each.pair_id), rows, strict=True):
        assert (row["pair_id"], row["prompt"], row["split"]) == (
            record.pair_id,
            record.prompt,
            record.split,
        )
        _same_clip(row, "a", record.video_a)
        _same_clip(row, "b", record.video_b)
        assert row["image_path"] == (record.image.path if record.image else None)
        for key in KEYS:
            assert row[f"label_{key}"] == record.labels.get(key)
            assert row[f"posterior_{key}"] == record.posterior.get(key)
            assert row[f"score_a_{key}"] == record.scores_a.get(key)
            assert row[f"score_b_{key}"] == record.scores_b.get(key)
        assert [(each["dimension"], each["label"]) for each in row["judgements"]] == [
            (each.dimension, each.label) for each in record.judgements
        ]


def _same_clip(row: dict[str, Any], side: str, video: VideoRef | None) -> None:
    names = ("path", "sha256", "fps", "num_frames", "seed")
    assert [row[f"{name}_{side}"] for name in names] == [
        None if video is None else getattr(video, name) for name in names
    ]
    assert (row[f"generator_{side}"] or "") == (video.generator if video else "")


def _written(folder: Path, pairs: int) -> Source:
    clip = VideoRef("v", "a.mp4", "a" * 64, 8.0, 8)
    records = [
        PreferenceRecord(f"{n:05}", "p", "train", clip, clip, {"VQ": Label.A}) for n in range(pairs)
    ]
    write_snapshot(folder / "s", SET, records, {})
    return Source(folder / "s", "f" * 64, b"salt")


def test_no_more_than_a_row_group_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 16)
    monkeypatch.setattr(tables, "BATCH", 4)
    taken = _written(tmp_path, 100)
    read, ahead = 0, []
    write_table = pq.ParquetWriter.write_table

    def counted() -> Iterator[Any]:
        nonlocal read
        for row in taken.rows():
            read += 1
            yield row

    def noticed(self: Any, group: Any, **rest: Any) -> None:
        ahead.append(read - sum(each for each in sizes))
        sizes.append(group.num_rows)
        write_table(self, group, **rest)

    sizes: list[int] = []
    monkeypatch.setattr(pq.ParquetWriter, "write_table", noticed)
    assert parquet.write_rows(tmp_path / "x.parquet", taken, counted()) == 100
    assert sizes == [16] * 6 + [4]
    assert max(ahead) <= 16
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 7
    assert "RLE_DICTIONARY" in file.metadata.row_group(0).column(1).encodings  # the prompt
    assert json.loads(file.schema_arrow.metadata[b"tiebreak.dimensions"])["name"] == SET.name


def test_a_damaged_snapshot_and_a_stranger_among_its_dimensions_are_named(tmp_path: Path) -> None:
    taken = _written(tmp_path, 2)
    file = taken.folder / source.FILE
    file.write_bytes(file.read_bytes().replace(b"VQ", b"XX"))
    with pytest.raises(FormatError, match=r"preferences.jsonl:2: dimension 'XX' is not in the set"):
        list(taken.rows())
    with pytest.raises(FormatError, match="the file is damaged"):
        Source(taken.folder, "f" * 64, b"salt")


@pytest.mark.parametrize("frozen", [True, False])
def test_the_collector_of_memory_is_left_as_it_was(tmp_path: Path, frozen: bool) -> None:
    """It is slowed down while rows are written, also when that fails."""
    (gc.freeze if frozen else gc.unfreeze)()
    taken = _written(tmp_path, 2)
    before = gc.get_threshold(), gc.get_freeze_count() > 0
    seen = []

    def fill(source: Source, staging: Staging, main: str) -> None:
        seen.append(gc.get_threshold())
        raise FormatError(f"{main} of {source.count} in {staging.folder.name}")

    chosen = replace(FORMATS["parquet"], write=fill)
    with pytest.raises(FormatError, match=r"x of 2 in staging"):
        exporting.write(taken, Staging(tmp_path / "staging", {}), chosen, "x")
    assert seen != [before[0]]
    after = gc.get_threshold(), gc.get_freeze_count() > 0
    gc.freeze()  # as tests/conftest.py has left it
    assert before[1] == frozen
    assert after == before
