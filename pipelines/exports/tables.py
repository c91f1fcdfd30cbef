"""The columns of our Parquet, and a batch of rows as such columns.

Columns are made of lists, one per column: rows as dictionaries cost five times as much.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from pipelines.exports.source import Row, Source

SCHEMA: Final = "preferences-table/1"
ROW_GROUP: Final = 8_192  # rows, as columns in memory until it is full
BATCH: Final = 512  # rows that are dictionaries at a time: they need ten times as much
_TEXT, _NUMBER, _WHOLE = pa.string(), pa.float64(), pa.int64()
JUDGEMENT: Final = pa.struct([("annotator", _TEXT), ("dimension", _TEXT), ("label", _TEXT)])
_OF_CLIP: Final = (
    ("path", _TEXT), ("sha256", _TEXT), ("fps", _NUMBER), ("num_frames", _WHOLE),
    ("generator", _TEXT), ("seed", _WHOLE),
)  # fmt: skip
# Never twice in a table, or rarely: a dictionary of them would only cost.
UNIQUE: Final = ("pair_id",)


def schema(source: Source) -> pa.Schema:
    """The columns, and in the metadata of the file what all rows share."""
    columns = [("pair_id", _TEXT), ("prompt", _TEXT), ("split", _TEXT)]
    columns += [(f"{name}_{side}", kind) for side in "ab" for name, kind in _OF_CLIP]
    columns += [("image_path", _TEXT), ("image_sha256", _TEXT)]
    for key in source.keys:
        columns += [(f"label_{key}", _TEXT), (f"posterior_{key}", pa.list_(_NUMBER))]
        columns += [(f"score_a_{key}", _NUMBER), (f"score_b_{key}", _NUMBER)]
    columns += [("votes", _WHOLE), ("source", _TEXT), ("judgements", pa.list_(JUDGEMENT))]
    return pa.schema(columns).with_metadata(
        {
            "tiebreak.schema": SCHEMA,
            "tiebreak.snapshot": source.sha256,
            "tiebreak.dimensions": _json(source.dimensions.to_json()),
            "tiebreak.reliability": _json(source.reliability()),
        }
    )


def encoded(columns: Iterable[str]) -> list[str]:
    """The columns that are worth a dictionary."""
    return [name for name in columns if name not in UNIQUE]


def batch_of(rows: Sequence[Row], keys: Sequence[str], columns: pa.Schema) -> pa.RecordBatch:
    """The rows as columns."""
    lists: list[Any] = [[row[name] for row in rows] for name in ("pair_id", "prompt", "split")]
    for side in ("video_a", "video_b"):
        lists += _clips([row[side] or {} for row in rows])
    images = [row.get("image") or {} for row in rows]
    lists += [[each.get(name) for each in images] for name in ("path", "sha256")]
    for key in keys:
        for name in ("labels", "posterior", "scores_a", "scores_b"):
            lists.append([row[name].get(key) for row in rows])
    lists += [[row[name] for row in rows] for name in ("votes", "source")]
    arrays = [pa.array(each, kind) for each, kind in zip(lists, columns.types, strict=False)]
    return pa.record_batch([*arrays, _judgements(rows)], schema=columns)


def row_groups(rows: Iterable[Row], keys: Sequence[str], columns: pa.Schema) -> Iterator[pa.Table]:
    """The rows as tables of `ROW_GROUP` rows, the last one of what is left."""
    left = iter(rows)
    while batches := list(islice(_batches(left, keys, columns), ROW_GROUP // BATCH)):
        yield pa.Table.from_batches(batches, columns)


def _batches(
    left: Iterator[Row], keys: Sequence[str], columns: pa.Schema
) -> Iterator[pa.RecordBatch]:
    while some := list(islice(left, BATCH)):
        yield batch_of(some, keys, columns)


def _clips(clips: Sequence[Row]) -> Iterator[list[Any]]:
    for name, _ in _OF_CLIP:
        if name == "generator":  # nobody knows who made it: no word, not an empty one
            yield [each.get(name) or None for each in clips]
        else:
            yield [each.get(name) for each in clips]


def _judgements(rows: Sequence[Row]) -> pa.Array:
    """Three flat columns and where each row begins in them."""
    begins, flat = [0], []
    for row in rows:
        flat += row["judgements"]
        begins.append(len(flat))
    parts = [pa.array([each[at] for each in flat], _TEXT) for at in range(3)]
    opinions = pa.StructArray.from_arrays(parts, fields=list(JUDGEMENT))
    return pa.ListArray.from_arrays(pa.array(begins, pa.int32()), opinions)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
