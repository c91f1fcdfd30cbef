"""A snapshot in a format of another tool, by the command: beside a run, and as whole.

The words of a label are ours (A, B, tie, invalid), except where a format has its own. What a format
has no place for is counted beside it, never silently dropped (pipelines.exports.catalogue).
"""

import fcntl
import gc
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import fsync_folder
from formats.outcome import OutputKind
from pipelines.exports import media as clips
from pipelines.exports.catalogue import FORMATS as CATALOGUE
from pipelines.exports.catalogue import Format
from pipelines.exports.source import Media, Source
from pipelines.exports.staging import Counts, Finished, Staging
from pipelines.models import Artifact
from pipelines.registry import path_of

FORMATS: Final = CATALOGUE
_OBJECTS: Final = 100_000  # new ones between two looks of the collector
SUFFIXES: Final = {name: each.suffix for name, each in CATALOGUE.items()}


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and what the format has no place for."""

    path: Path
    rows: int
    left_out: Counts = field(default_factory=dict)
    files: tuple[Finished, ...] = ()


def find_snapshot(named: str) -> Artifact:
    """By id, or by the beginning of its sha256."""
    found = Artifact.objects.filter(kind=OutputKind.SNAPSHOT)
    by_id = found.filter(pk=int(named)).first() if named.isdecimal() and len(named) < 19 else None
    if by_id is not None:
        return by_id
    rows = list(found.filter(sha256__startswith=named.lower())[:2]) if len(named) >= 6 else []
    # The same votes give the same address, whoever took the snapshot: any of them will do.
    if not rows or len({row.sha256 for row in rows}) > 1:
        known = ", ".join(f"{row.pk} ({row.sha256[:12]})" for row in found[:5]) or "none"
        raise FormatError(f"there is no snapshot {named!r}; there are: {known}")
    return rows[0]


def export(
    artifact: Artifact,
    format_name: str,
    target: Path,
    *,
    source: Path | None = None,
    how: Media | None = None,
    salt: bytes | None = None,
) -> Export:
    """Write a snapshot as `format_name`; an existing target is never overwritten.

    `source` is where it lies, if not where its run left it. Interrupted, and called again with the
    same target, it goes on. `salt` makes the names of people; by default nobody knows it. With the
    clips inside (`how`), and in the format of a folder, the target is a folder.
    """
    chosen, media = format_named(format_name), how or Media()
    wish = wish_of(artifact, chosen, media)
    place = target.with_name(f".{target.name}.export")
    Staging.tidy(place)
    _refuse_existing(place, [target, *_beside(chosen, target)])
    with _alone(place):
        kept = _salt_of(place, wish) or salt or secrets.token_bytes(16)
        staging = Staging(place, {**wish, "salt": kept.hex()})
        folder = source or path_of(artifact)
        taken = Source(folder, artifact.sha256, kept, media, artifact.meta.get("campaign"))
        single = not chosen.is_folder and media.how != "files"
        main = target.name if single else main_name(artifact, chosen)
        write(taken, staging, chosen, main)
        done = result(staging, target, main)
        if single:
            _show(staging, [*_beside(chosen, target), target])
        else:
            staging.publish(target, {**wish, **facts_of(done)})
    return done


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Two commands with one target would write into one folder; the lock dies with its process."""
    place.mkdir(parents=True, exist_ok=True)
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FormatError(
            "another process is writing this export; wait until it has ended", path=place
        ) from None
    finally:
        os.close(handle)


def write(source: Source, staging: Staging, chosen: Format, main: str) -> None:
    """All files of an export into its staging folder."""
    with _seldom_collected():
        chosen.write(source, staging, main)
        if source.media.how == "files":
            clips.write(source, staging)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rows are a million small objects without a circle among them: left alone, the collector walks
    through everything that Django has loaded some hundred times, half of the time of an export."""
    often, frozen = gc.get_threshold(), gc.get_freeze_count()
    if not frozen:
        gc.freeze()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*often)
        if not frozen:
            gc.unfreeze()


def format_named(name: str) -> Format:
    if name not in CATALOGUE:
        raise FormatError(f"unknown format {name!r}; there are: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def wish_of(artifact: Artifact, chosen: Format, how: Media) -> dict[str, Any]:
    """What tells one export from another: a half one is only gone on with for the same wish."""
    return {
        "snapshot": artifact.sha256, "format": chosen.name, "media": how.how, "prefix": how.prefix
    }  # fmt: skip


def main_name(artifact: Artifact, chosen: Format) -> str:
    """The main file inside a folder; a format that is a folder lies in it as it is."""
    return f"snapshot-{artifact.pk}-{chosen.name}{chosen.suffix}" if chosen.suffix else ""


def result(staging: Staging, path: Path, main: str) -> Export:
    """Rows of the main file; of a folder, those of all its files."""
    files = tuple(sorted(staging.files.values(), key=lambda each: each.name))
    rows = sum(each.rows for each in files if each.name == main or not main)
    return Export(path, rows, staging.left_out, files)


def facts_of(done: Export) -> dict[str, Any]:
    """What the manifest says beside the hashes."""
    counted = {each.name: each.rows for each in done.files if each.rows}
    return {"rows": counted, "left_out": some(done.left_out)}


def some(left_out: Counts) -> Counts:
    """What the format has no place for, where there was any."""
    counted = {key: {word: n for word, n in row.items() if n} for key, row in left_out.items()}
    return {key: row for key, row in counted.items() if row}


def _beside(chosen: Format, target: Path) -> list[Path]:
    return [target.with_name(target.name + tail) for tail in chosen.sides]


def _refuse_existing(place: Path, targets: list[Path]) -> None:
    """Files of others; those that an earlier process has shown already are its own."""
    for path in targets:
        own = place / path.name
        if path.exists() and not (own.exists() and own.samefile(path)):
            if Staging.published(place, path):  # killed when all was done but the tidying up
                Staging(place, Staging.begun(place)).remove()
            raise FormatError("the file is there already and is never overwritten", path=path)


def _salt_of(place: Path, wish: Mapping[str, Any]) -> bytes | None:
    """Of an export with the same wish that was interrupted here: people keep their names."""
    begun = Staging.begun(place)
    salt = begun.pop("salt", None)
    return bytes.fromhex(salt) if salt and begun == wish else None


def _show(staging: Staging, targets: list[Path]) -> None:
    """Under their final names: the files beside first, the main one last."""
    for path in targets:
        if not path.exists():
            os.link(staging.folder / path.name, path)
            fsync_folder(path.parent)
    staging.remove()
