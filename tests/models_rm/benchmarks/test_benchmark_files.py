"""Benchmarks in the formats in which they are published, and scores of other models."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.errors import FormatError
from models_rm.benchmarks.pairs import Clip, located
from models_rm.benchmarks.reading import read_benchmark
from models_rm.benchmarks.score_files import read_scores, write_scores

REWARDBENCH = [
    {
        "path_A": "videos/kling/1.mp4", "path_B": "./videos/sora/1.mp4",
        "A_model": "kling", "B_model": "sora", "prompt": "a ball\nrolls, slowly",
        "VQ": "A", "MQ": "same", "TA": "B", "Overall": "A",
        "fps_A": "24.0", "num_frames_A": "120.0", "fps_B": "30.0", "num_frames_B": "150.0",
    },
    {
        "path_A": "videos/sora/1.mp4", "path_B": "videos/kling/2.mp4",
        "A_model": "sora", "B_model": "kling", "prompt": 'says "hello"',
        "VQ": "invalid", "MQ": "B", "TA": "B", "Overall": "same",
        "fps_A": "30.0", "num_frames_A": "150.0", "fps_B": "24.0", "num_frames_B": "120.0",
    },
]  # fmt: skip
GENAI = [
    {
        "prompt": f"prompt {number}", "left_model": "ModelScope", "right_model": "CogVideo",
        "left_video": f"https://example.org/files/{number}.mp4?token=1",
        "right_video": f"clips/{number}.mp4", "vote_type": vote,
    }
    for number, vote in enumerate(["leftvote", "rightvote", "tievote", "bothbad_vote"])
]  # fmt: skip


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_rewardbench_as_it_is_published(tmp_path: Path) -> None:
    found = read_benchmark(as_csv(tmp_path / "videogen-rewardbench.csv", REWARDBENCH))
    assert (found.name, found.columns) == ("videogen_rewardbench", ("VQ", "MQ", "TA", "Overall"))
    first, second = found.pairs
    assert first.labels == {"VQ": 1, "MQ": 0, "TA": -1, "Overall": 1}
    assert second.labels == {"MQ": -1, "TA": -1, "Overall": 0}  # invalid is no label
    assert (first.path_b, first.prompt) == ("videos/sora/1.mp4", "a ball\nrolls, slowly")
    assert [pair.line for pair in found.pairs] == [2, 4]  # the first prompt has two lines
    # The file of the second clip comes under two prompts: that is two clips.
    assert [clip.key for clip in found.clips()] == [first.a, first.b, second.a, second.b]
    assert first.b[0] == second.a[0]


def test_the_example_of_the_paper_reads(shared: Path) -> None:
    found = read_benchmark(shared / "data/videoalign/example.csv")
    assert found.columns == ("VQ", "MQ", "TA")
    assert len(found.pairs) == 12
    assert len(found.clips()) == 6
    assert all((shared / "data/videoalign" / clip.path).is_file() for clip in found.clips())


@pytest.mark.parametrize(
    ("write", "suffix"), [(as_csv, "csv"), (as_jsonl, "jsonl"), (as_parquet, "parquet")]
)
def test_genai_bench_in_each_format(
    tmp_path: Path, write: Callable[..., Path], suffix: str
) -> None:
    found = read_benchmark(write(tmp_path / f"test-00000.{suffix}", GENAI))
    assert (found.name, found.columns) == ("genai_bench", ("vote",))
    assert [pair.labels["vote"] for pair in found.pairs] == [1, -1, 0, 0]
    assert found.pairs[0].model_a == "ModelScope"
    assert found.pairs[0].path_a == GENAI[0]["left_video"]


@pytest.mark.parametrize("place", ["ModelScope_0.mp4", "ModelScope/0.mp4", "0.mp4"])
def test_a_clip_with_an_address_is_found_by_generator_and_name(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    clip = Clip("https://example.org/files/0.mp4?token=1", "x", "ModelScope")
    assert located(tmp_path, clip) == tmp_path / place
    assert located(tmp_path, Clip("a/b.mp4", "x", "m")) == tmp_path / "a/b.mp4"


@pytest.mark.parametrize(
    ("change", "line", "sentence"),
    [
        ({"VQ": "a"}, 4, "VQ must be A, B, same or invalid, got 'a'"),
        ({"Overall": ""}, 4, "Overall must be A, B, same or invalid, got ''"),
        ({"prompt": "  "}, 4, "the prompt is empty"),
        ({"path_A": "../../etc/passwd"}, 4, "leads out of the folder of the videos"),
        ({"path_A": "/etc/passwd"}, 4, "leads out of the folder of the videos"),
        ({"path_B": ""}, 4, "the path of a clip is empty"),
    ],
)
def test_a_bad_row_is_named_with_its_line(
    tmp_path: Path, change: dict[str, str], line: int, sentence: str
) -> None:
    file = as_csv(tmp_path / "bad.csv", [REWARDBENCH[0], {**REWARDBENCH[1], **change}])
    with pytest.raises(FormatError) as refusal:
        read_benchmark(file)
    assert sentence in str(refusal.value)
    assert refusal.value.line == line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty"),
        ("a,b\n1,2\n", "neither VideoGen-RewardBench"),
        ("path_A,path_B,VQ\na,b,A\n", "the column prompt is missing"),
        ("path_A,path_B,prompt,fps_A\na,b,x,1\n", "there is no column of a dimension"),
        ("path_A,path_B,prompt,VQ\n", "the benchmark has no pair"),
        ("path_A,path_B,prompt,VQ\na,b,x\n", "the header has 4 columns, this row 3"),
        ("path_A,path_B,prompt,VQ,VQ\na,b,x,A,B\n", "the column VQ is there twice"),
        ('path_A,path_B,prompt,VQ\na,b,"x"y,A\n', "not CSV"),
        ("vote_type,prompt\nleftvote,x\n", "the column left_model is missing"),
    ],
)
def test_a_file_that_is_no_benchmark_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "file.csv").write_text(text)
    with pytest.raises(FormatError, match=sentence):
        read_benchmark(tmp_path / "file.csv")


def test_a_vote_that_is_no_word_is_named(tmp_path: Path) -> None:
    file = as_jsonl(tmp_path / "g.jsonl", [GENAI[0], {**GENAI[1], "vote_type": "left"}])
    with pytest.raises(FormatError, match=r"g\.jsonl:2: vote_type must be leftvote"):
        read_benchmark(file)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.txt", b"", "expected a file .csv, .jsonl, .json, .parquet, got '.txt'"),
        ("x.parquet", b"PAR1 no", "not Parquet"),
        ("x.jsonl", b"{", "x.jsonl:1: not JSON"),
        ("x.jsonl", b"[]", "expected one JSON object per line"),
        ("x.csv", b"path_A,path_B,prompt,VQ\n\xff,b,x,A\n", "not UTF-8 text"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=sentence):
        read_benchmark(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"b\.csv: the file is missing"):
        read_benchmark(tmp_path / "b.csv")


# Scores of other models.


def scores(folder: Path, text: str) -> Path:
    (folder / "scores.csv").write_text(text)
    return folder / "scores.csv"


def test_scores_belong_to_a_clip_under_a_prompt(tmp_path: Path) -> None:
    file = scores(
        tmp_path, "video,prompt,VQ,TA\n./a.mp4,one,1,2\na.mp4,two,1,-3e-1\nb.mp4,one,,4\n"
    )
    assert read_scores(file) == {
        ("a.mp4", "one"): {"VQ": 1.0, "TA": 2.0},
        ("a.mp4", "two"): {"VQ": 1.0, "TA": -0.3},
        ("b.mp4", "one"): {"TA": 4.0},
    }


def test_what_videoalign_writes_reads_as_it_is(tmp_path: Path) -> None:
    file = scores(
        tmp_path,
        "path,model,prompt,fps,num_frames,reward_VQ,reward_Overall\na.mp4,kling,x,24,9,0.5,1.5\n",
    )
    assert read_scores(file) == {("a.mp4", "x"): {"VQ": 0.5, "Overall": 1.5}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,VQ\na.mp4,1\n", "a score belongs to a clip under a prompt"),
        ("clip,prompt,VQ\na.mp4,x,1\n", r"the columns path \(or video\) and prompt are wanted"),
        ("path,prompt\na.mp4,x\n", "there is no column with scores"),
        ("path,prompt,VQ\na.mp4,x,good\n", ":2: VQ must be a number, got 'good'"),
        ("path,prompt,VQ\na.mp4,x,nan\n", ":2: VQ must be a number, got 'nan'"),
        ("path,prompt,VQ\na,x,1\nb,x,2\na,x,3\n", ":4: another score for the clip and prompt of"),
    ],
)  # fmt: skip
def test_bad_scores_are_named_with_their_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        read_scores(scores(tmp_path, text))


def test_the_same_score_twice_is_no_fault(tmp_path: Path) -> None:
    assert len(read_scores(scores(tmp_path, "path,prompt,VQ\na,x,1\n./a,x,1.0\n"))) == 1


def test_what_is_written_reads_again_to_the_last_bit(tmp_path: Path) -> None:
    table = {("a,b.mp4", 'a "quoted"\nprompt'): {"VQ": 1 / 3}, ("b.mp4", "=1+1"): {"VQ": -1e-17}}
    write_scores(tmp_path / "s.csv", table, ["VQ"])
    assert read_scores(tmp_path / "s.csv") == table
