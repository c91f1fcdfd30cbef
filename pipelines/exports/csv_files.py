"""The CSV of VideoAlign and that of VideoGen-RewardBench.

Rows that all came from one file, and whose labels and scores are still those, go out byte for byte
under that file's header. Otherwise all rows get our columns. Neither format has a word for where
people split: it is written as `invalid`, which both mask, and counted.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from annotation.exporting import csv_line, source_cells
from annotation.models import Triplet
from formats.errors import FormatError
from formats.labels import Label, to_videoalign
from pipelines.exports.csv_rows import Index, scores_of
from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Made, Staging

MODELS: Final = ("A_model", "B_model")
_PATHS: Final = ("path_A", "path_B", "path")
_ALONE: Final = "scored alone"


def videoalign(source: Source, staging: Staging, name: str) -> None:
    _write(source, staging, name, ())


def rewardbench(source: Source, staging: Staging, name: str) -> None:
    """With the generators; a clip that was scored alone has no place in it."""
    _write(source, staging, name, MODELS)


def _write(source: Source, staging: Staging, name: str, models: tuple[str, ...]) -> None:
    def fill(places: Mapping[str, Path]) -> Made:
        index = Index.of(source)
        header = _header_of_all(index, models)
        with places[name].open("wb") as file:
            if header is not None:
                rows = _as_they_came(index, header, file)
            else:
                rows = _with_our_columns(index, models, file)
        return Made({name: rows}, _left_out(index, rows))

    staging.make("rows", (name,), fill)


# As they came.


def _header_of_all(index: Index, models: tuple[str, ...]) -> str | None:
    """The line above all rows, where they are the rows of one file and still say the same."""
    header = None
    if index.source.media.how != "paths":
        return None
    for row, triplet in index.pairs():
        came = (triplet.source_row or {}) if triplet else {}
        if "header" not in came or (header or came["header"]) != came["header"]:
            return None
        header = came["header"]
        assert triplet is not None
        cells = source_cells(triplet)
        if not _says_the_same(row, cells, index.source.keys) or not cells.keys() >= {*models}:
            return None
    return header


def _says_the_same(row: Row, cells: Mapping[str, str], keys: tuple[str, ...]) -> bool:
    if not _labels(row, keys).items() <= cells.items():
        return False
    scores = {name: text for name, text in cells.items() if name.startswith("MOS_") and text}
    try:
        read = {name: float(text) for name, text in scores.items()}
    except ValueError:
        return False
    return {name: float(text) for name, text in scores_of(row).items()} == read


def _as_they_came(index: Index, header: str, file: BinaryIO) -> int:
    count = 0
    for _row, triplet in index.pairs():
        assert triplet is not None
        assert triplet.source_row is not None
        came = triplet.source_row
        if not count:
            file.write((header + came["line_end"]).encode())
        file.write((came["row"] + came["line_end"]).encode())
        count += 1
    return count


# With our columns.


def _with_our_columns(index: Index, models: tuple[str, ...], file: BinaryIO) -> int:
    columns = _columns(index, models)
    _refuse_named_as_columns(columns, index.source.keys)
    file.write(csv_line(columns).encode())
    alone = "path" in columns
    count = 0
    for row, triplet in index.pairs():
        if (row["video_b"] is None) == alone:
            values = _values(row, triplet, index.source)
            file.write(csv_line([values.get(column, "") for column in columns]).encode())
            count += 1
    return count


def _refuse_named_as_columns(columns: list[str], keys: tuple[str, ...]) -> None:
    """A column that comes twice is read by nobody."""
    for key in keys:
        if columns.count(key) > 1:
            raise FormatError(
                f"the dimension {key!r} is called as a column of this CSV is; export the snapshot"
                " in another format, as Parquet"
            )


def _columns(index: Index, models: tuple[str, ...]) -> list[str]:
    keys = index.source.keys
    if index.alone and index.alone == index.rows and not models:
        clip = ("path", "prompt", *(f"MOS_{key}" for key in keys), "fps", "num_frames")
        return [*clip, "model", "pair_id"]
    scores = (f"MOS_{side}_{key}" for key in keys for side in "AB")
    return [
        *("path_A", "path_B", *models, "prompt", *keys),
        *("fps_A", "num_frames_A", "fps_B", "num_frames_B"),
        *(column for column in scores if column in index.scored),
        "pair_id",
    ]


def _values(row: Row, triplet: Triplet | None, source: Source) -> dict[str, str]:
    # What the file said goes before what we found out: it is exported as it came.
    came = source_cells(triplet) if triplet else {}
    if source.media.how != "paths":
        came = {name: text for name, text in came.items() if name not in _PATHS}
    came = {name: text for name, text in came.items() if not name.startswith("MOS_")}
    return {
        "prompt": row["prompt"],
        **dict(_clips(row, triplet, source)),
        **came,
        **scores_of(row),
        **_labels(row, source.keys),
        "pair_id": row["pair_id"],
    }


def _clips(row: Row, triplet: Triplet | None, source: Source) -> Iterator[tuple[str, str]]:
    sides = ("",) if row["video_b"] is None else ("A", "B")
    for side, name in zip(sides, ("video_a", "video_b"), strict=False):
        clip, tail = row[name], f"_{side}" if side else ""
        stored = getattr(triplet, name, None)
        given = stored.original_path if stored and source.media.how == "paths" else ""
        yield f"path{tail}", given or clip["path"]
        yield f"fps{tail}", str(clip["fps"])
        yield f"num_frames{tail}", str(float(clip["num_frames"]))
        yield f"{side}_model" if side else "model", clip["generator"]


def _labels(row: Row, keys: tuple[str, ...]) -> dict[str, str]:
    """The words of VideoAlign; a clip that stands alone has scores instead."""
    if row["video_b"] is None:
        return {}
    return {key: to_videoalign(Label(row["labels"].get(key, "invalid"))) for key in keys}


def _left_out(index: Index, rows: int) -> dict[str, dict[str, int]]:
    counts = {key: {"none": index.undecided[key]} for key in index.source.keys}
    return counts | {"clips": {_ALONE: index.rows - rows}}
