"""The rows of a snapshot beside the triplets they came from, in the order in which those came.

A file that was imported goes out again byte for byte, so the order and the text of its rows matter;
both are in the database. Labels are always those of the snapshot.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from annotation.exporting import pair_id
from annotation.models import Triplet
from pipelines.exports.source import Row, Source

_CHUNK: Final = 1_000


@dataclass(slots=True)
class Index:
    """Where the row of a pair begins in the file of the snapshot, and what the rows have."""

    source: Source
    begins: dict[str, int] = field(default_factory=dict)
    again: list[tuple[str, int]] = field(default_factory=list)  # a name that comes twice
    scored: set[str] = field(default_factory=set)  # columns of mean scores that have one
    alone: int = 0  # clips without another one
    undecided: Counter[str] = field(default_factory=Counter)  # dimension -> where people split

    @classmethod
    def of(cls, source: Source) -> "Index":
        index = cls(source)
        for begin, row in source.rows_with_places():
            if row["pair_id"] in index.begins:
                index.again.append((row["pair_id"], begin))
            else:
                index.begins[row["pair_id"]] = begin
            index.alone += row["video_b"] is None
            if row["video_b"] is not None:
                index.undecided.update(key for key in source.keys if key not in row["labels"])
            index.scored |= scores_of(row).keys()
        return index

    @property
    def rows(self) -> int:
        return len(self.begins) + len(self.again)

    def pairs(self) -> Iterator[tuple[Row, Triplet | None]]:
        """Rows of triplets that are here, in the order of import; then those that are not."""
        left = dict(self.begins)
        again = list(self.again)
        with self.source.opened() as row_at:
            for triplet in _triplets(self.source.campaign):
                name = pair_id(triplet)
                begin = left.pop(name, None)
                if begin is None:
                    begin = _taken(again, name)
                if begin is not None:
                    yield row_at(begin), triplet
            for begin in (*left.values(), *(place for _, place in again)):
                yield row_at(begin), None


def _taken(again: list[tuple[str, int]], name: str) -> int | None:
    for at, (other, begin) in enumerate(again):
        if other == name:
            del again[at]
            return begin
    return None


def _triplets(campaign: int | None) -> Iterator[Triplet]:
    if campaign is None:
        return iter(())
    rows = Triplet.objects.filter(campaign=campaign).select_related("prompt", "video_a", "video_b")
    wanted = ("source_row", "prompt__sha256")
    clips = [f"video_{side}__{name}" for side in "ab" for name in ("sha256", "original_path")]
    return rows.only(*wanted, *clips).order_by("pk").iterator(chunk_size=_CHUNK)


def scores_of(row: Row) -> dict[str, str]:
    """The columns of mean scores: of both clips, or of one that was scored alone."""
    tails = ("",) if row["video_b"] is None else ("_A", "_B")
    sides = (row["scores_a"], row["scores_b"])
    return {
        f"MOS{tail}_{key}": str(score)
        for tail, scores in zip(tails, sides, strict=False)
        for key, score in scores.items()
    }
