"""Start images in records: named by every row of an image-to-video prompt, absent elsewhere."""

import json
from pathlib import Path

import pytest

from formats.errors import FormatError
from formats.labels import Label
from formats.records import (
    GenerationRecord,
    ImageRef,
    PairRecord,
    PreferenceRecord,
    PromptRecord,
    VideoRef,
)

pytestmark = pytest.mark.one_engine

IMAGE = ImageRef("images/ab/ab.png", "ab" * 32)
CLIP = VideoRef("v1", "videos/cd/cd.mp4", "cd" * 32, 8.0, 9)


def records(image: ImageRef | None) -> list:
    return [
        PromptRecord("p1", "a red cat waves", image=image),
        PreferenceRecord("1", "a red cat waves", "train", CLIP, CLIP, {"VQ": Label.A}, image=image),
        GenerationRecord("p1", "a red cat waves", "test", CLIP, image=image),
        PairRecord("a>b", "p1", "a cat", "train", CLIP, CLIP, 1.0, 0.9, 0.1, "votes", image=image),
    ]


@pytest.mark.parametrize("record", records(IMAGE), ids=lambda each: each.SCHEMA)
def test_a_start_image_comes_back_as_it_went(tmp_path: Path, record) -> None:
    path = tmp_path / "records.jsonl"
    type(record).write(path, [record])
    assert type(record).read(path) == [record]


@pytest.mark.parametrize("record", records(None), ids=lambda each: each.SCHEMA)
def test_rows_without_one_are_written_as_before(tmp_path: Path, record) -> None:
    path = tmp_path / "records.jsonl"
    type(record).write(path, [record])
    assert "image" not in json.loads(path.read_text().splitlines()[1])
    assert type(record).read(path) == [record]


def test_an_image_without_a_hash_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    PromptRecord.write(path, [PromptRecord("p1", "a cat", image=IMAGE)])
    path.write_text(path.read_text().replace('"sha256"', '"sha"'))
    with pytest.raises(FormatError, match=r"prompts.jsonl:2: not a prompts/1 record"):
        PromptRecord.read(path)
