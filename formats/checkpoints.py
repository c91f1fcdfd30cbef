"""The commit protocol of a folder, and which checkpoints stay (RELIABILITY 3b, A1, A3, A5).

A folder is filled under a temporary name, hashed, fsynced, renamed, and read back, in the steps
that `commit_folder` names: whatever ends the process between two of them, what is visible is whole.
Older checkpoints go only after the new one was verified, and by a rename first, so that no half of
one is ever visible. The two newest that verify stay, and the best. What is inside is the trainer's
business.
"""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import fsync_folder, read_json, sha256_of, write_json

MANIFEST: Final = "manifest/1"
_NAME = re.compile(r"ckpt-(\d{8})-(\d+)")
# What a writer that was killed leaves: a folder not yet shown, or one that was on its way out.
_LEFTOVERS: Final = (".tmp-*", ".old-*")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    path: Path
    step: int
    fence: int


def commit_folder(
    target: Path, fill: Callable[[Path], None], meta: Mapping[str, Any] | None = None
) -> str:
    """Fill a folder so that it appears whole or not at all; give the sha256 of its manifest.

    An existing `target` is an error: nothing is replaced.
    """
    if target.exists():
        raise FormatError("the folder is there already and is never overwritten", path=target)
    temporary = _begin(target)
    try:
        fill(temporary)
        sha256 = _describe(temporary, _hash(temporary), dict(meta or {}))
        _sync(temporary)
        _show(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_folder(target.parent)
    _check(target)
    return sha256


def _begin(target: Path) -> Path:
    """An empty folder beside the target: on the same file system, and not yet under its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    temporary.mkdir()
    return temporary


def _hash(folder: Path) -> dict[str, Any]:
    """Each file on the disk, with its length and hash."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        name = path.relative_to(folder).as_posix()
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    return files


def _describe(folder: Path, files: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    return write_json(folder / "manifest.json", MANIFEST, {"files": files, "meta": meta})


def _sync(folder: Path) -> None:
    for inner in [p for p in folder.rglob("*") if p.is_dir()]:
        fsync_folder(inner)
    fsync_folder(folder)


def _show(temporary: Path, target: Path) -> None:
    temporary.rename(target)


def _check(path: Path) -> None:
    """Read it back, and know for later that it was whole."""
    state = _state(path)
    verify_folder(path)
    _verified[path] = state


def verify_folder(path: Path) -> dict[str, Any]:
    """Check every file against the manifest; give the manifest's `meta`. Damage names its file."""
    manifest = read_json(path / "manifest.json", MANIFEST)
    wanted: dict[str, dict[str, Any]] = manifest["files"]
    present = {name for name in _names(path) if name != "manifest.json"}
    for name in sorted(set(wanted) ^ present):
        word = "missing" if name in wanted else "not in the manifest"
        raise FormatError(f"the file is {word}", path=path / name)
    for name, row in wanted.items():
        if sha256_of(path / name) != row["sha256"]:
            raise FormatError(
                "the file is damaged: its sha256 differs from the manifest", path=path / name
            )
    meta: dict[str, Any] = manifest["meta"]
    return meta


def _names(folder: Path) -> list[str]:
    """The files below a folder. A link leads to bytes that the folder does not hold: refused."""
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise FormatError("a link, where a file was expected", path=path)
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return names


def commit_checkpoint(
    folder: Path,
    step: int,
    fence: int,
    fill: Callable[[Path], None],
    meta: Mapping[str, Any] | None = None,
    *,
    keep: int = 2,
    protect: Iterable[Path] = (),
    metric: float | None = None,
) -> Checkpoint:
    """Commit `ckpt-<step>-<fence>` in `folder`, then `prune`.

    `metric` is what validation said of the weights of this step: the lower, the better.
    """
    target = folder / f"ckpt-{step:08d}-{fence}"
    if not is_whole(target):
        # Damaged, and of a step that is reached again: it is no checkpoint any more.
        _remove(target)
        said = {} if metric is None else {"metric": metric}
        commit_folder(target, fill, {**(meta or {}), **said, "step": step, "fence": fence})
    prune(folder, keep=keep, protect={*protect, target})
    return Checkpoint(target, step, fence)


def prune(folder: Path, *, keep: int = 2, protect: Iterable[Path] = ()) -> list[Checkpoint]:
    """Remove what is neither among the `keep` newest that verify, nor the best, nor protected.

    Without one that verifies nothing is removed. Gives what was removed.
    """
    found = checkpoints(folder)
    whole = [each for each in found if is_whole(each.path)]
    kept = {*protect, *(each.path for each in whole[:keep])}
    if (best := _best(whole)) is not None:
        kept.add(best.path)
    removed = [each for each in found if each.path not in kept] if whole else []
    for each in removed:
        _remove(each.path)
    for pattern in _LEFTOVERS:
        for leftover in folder.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)
    return removed


def _remove(path: Path) -> None:
    """Out of sight first: a process that is killed while it deletes leaves no half checkpoint."""
    if path.exists():
        hidden = path.with_name(f".old-{uuid.uuid4().hex}")
        path.rename(hidden)
        fsync_folder(path.parent)
        shutil.rmtree(hidden, ignore_errors=True)


# What this process has verified: path -> size, time and place on the disk of each file. A folder
# is hashed once, and again where any of these has changed.
_verified: dict[Path, frozenset[tuple[str, int, int, int]]] = {}


def is_whole(path: Path) -> bool:
    """Whether every hash of a folder holds."""
    if not path.is_dir():
        return False
    if _verified.get(path) == _state(path):
        return True
    try:
        _check(path)
    except FormatError:
        return False
    return True


def _state(path: Path) -> frozenset[tuple[str, int, int, int]]:
    found = []
    for each in path.rglob("*"):
        facts = each.lstat()
        found.append((each.name, facts.st_size, facts.st_mtime_ns, facts.st_ino))
    return frozenset(found)


def best(folder: Path) -> Checkpoint | None:
    """The one that validation liked best, of those whose hashes hold; None where it said nothing.

    Of equal ones the oldest: what came later was no better.
    """
    return _best([each for each in checkpoints(folder) if is_whole(each.path)])


def _best(whole: Iterable[Checkpoint]) -> Checkpoint | None:
    said = [(metric, each) for each in whole if (metric := metric_of(each)) is not None]
    if not said:
        return None
    return min(said, key=lambda row: (row[0], row[1].step, row[1].fence))[1]


def metric_of(checkpoint: Checkpoint) -> float | None:
    """What validation said of its step, if it did."""
    meta = read_json(checkpoint.path / "manifest.json", MANIFEST)["meta"]
    metric: float | None = meta.get("metric")
    return metric


def checkpoints(folder: Path) -> list[Checkpoint]:
    """All visible checkpoints, newest first (by step, then by fence)."""
    if not folder.exists():
        return []
    found = [
        Checkpoint(path, int(match[1]), int(match[2]))
        for path in folder.iterdir()
        if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda each: (each.step, each.fence), reverse=True)


def newest_verified(folder: Path, report: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint whose hashes hold; each damaged one is reported, never loaded."""
    for each in checkpoints(folder):
        try:
            verify_folder(each.path)
        except FormatError as error:
            report(f"checkpoint {each.path.name} is not used: {error}")
            continue
        return each
    return None
