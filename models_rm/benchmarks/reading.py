"""Files of benchmarks in the formats in which they are published.

VideoGen-RewardBench (arXiv 2501.13918; KlingTeam/VideoGen-RewardBench): a CSV with `path_A, path_B,
A_model, B_model, prompt`, a column per dimension with A, B or same, and `Overall`; besides
`fps_A, num_frames_A, fps_B, num_frames_B`. The training CSV of VideoAlign reads as well.

GenAI-Bench, video part (arXiv 2406.04485; TIGER-Lab/GenAI-Bench): Parquet, JSON lines or CSV with
`prompt, left_model, left_video, right_model, right_video, vote_type`; votes are leftvote,
rightvote, tievote and bothbad_vote. The last two are ties (as in arXiv 2501.13918).
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from models_rm.benchmarks.pairs import GENAI, REWARDBENCH, VOTE, Benchmark, Pair, clip_path

FORMATS: Final = ("auto", REWARDBENCH, GENAI)
_SIGNS: Final = {"A": 1, "B": -1, "same": 0}
_VOTES: Final = {"leftvote": 1, "rightvote": -1, "tievote": 0, "bothbad_vote": 0}
_OTHER: Final = {
    "", "path_A", "path_B", "A_model", "B_model", "prompt", "pair_id",
    "fps_A", "fps_B", "num_frames_A", "num_frames_B",
}  # fmt: skip
_MOS: Final = re.compile(r"MOS_[AB]_")
_GENAI_COLUMNS: Final = (
    "prompt", "left_model", "left_video", "right_model", "right_video", "vote_type",
)  # fmt: skip

Row = Mapping[str, str]
Rows = Iterator[tuple[int, Row]]


def read_benchmark(file: Path, named: str = "auto") -> Benchmark:
    """The pairs of a file; FormatError with its line where it is not what its format promises."""
    columns, rows = _table(file)
    name = _format_of(file, columns) if named == "auto" else named
    read = {REWARDBENCH: _rewardbench, GENAI: _genai}[name]
    benchmark = read(file, columns, rows)
    if not benchmark.pairs:
        raise FormatError("the benchmark has no pair", path=file)
    return benchmark


def _format_of(file: Path, columns: list[str]) -> str:
    if {"path_A", "path_B"} <= set(columns):
        return REWARDBENCH
    if "vote_type" in columns:
        return GENAI
    raise FormatError(
        "neither VideoGen-RewardBench (path_A, path_B, prompt, a column per dimension) nor "
        f"GenAI-Bench ({', '.join(_GENAI_COLUMNS)}); the columns are {', '.join(columns)}",
        path=file,
        line=1,
    )


def _rewardbench(file: Path, columns: list[str], rows: Rows) -> Benchmark:
    _demand(file, columns, ("path_A", "path_B", "prompt"))
    judged = [name for name in columns if name not in _OTHER and not _MOS.match(name)]
    if not judged:
        raise FormatError("there is no column of a dimension, such as VQ", path=file, line=1)
    pairs = tuple(
        Pair(
            line=line,
            path_a=clip_path(row["path_A"], file=file, line=line),
            path_b=clip_path(row["path_B"], file=file, line=line),
            prompt=_prompt(file, line, row),
            model_a=row.get("A_model", ""),
            model_b=row.get("B_model", ""),
            labels=_labels(file, line, row, judged),
        )
        for line, row in rows
    )
    return Benchmark(REWARDBENCH, tuple(judged), pairs)


def _labels(file: Path, line: int, row: Row, judged: list[str]) -> dict[str, int]:
    labels = {}
    for name in judged:
        if row[name] == "invalid":
            continue
        if row[name] not in _SIGNS:
            raise FormatError(
                f"{name} must be A, B, same or invalid, got {row[name][:40]!r}",
                path=file,
                line=line,
            )
        labels[name] = _SIGNS[row[name]]
    return labels


def _genai(file: Path, columns: list[str], rows: Rows) -> Benchmark:
    _demand(file, columns, _GENAI_COLUMNS)
    pairs = []
    for line, row in rows:
        if row["vote_type"] not in _VOTES:
            raise FormatError(
                f"vote_type must be {', '.join(_VOTES)}; got {row['vote_type'][:40]!r}",
                path=file,
                line=line,
            )
        pairs.append(
            Pair(
                line=line,
                path_a=clip_path(row["left_video"], file=file, line=line),
                path_b=clip_path(row["right_video"], file=file, line=line),
                prompt=_prompt(file, line, row),
                model_a=row["left_model"],
                model_b=row["right_model"],
                labels={VOTE: _VOTES[row["vote_type"]]},
            )
        )
    return Benchmark(GENAI, (VOTE,), tuple(pairs))


def _prompt(file: Path, line: int, row: Row) -> str:
    if not row["prompt"].strip():
        raise FormatError("the prompt is empty", path=file, line=line)
    return row["prompt"]


def _demand(file: Path, columns: list[str], wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise FormatError(
            f"the column {missing[0]} is missing; there are: {', '.join(columns)}",
            path=file,
            line=1,
        )


# Tables: rows of text with the line (of a Parquet file: the row) that they stand on.


def _table(file: Path) -> tuple[list[str], Rows]:
    readers: dict[str, Callable[[Path], tuple[list[str], Rows]]] = {
        ".csv": read_csv,
        ".jsonl": _jsonl,
        ".json": _jsonl,
        ".parquet": _parquet,
    }
    suffix = file.suffix.lower()
    if suffix not in readers:
        raise FormatError(f"expected a file {', '.join(readers)}, got {suffix!r}", path=file)
    if not file.is_file():
        raise FormatError("the file is missing", path=file)
    return readers[suffix](file)


def read_csv(file: Path) -> tuple[list[str], Rows]:
    """Columns, and rows with their line. Broken quoting or a row of another width is an error."""
    rows = _csv_rows(file)
    try:
        line, columns = next(rows)
    except StopIteration:
        raise FormatError("the file is empty", path=file) from None
    doubled = {name for name in columns if columns.count(name) > 1}
    if doubled:
        raise FormatError(f"the column {min(doubled)} is there twice", path=file, line=line)
    return columns, _as_dicts(file, columns, rows)


def _csv_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        before = 0
        try:
            for row in reader:
                if row:
                    yield before + 1, row
                before = reader.line_num
        except csv.Error as error:
            raise FormatError(f"not CSV: {error}", path=file, line=reader.line_num) from None
        except UnicodeDecodeError as error:
            raise FormatError(f"not UTF-8 text: {error.reason}", path=file) from None


def _as_dicts(file: Path, columns: list[str], rows: Iterator[tuple[int, list[str]]]) -> Rows:
    for line, cells in rows:
        if len(cells) != len(columns):
            raise FormatError(
                f"the header has {len(columns)} columns, this row {len(cells)}",
                path=file,
                line=line,
            )
        yield line, dict(zip(columns, cells, strict=True))


def _jsonl(file: Path) -> tuple[list[str], Rows]:
    rows: list[tuple[int, Row]] = []
    with file.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except json.JSONDecodeError as error:
                raise FormatError(f"not JSON: {error.msg}", path=file, line=number) from None
            if not isinstance(value, dict):
                raise FormatError("expected one JSON object per line", path=file, line=number)
            rows.append((number, {key: _text(each) for key, each in value.items()}))
    columns = list(rows[0][1]) if rows else []
    return columns, _complete(file, columns, rows)


def _parquet(file: Path) -> tuple[list[str], Rows]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ModuleNotFoundError:
        raise FormatError("a Parquet file needs the package pyarrow", path=file) from None
    try:
        table = read_table(file)
    except (ArrowException, OSError) as error:
        raise FormatError(f"not Parquet: {str(error).splitlines()[0]}", path=file) from None
    rows = [
        (number, {key: _text(each) for key, each in row.items()})
        for number, row in enumerate(table.to_pylist(), start=1)
    ]
    return list(table.column_names), iter(rows)


def _complete(file: Path, columns: list[str], rows: list[tuple[int, Row]]) -> Rows:
    for line, row in rows:
        missing = [name for name in columns if name not in row]
        if missing:
            raise FormatError(f"the key {missing[0]} is missing", path=file, line=line)
        yield line, row


def _text(value: Any) -> str:
    return "" if value is None else str(value)
