"""A set of pairs: a folder that alignment reads and that a person can check.

    pairs.jsonl      pairs/1, one PairRecord per line
    refused.jsonl    refused_pairs/1, examples of what made no pair, and why
    reward_map.json  reward_map/1, the map of totals to [0, 1]; where rewards played a part
    manifest.json    hashes; its sha256 is the address of the set

Sets of earlier versions are pairs.jsonl alone.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from formats.checkpoints import commit_folder
from formats.errors import FormatError
from formats.files import read_jsonl, write_jsonl
from formats.records import PairRecord, VideoRef, image_of
from pipelines.errors import InvalidRunConfig
from pipelines.models import Artifact
from pipelines.pairs.rules import Fault, Pairing, Refusal
from pipelines.rewards.maps import RewardMap

REFUSED: Final = "refused_pairs/1"
_REFUSED_FILE: Final = "refused.jsonl"


def write_pairs(
    target: Path, found: Pairing, reward_map: RewardMap | None, summary: Mapping[str, Any]
) -> str:
    """Write the folder whole or not at all; give the sha256 of its manifest."""

    def fill(folder: Path) -> None:
        PairRecord.write(folder / PairRecord.FILE, found.pairs)
        write_jsonl(folder / _REFUSED_FILE, REFUSED, map(_row, found.examples))
        if reward_map is not None:
            reward_map.write(folder)

    return commit_folder(target, fill, {"summary": dict(summary)})


def read_refusals(path: Path) -> list[Refusal]:
    """The examples of a folder of pairs; none where its set was made without."""
    file = path / _REFUSED_FILE
    if not file.is_file():
        return []
    found = []
    for line, row in read_jsonl(file, REFUSED):
        try:
            found.append(_refusal(row))
        except (KeyError, TypeError, ValueError) as error:
            said = f"not a {REFUSED} record: {type(error).__name__}: {error}"
            raise FormatError(said, path=file, line=line) from error
    return found


def refuse_contradicted(config: Mapping[str, Any], inputs: Mapping[str, object]) -> None:
    """Refuse an alignment by GAPO on pairs of which rewards say the opposite of the people.

    Pairs that a run is still to leave are looked at by the trainer, before its first step.
    """
    pairs = inputs.get("pairs")
    if config.get("method") != "gapo" or not isinstance(pairs, Artifact):
        return
    if against := pairs.meta.get("contradicting", 0):
        raise InvalidRunConfig(
            f"{against} of the {pairs.meta['pairs']} pairs have rewards that contradict the "
            "people, and GAPO weighs pairs by their rewards; make pairs with "
            '"method": "gapo", which leaves these out and counts them'
        )


def _row(refusal: Refusal) -> dict[str, Any]:
    row = dataclasses.asdict(refusal)
    return {**row, "fault": refusal.fault._asdict()}


def _refusal(row: Mapping[str, Any]) -> Refusal:
    return Refusal(
        **{
            **row,
            "fault": Fault(**row["fault"]),
            "chosen": _video(row["chosen"]),
            "rejected": _video(row["rejected"]),
            "image": image_of(row),
        }
    )


def _video(row: Mapping[str, Any] | None) -> VideoRef | None:
    return VideoRef(**row) if row else None
