"""A snapshot as the exports read it: verified once, then row by row, never whole in memory.

A row is the JSON of a PreferenceRecord (formats.records) with two changes: people have another name
in each export (RELIABILITY D1), and a clip is named by where the export says that it lies.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

import orjson

from formats.checkpoints import verify_folder
from formats.dimensions import DimensionSet
from formats.errors import FormatError
from formats.files import read_json
from formats.snapshot import ANNOTATORS, DIMENSIONS

FILE: Final = "preferences.jsonl"
_TICK: Final = 500  # rows between two looks at whether the run is to go on
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """How an export names a clip or a start image.

    `paths`: as the snapshot does, below the media root. `links`: the same behind `prefix`, for a
    tool that fetches them. `files`: the export holds them itself, under their hash.
    """

    how: str = "paths"
    prefix: str = ""

    def place(self, path: str, sha256: str) -> str:
        if self.how == "links":
            return self.prefix + quote(path)
        return kept_name(path, sha256) if self.how == "files" else path


def kept_name(path: str, sha256: str) -> str:
    """A clip inside an export."""
    return f"media/{sha256}{PurePosixPath(path).suffix.lower()}"


@dataclass(slots=True)
class Source:
    """`salt` makes the names of people; `tick` hears how many rows one pass has read."""

    folder: Path
    sha256: str
    salt: bytes
    media: Media = field(default_factory=Media)
    campaign: int | None = None
    tick: Callable[[int], None] = lambda _rows: None
    dimensions: DimensionSet = field(init=False)
    meta: dict[str, Any] = field(init=False)
    _known: frozenset[str] = field(init=False)
    _names: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.meta = verify_folder(self.folder)
        self.dimensions = DimensionSet.from_json(
            read_json(self.folder / "dimensions.json", DIMENSIONS)
        )
        self._known = frozenset(self.keys)

    @property
    def count(self) -> int:
        """How many rows there are."""
        with (self.folder / FILE).open("rb") as file:
            header: Row = orjson.loads(file.readline())
        return int(header["count"])

    @property
    def keys(self) -> tuple[str, ...]:
        return self.dimensions.keys

    def rows(self) -> Iterator[Row]:
        """All rows, ordered by pair_id."""
        for _, row in self.rows_with_places():
            yield row

    def rows_with_places(self) -> Iterator[tuple[int, Row]]:
        """Each row behind the byte at which it begins."""
        with (self.folder / FILE).open("rb") as file:
            begin = len(file.readline())  # the header, which the manifest vouches for
            for number, line in enumerate(file, start=1):
                yield begin, self._row(line, number)
                begin += len(line)
                if number % _TICK == 0:
                    self.tick(number)

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], Row]]:
        """A function from the place of a row to the row, for who reads in another order."""
        count = 0

        def row_at(begin: int) -> Row:
            nonlocal count
            count += 1
            if count % _TICK == 0:
                self.tick(count)
            file.seek(begin)
            return self._row(file.readline(), count)

        with (self.folder / FILE).open("rb") as file:
            yield row_at

    def reliability(self) -> dict[str, dict[str, float]]:
        """Per annotator and dimension, where the snapshot says so; under the names of here."""
        file = self.folder / "annotators.json"
        if not file.is_file():
            return {}
        found = read_json(file, ANNOTATORS)["reliability"]
        return {self.name_of(person): of for person, of in sorted(found.items())}

    def name_of(self, annotator: str) -> str:
        """Stable inside an export; nothing joins it with the names of another one."""
        known = self._names.get(annotator)
        if known is None:
            digest = hmac.new(self.salt, annotator.encode(), hashlib.sha256)
            known = self._names[annotator] = f"annotator-{digest.hexdigest()[:12]}"
        return known

    def _row(self, line: bytes, number: int) -> Row:
        row: Row = orjson.loads(line)
        if not self._known.issuperset(row["labels"]):
            self._refuse(number, row)
        if self.media.how != "paths":
            self._place(row)
        names = self._names
        for judgement in row.setdefault("judgements", []):
            judgement[0] = names.get(judgement[0]) or self.name_of(judgement[0])
        return row

    def _place(self, row: Row) -> None:
        for each in (row["video_a"], row["video_b"], row.get("image")):
            if each is not None:
                place = self.media.place(each["path"], each["sha256"])
                each["stored"], each["path"] = each["path"], place

    def _refuse(self, number: int, row: Row) -> None:
        unknown = sorted(set(row["labels"]) - set(self.keys))[0]
        raise FormatError(
            f"dimension {unknown!r} is not in the set {self.dimensions.name!r} "
            f"({', '.join(self.keys)})",
            path=self.folder / FILE,
            line=number + 1,
        )
