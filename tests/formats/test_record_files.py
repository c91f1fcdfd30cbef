"""Files of records: whole or not at all, with a schema, and errors that name file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.errors import FormatError
from formats.files import read_json, sha256_of, write_json, write_jsonl
from formats.labels import Label
from formats.records import (
    GenerationRecord,
    PairRecord,
    PreferenceRecord,
    PromptRecord,
    ScoreRecord,
    VideoRef,
)


def a_preference(pair_id: str = "1", prompt: str = "a red circle") -> PreferenceRecord:
    video = VideoRef("v1", "videos/ab/ab.mp4", "ab" * 32, 8.0, 9, "base", 3)
    return PreferenceRecord(
        pair_id,
        prompt,
        "train",
        video,
        VideoRef("v2", "videos/cd/cd.mp4", "cd" * 32, 8.0, 9),
        labels={"VQ": Label.A, "MQ": Label.TIE, "TA": Label.INVALID},
        posterior={"VQ": [0.7, 0.2, 0.1]},
        votes=3,
    )


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    sha256 = PreferenceRecord.write(path, [a_preference()])
    assert PreferenceRecord.read(path) == [a_preference()]
    assert sha256 == sha256_of(path)


def test_a_clip_says_what_was_measured_of_it_and_nothing_where_nothing_was(tmp_path: Path) -> None:
    clip = VideoRef("v1", "clips/a.mp4", "ab" * 32, 8.0, 9)
    moving = GenerationRecord("p1", "a red circle", "test", clip, measures={"motion": 12.5})
    unmeasured = GenerationRecord("p1", "a red circle", "test", clip)
    path = tmp_path / "generations.jsonl"
    GenerationRecord.write(path, [moving, unmeasured])
    assert GenerationRecord.read(path) == [moving, unmeasured]
    assert "measures" not in unmeasured.to_json()  # older files keep their sha256


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")), max_size=5))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("records") / "prompts.jsonl"
    records = [PromptRecord(str(i), text) for i, text in enumerate(texts)]
    PromptRecord.write(path, records)
    assert PromptRecord.read(path) == records


def test_equal_content_gives_an_equal_hash(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one", "x/1", [{"b": 1, "a": 2}])
    two = write_jsonl(tmp_path / "two", "x/1", [{"a": 2, "b": 1}])
    assert one == two


def test_another_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    ScoreRecord.write(path, [])
    with pytest.raises(
        FormatError, match=r"scores.jsonl:1: expected schema pairs/1, found 'scores/1'"
    ):
        PairRecord.read(path)


def test_an_unknown_label_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    PreferenceRecord.write(path, [a_preference(), a_preference("2")])
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace('"VQ": "A"', '"VQ": "better"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FormatError, match=r"preferences.jsonl:3: .*better"):
        PreferenceRecord.read(path)


def test_a_missing_tail_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    PreferenceRecord.write(path, [a_preference(), a_preference("2")])
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:-1]))
    with pytest.raises(FormatError, match="promises 2 rows, found 1"):
        PreferenceRecord.read(path)


def test_a_missing_file_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"gone.json: the file is missing; expected config/1"):
        read_json(tmp_path / "gone.json", "config/1")


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"schema": "\xff"}')
    with pytest.raises(FormatError, match="not UTF-8"):
        read_json(tmp_path / "x.json", "config/1")


def test_a_number_that_json_cannot_say_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "out" / "x.json", "x/1", {"a": float("nan")})
    assert not (tmp_path / "out").exists()
