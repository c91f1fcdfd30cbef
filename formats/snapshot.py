"""A dataset snapshot: a folder that the reward model's trainer reads and nobody ever changes.

    preferences.jsonl   preferences/1, one PreferenceRecord per triplet, ordered by pair_id
    dimensions.json     dimensions/1, the DimensionSet that the labels speak of
    manifest.json       hashes; its sha256 is the address of the snapshot

Nothing in it depends on when or where it was taken: equal votes give an equal sha256.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from formats.checkpoints import commit_folder, verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.records import PreferenceRecord

DIMENSIONS: Final = "dimensions/1"


@dataclass(frozen=True, slots=True)
class Snapshot:
    dimensions: DimensionSet
    records: list[PreferenceRecord]
    meta: dict[str, Any]


def write_snapshot(
    target: Path,
    dimensions: DimensionSet,
    records: Iterable[PreferenceRecord],
    meta: Mapping[str, Any],
) -> str:
    """Write the folder whole or not at all; give the sha256 of its manifest."""
    ordered = sorted(records, key=lambda record: record.pair_id)

    def fill(folder: Path) -> None:
        PreferenceRecord.write(folder / "preferences.jsonl", ordered)
        write_json(folder / "dimensions.json", DIMENSIONS, dimensions.to_json())

    return commit_folder(target, fill, meta)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot after every hash was checked; a label of an unknown dimension is an error."""
    meta = verify_folder(path)
    dimensions = DimensionSet.from_json(read_json(path / "dimensions.json", DIMENSIONS))
    records = PreferenceRecord.read(path / "preferences.jsonl")
    for line, record in enumerate(records, start=2):
        unknown = sorted({*record.labels, *record.posterior} - set(dimensions.keys))
        if unknown:
            raise FormatError(
                f"dimension {unknown[0]!r} is not in the set {dimensions.name!r} "
                f"({', '.join(dimensions.keys)})",
                path=path / "preferences.jsonl",
                line=line,
            )
    return Snapshot(dimensions, records, meta)
