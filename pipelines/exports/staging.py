"""Where the files of an export are made, so that a killed process loses at most the file at hand.

A staging folder lies beside the target. Each file, or group of files, is written under a name with
a dot, fsynced, renamed, and then noted with its hash in `done.jsonl`. Who starts again keeps what
is noted and still has its hash, and makes the rest anew. Only `publish` shows anything under the
final name, by the commit protocol of folders (formats.checkpoints).
"""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from annotation.media.storage import link_or_copy
from formats.checkpoints import MANIFEST, commit_folder
from formats.errors import FormatError
from formats.files import fsync_folder, read_json, sha256_of, write_json

SCHEMA: Final = "export-staging/1"
_BEGUN: Final = "begun.json"
_DONE: Final = "done.jsonl"
_WHOLE: Final = "whole"  # the folder that becomes the target; what is half of it dies with us

Counts = dict[str, dict[str, int]]  # dimension, what the format has no place for -> how many


@dataclass(slots=True)
class Made:
    """What one step of an export has written: rows by file, and what it left out."""

    rows: dict[str, int]
    left_out: Counts = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # what later steps need to know


@dataclass(frozen=True, slots=True)
class Finished:
    """One file of the export."""

    name: str
    rows: int
    bytes: int
    sha256: str


Write = Callable[[Mapping[str, Path]], Made]


class Staging:
    """`wish` says what is exported, how, and from what: a folder of another wish is not gone on
    with."""

    def __init__(self, folder: Path, wish: Mapping[str, Any]) -> None:
        self.folder = folder
        self.steps: dict[str, Made] = {}
        self.files: dict[str, Finished] = {}
        self.tidy(folder)
        self.resumed = self.begun(folder) == json.loads(json.dumps(dict(wish)))
        if self.resumed:
            self._take_up()
        else:
            self._begin(wish)

    @classmethod
    def published(cls, folder: Path, target: Path) -> bool:
        """Whether what was begun there is what lies under the final name."""
        begun = cls.begun(folder)
        try:
            meta = read_json(target / "manifest.json", MANIFEST)["meta"] if begun else {}
        except (FormatError, OSError):
            return False
        return bool(meta) and begun.items() >= {k: v for k, v in meta.items() if k in begun}.items()

    def make(self, step: str, names: tuple[str, ...], write: Write) -> Made:
        """Have `write` write the files of these names, unless an earlier process has."""
        if step in self.steps:
            return self.steps[step]
        places = {name: self._aside(name) for name in names}
        made = write(places)
        for name, place in places.items():
            self._keep(name, place, made.rows.get(name, 0))
        self._note(step, names, made)
        return made

    def publish(self, target: Path, meta: Mapping[str, Any]) -> str:
        """The files under their final name, all or none; the sha256 of their manifest."""
        if target.exists():
            raise FormatError("the folder is there already and is never overwritten", path=target)
        whole = self.folder / _WHOLE
        shutil.rmtree(whole, ignore_errors=True)  # of a process that was killed right here
        sha256 = commit_folder(whole, self._fill, meta)
        whole.rename(target)
        fsync_folder(target.parent)
        self.remove()
        return sha256

    def remove(self) -> None:
        """At once for who comes next, who must not take a half removed folder for a half export."""
        self.tidy(self.folder)
        self.folder.rename(_gone(self.folder))
        self.tidy(self.folder)

    @staticmethod
    def tidy(folder: Path) -> None:
        """What is left of a staging folder that nobody needs any more."""
        shutil.rmtree(_gone(folder), ignore_errors=True)

    @property
    def left_out(self) -> Counts:
        """Of all steps together."""
        total: Counts = {}
        for made in self.steps.values():
            for key, counts in made.left_out.items():
                row = total.setdefault(key, {})
                for word, count in counts.items():
                    row[word] = row.get(word, 0) + count
        return total

    # What an earlier process has left.

    @staticmethod
    def begun(folder: Path) -> dict[str, Any]:
        """The wish of what was begun there; nothing where nothing was, or not even that whole."""
        try:
            return read_json(folder / _BEGUN, SCHEMA)
        except FormatError:
            return {}

    def _begin(self, wish: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():  # the folder itself stays: a lock may be on it
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        write_json(self.folder / _BEGUN, SCHEMA, wish)

    def _take_up(self) -> None:
        """The steps that are noted and whole; a line that a crash cut off says nothing."""
        for half in self.folder.rglob(".*.part"):
            half.unlink(missing_ok=True)
        ledger = self.folder / _DONE
        lines = ledger.read_bytes().split(b"\n") if ledger.exists() else []
        for text in lines[:-1]:
            row = json.loads(text)
            files = [Finished(**each) for each in row["files"]]
            if all(self._is_whole(each) for each in files):
                self.steps[row["step"]] = Made(row["rows"], row["left_out"], row["facts"])
                self.files |= {each.name: each for each in files}
        if lines and lines[-1]:  # what is noted next must begin a line
            with ledger.open("r+b") as file:
                file.truncate(ledger.stat().st_size - len(lines[-1]))

    def _is_whole(self, each: Finished) -> bool:
        path = self.folder / each.name
        return path.is_file() and sha256_of(path) == each.sha256

    # One file at a time.

    def _aside(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")

    def _keep(self, name: str, place: Path, rows: int) -> None:
        with place.open("rb+") as file:
            os.fsync(file.fileno())
        self.files[name] = Finished(name, rows, place.stat().st_size, sha256_of(place))
        place.replace(self.folder / name)
        fsync_folder((self.folder / name).parent)

    def _note(self, step: str, names: tuple[str, ...], made: Made) -> None:
        files = [asdict(self.files[name]) for name in names]
        row = {"step": step, "files": files, **asdict(made)}
        with (self.folder / _DONE).open("ab") as ledger:
            ledger.write(json.dumps(row).encode() + b"\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        self.steps[step] = made

    def _fill(self, folder: Path) -> None:
        for name in sorted(self.files):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(self.folder / name, place)  # a crash now leaves the staging folder whole


def _gone(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.gone")
