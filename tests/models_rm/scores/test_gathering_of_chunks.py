"""Scores of chunks become one set: nothing missing, nothing twice, nothing from elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from formats.chunks import chunk_of
from formats.files import sha256_of
from formats.outcome import ExitCode, Outcome
from formats.records import GenerationRecord, ScoreRecord, VideoRef
from formats.run_dir import Input, RunDir
from formats.supervised import supervise
from models_rm.scores.gathering import gather

SET = [
    GenerationRecord(f"p{n % 4}", f"prompt {n % 4}", "test", VideoRef(f"v{n}", f"v{n}", "", 8.0, 9))
    for n in range(10)
]


def scored(record: GenerationRecord, **more: Any) -> ScoreRecord:
    values = {"raw": {"VQ": 1.0}, "score": {"VQ": 2.0}, **more}
    return ScoreRecord(record.video.id, record.prompt_id, record.prompt, **values)


def in_chunks(rows: Sequence[ScoreRecord], count: int) -> list[list[ScoreRecord]]:
    return [[r for r in rows if chunk_of(r.video_id, r.prompt, count) == n] for n in range(count)]


def gathered(
    folder: Path, chunks: Sequence[Sequence[ScoreRecord]], wanted: int | None = None
) -> Outcome:
    run = RunDir(folder / "run")
    (folder / "model").mkdir()
    (folder / "model" / "manifest.json").write_text("{}")
    inputs = {"reward_model": Input(str(folder / "model"))}
    files = {"generations": (GenerationRecord, SET)}
    files |= {f"scores:{number}": (ScoreRecord, rows) for number, rows in enumerate(chunks)}
    for role, (record, rows) in files.items():
        path = folder / f"{role}.jsonl"
        record.write(path, rows)
        inputs[role] = Input(str(path), sha256_of(path))
    run.prepare({"chunks": wanted or len(chunks)}, inputs)
    supervise(gather, run)
    outcome = run.outcome()
    assert outcome is not None
    return outcome


@pytest.mark.parametrize("count", [1, 3, 10])
def test_every_clip_of_the_set_is_there_once_in_the_sets_order(tmp_path: Path, count: int) -> None:
    outcome = gathered(tmp_path, in_chunks([scored(each) for each in SET], count))
    assert outcome.exit_code == 0, outcome.message
    rows = ScoreRecord.read(tmp_path / "run/outputs/scores.jsonl")
    assert [row.video_id for row in rows] == [each.video.id for each in SET]
    assert (outcome.summary["scored"], outcome.summary["mean_VQ"]) == (10, 2.0)


def test_an_unreadable_clip_keeps_its_error_and_has_no_number(tmp_path: Path) -> None:
    rows = [scored(each) for each in SET]
    rows[3] = scored(SET[3], raw={}, score={}, error="gone")
    outcome = gathered(tmp_path, in_chunks(rows, 2))
    assert (outcome.summary["scored"], outcome.summary["unreadable"]) == (9, 1)
    assert ScoreRecord.read(tmp_path / "run/outputs/scores.jsonl")[3].error == "gone"


def missing(chunks: list[list[ScoreRecord]]) -> None:
    chunks[0].pop()


def twice(chunks: list[list[ScoreRecord]]) -> None:
    chunks[1].append(chunks[1][0])


def in_two_chunks(chunks: list[list[ScoreRecord]]) -> None:
    chunks[1].append(chunks[0][0])


def misplaced(chunks: list[list[ScoreRecord]]) -> None:
    chunks[1].append(chunks[0].pop())


def foreign(chunks: list[list[ScoreRecord]]) -> None:
    chunks[0].append(ScoreRecord("v0", "p0", "another prompt", {"VQ": 1.0}, {"VQ": 1.0}))


def all_unreadable(chunks: list[list[ScoreRecord]]) -> None:
    for rows in chunks:
        rows[:] = [ScoreRecord(r.video_id, r.prompt_id, r.prompt, error="gone") for r in rows]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing, "1 of 10 clips have no score"),
        (twice, "is scored twice with this prompt"),
        (in_two_chunks, "is scored twice with this prompt"),
        (misplaced, "belongs to chunk 0, not to chunk 1"),
        (foreign, "is not in the generation set with this prompt"),
        (all_unreadable, "none of the 10 clips can be read"),
    ],
)
def test_what_does_not_add_up_is_refused_with_its_place(
    tmp_path: Path, damage: Any, sentence: str
) -> None:
    chunks = in_chunks([scored(each) for each in SET], 2)
    damage(chunks)
    outcome = gathered(tmp_path, chunks)
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert sentence in outcome.message
    assert not (tmp_path / "run/outputs/scores.jsonl").exists()


def test_a_chunk_too_few_is_named(tmp_path: Path) -> None:
    outcome = gathered(tmp_path, in_chunks([scored(each) for each in SET], 2), wanted=3)
    assert outcome.exit_code == ExitCode.BAD_DATA
    assert "3 chunks leave the inputs scores:0 to scores:2; there are: scores:0, scores:1" in (
        outcome.message
    )


def test_the_chunk_of_a_clip_is_the_same_on_every_machine_and_about_even() -> None:
    assert [chunk_of("clip", "a red ball", 7), chunk_of("clip", "ein roter Ball", 7)] == [5, 0]
    counts = [0] * 4
    for number in range(4000):
        counts[chunk_of(f"clip{number}", "x", 4)] += 1
    assert min(counts) > 900
