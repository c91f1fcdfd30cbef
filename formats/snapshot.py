"""A dataset snapshot: a folder that the reward model's trainer reads and nobody ever changes.

    preferences.jsonl   preferences/1, one PreferenceRecord per triplet, ordered by pair_id
    dimensions.json     dimensions/1, the DimensionSet that the labels speak of
    annotators.json     annotators/1, how reliable each annotator is per dimension; where known
    manifest.json       hashes; its sha256 is the address of the snapshot

Nothing in it depends on when or where it was taken: equal votes give an equal sha256.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from formats.checkpoints import commit_folder, verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json, write_json
from formats.records import PreferenceRecord

DIMENSIONS: Final = "dimensions/1"
ANNOTATORS: Final = "annotators/1"


@dataclass(frozen=True, slots=True)
class Snapshot:
    dimensions: DimensionSet
    records: list[PreferenceRecord]
    meta: dict[str, Any]
    # Pseudonym -> dimension -> from 0 (says nothing) to 1 (is always right).
    annotators: dict[str, dict[str, float]] = field(default_factory=dict)


def write_snapshot(
    target: Path,
    dimensions: DimensionSet,
    records: Iterable[PreferenceRecord],
    meta: Mapping[str, Any],
    annotators: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Write the folder whole or not at all; give the sha256 of its manifest."""
    ordered = sorted(records, key=lambda record: record.pair_id)

    def fill(folder: Path) -> None:
        PreferenceRecord.write(folder / "preferences.jsonl", ordered)
        write_json(folder / "dimensions.json", DIMENSIONS, dimensions.to_json())
        if annotators:
            said = {name: dict(annotators[name]) for name in sorted(annotators)}
            write_json(folder / "annotators.json", ANNOTATORS, {"reliability": said})

    return commit_folder(target, fill, meta)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot after every hash was checked; a label of an unknown dimension is an error."""
    meta = verify_folder(path)
    dimensions = DimensionSet.from_json(read_json(path / "dimensions.json", DIMENSIONS))
    records = PreferenceRecord.read(path / "preferences.jsonl")
    for line, record in enumerate(records, start=2):
        judged = {opinion.dimension for opinion in record.judgements}
        unknown = sorted({*record.labels, *record.posterior, *judged} - set(dimensions.keys))
        if unknown:
            raise FormatError(
                f"dimension {unknown[0]!r} is not in the set {dimensions.name!r} "
                f"({', '.join(dimensions.keys)})",
                path=path / "preferences.jsonl",
                line=line,
            )
    return Snapshot(dimensions, records, meta, _annotators(path / "annotators.json"))


def _annotators(path: Path) -> dict[str, dict[str, float]]:
    """Empty for a snapshot that does not say; a reliability outside 0 to 1 is an error."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, float]] = read_json(path, ANNOTATORS)["reliability"]
    for name, row in found.items():
        for key, value in row.items():
            if not 0 <= value <= 1:
                raise FormatError(
                    f"the reliability of {name!r} on {key} must be from 0 to 1, got {value!r}",
                    path=path,
                )
    return found
