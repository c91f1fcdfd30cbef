"""Parquet: one file, row groups of some thousand pairs, strings by dictionary, zstd."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.exports import tables
from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Made, Staging


def write(source: Source, staging: Staging, name: str) -> None:
    """Everything that a snapshot holds."""

    def fill(places: Mapping[str, Path]) -> Made:
        return Made({name: write_rows(places[name], source, source.rows())})

    staging.make("rows", (name,), fill)


def write_rows(path: Path, source: Source, rows: Iterable[Row]) -> int:
    """A whole Parquet file of these rows; how many they are."""
    columns = tables.schema(source)
    count = 0
    with pq.ParquetWriter(
        path, columns, compression="zstd", use_dictionary=tables.encoded(columns.names)
    ) as writer:
        for group in tables.row_groups(rows, source.keys, columns):
            writer.write_table(group, row_group_size=tables.ROW_GROUP)
            count += group.num_rows
    return count
