"""A folder that Hugging Face `datasets` loads, offline: Parquet by split, and a data card.

The rows of a split are cut into files of `SHARD` pairs, so that an export that was interrupted goes
on behind the last whole one.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

from formats.files import write_json
from formats.snapshot import DIMENSIONS
from pipelines.exports.data_card import card
from pipelines.exports.parquet import write_rows
from pipelines.exports.source import Row, Source
from pipelines.exports.staging import Made, Staging
from pipelines.splitting import SPLITS

SHARD: Final = 50_000  # pairs


def write(source: Source, staging: Staging, name: str) -> None:
    """`name` is the folder below the export; empty, the export itself is the folder."""
    top = f"{name}/" if name else ""
    shards = {split: _shards(source, staging, top, split) for split in SPLITS}
    files = (f"{top}README.md", f"{top}dimensions.json")

    def fill(places: Mapping[str, Path]) -> Made:
        readme, dimensions = (places[file] for file in files)
        readme.write_text(card(source, shards), encoding="utf-8")
        write_json(dimensions, DIMENSIONS, source.dimensions.to_json())
        return Made({})

    staging.make("card", files, fill)


def _shards(source: Source, staging: Staging, top: str, split: str) -> dict[str, int]:
    """File below the folder -> rows. What an earlier process has made is read, not made again."""
    found: dict[str, int] = {}
    rows = (row for row in source.rows() if row["split"] == split)
    while (first := next(rows, None)) is not None:
        file = f"data/{split}-{len(found):05d}.parquet"
        some = chain([first], islice(rows, SHARD - 1))
        made = staging.make(file, (top + file,), partial(_shard, source, some, top + file))
        deque(some, maxlen=0)  # nothing is left of it, unless it was there already
        found[file] = made.rows[top + file]
    return found


def _shard(source: Source, rows: Iterator[Row], name: str, places: Mapping[str, Path]) -> Made:
    return Made({name: write_rows(places[name], source, rows)})
