"""What people said, or what rewards chose, as arrays over clips: the labels of a latent reward."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from formats.errors import FormatError
from formats.labels import SIGN
from formats.records import PairRecord, PreferenceRecord, VideoRef
from formats.snapshot import read_snapshot
from formats.supervised import BadConfigError

SPLITS: Final = ("train", "validation", "test")
OVERALL: Final = "overall"  # the one dimension of preference pairs


@dataclass(frozen=True, slots=True)
class Judged:
    """Two clips for one prompt, and the sign per dimension: +1 A, -1 B, 0 tie; absent: no label."""

    prompt: str
    split: str
    a: VideoRef
    b: VideoRef
    signs: dict[str, int]


@dataclass(frozen=True, slots=True)
class Judgements:
    """N pairs over R (clip, prompt) rows, D dimensions."""

    keys: tuple[str, ...]
    rows: tuple[tuple[VideoRef, str], ...]
    a: NDArray[np.int64]  # [N], indices of rows
    b: NDArray[np.int64]  # [N]
    preference: NDArray[np.int64]  # [N, D]; 0 where not valid
    valid: NDArray[np.bool_]  # [N, D]
    prompts: tuple[str, ...]  # [N]

    def __len__(self) -> int:
        return len(self.a)

    @classmethod
    def of(cls, judged: Iterable[Judged], keys: Sequence[str]) -> Self:
        pairs = list(judged)
        rows: dict[tuple[VideoRef, str], int] = {}
        ends = [
            [rows.setdefault((clip, each.prompt), len(rows)) for clip in (each.a, each.b)]
            for each in pairs
        ]
        index = np.array(ends, dtype=np.int64).reshape(-1, 2)
        signs = [[each.signs.get(key) for key in keys] for each in pairs]
        shape = (len(pairs), len(keys))
        valid = np.array([[s is not None for s in row] for row in signs], dtype=bool)
        return cls(
            keys=tuple(keys),
            rows=tuple(rows),
            a=index[:, 0],
            b=index[:, 1],
            preference=np.array([[s or 0 for s in row] for row in signs], np.int64).reshape(shape),
            valid=valid.reshape(shape),
            prompts=tuple(each.prompt for each in pairs),
        )

    def some(self, count: int) -> Self:
        """At most so many pairs, evenly spread over all of them, with the rows that they need."""
        if count >= len(self):
            return self
        kept = np.linspace(0, len(self) - 1, count).round().astype(int)
        rows, ends = np.unique(np.stack([self.a[kept], self.b[kept]]), return_inverse=True)
        a, b = ends.reshape(2, count)
        return type(self)(
            keys=self.keys,
            rows=tuple(self.rows[row] for row in rows),
            a=a,
            b=b,
            preference=self.preference[kept],
            valid=self.valid[kept],
            prompts=tuple(self.prompts[pair] for pair in kept),
        )


def judgements_of(
    snapshot: Path | None, pairs: Path | None, wanted: Sequence[str]
) -> dict[str, Judgements]:
    """By split; from a dataset snapshot or from preference pairs, whichever is there.

    `wanted` dimensions alone, or all of them. FormatError where no pair can be trained on.
    """
    if (snapshot is None) == (pairs is None):
        raise BadConfigError("a latent reward run needs either a snapshot or pairs as its labels")
    if snapshot is not None:
        found = read_snapshot(snapshot)
        judged, known = _of_records(found.records), found.dimensions.keys
    else:
        assert pairs is not None
        judged, known = _of_pairs(PairRecord.read(pairs)), (OVERALL,)
    _refuse_leaks(judged, snapshot or pairs)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise BadConfigError(
            f"there is no dimension {unknown[0]!r} in the labels; there are: {', '.join(known)}"
        )
    keys = tuple(key for key in known if key in wanted or not wanted)
    splits = {
        split: Judgements.of((each for each in judged if each.split == split), keys)
        for split in SPLITS
    }
    if not splits["train"].valid.any():
        raise FormatError(f"no pair of the split 'train' has a label for {', '.join(keys)}",
                          path=snapshot or pairs)  # fmt: skip
    return splits


def _refuse_leaks(judged: Iterable[Judged], path: Path | None) -> None:
    """A prompt or a clip that two splits share would be examined by what it was trained on."""
    seen: dict[tuple[str, str], str] = {}
    for each in judged:
        named = (("prompt", each.prompt), ("clip", each.a.sha256), ("clip", each.b.sha256))
        for what, value in named:
            first = seen.setdefault((what, value), each.split)
            if first != each.split:
                raise FormatError(
                    f"the splits {first} and {each.split} share the {what} {value[:60]!r}",
                    path=path,
                )


def _of_records(records: Iterable[PreferenceRecord]) -> list[Judged]:
    """Clips that were scored alone say nothing of a pair."""
    return [
        Judged(
            each.prompt,
            each.split,
            each.video_a,
            each.video_b,
            {key: SIGN[label] for key, label in each.labels.items() if label in SIGN},
        )
        for each in records
        if each.video_b is not None
    ]


def _of_pairs(records: Iterable[PairRecord]) -> list[Judged]:
    """Chosen and rejected change sides by turns: the first clip must not always be the better."""
    return [
        Judged(each.prompt, each.split, each.chosen, each.rejected, {OVERALL: 1})
        if number % 2 == 0
        else Judged(each.prompt, each.split, each.rejected, each.chosen, {OVERALL: -1})
        for number, each in enumerate(records)
    ]
