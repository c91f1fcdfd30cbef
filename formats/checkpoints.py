"""The commit protocol of a checkpoint (RELIABILITY 3b): the newest visible one always loads.

A folder is filled under a temporary name, hashed, fsynced, renamed, and read back; only then are
older ones removed, keeping the two newest. What is inside is the trainer's business.
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
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        fill(temporary)
        files = {}
        for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            name = path.relative_to(temporary).as_posix()
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        sha256 = write_json(
            temporary / "manifest.json", MANIFEST, {"files": files, "meta": dict(meta or {})}
        )
        for folder in [p for p in temporary.rglob("*") if p.is_dir()]:
            fsync_folder(folder)
        fsync_folder(temporary)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_folder(target.parent)
    verify_folder(target)
    return sha256


def verify_folder(path: Path) -> dict[str, Any]:
    """Check every file against the manifest; give the manifest's `meta`. Damage names its file."""
    manifest = read_json(path / "manifest.json", MANIFEST)
    wanted: dict[str, dict[str, Any]] = manifest["files"]
    present = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()} - {
        "manifest.json"
    }
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


def commit_checkpoint(
    folder: Path,
    step: int,
    fence: int,
    fill: Callable[[Path], None],
    meta: Mapping[str, Any] | None = None,
    *,
    keep: int = 2,
    protect: Iterable[Path] = (),
) -> Checkpoint:
    """Commit `ckpt-<step>-<fence>` in `folder`, then remove all but the `keep` newest verified."""
    target = folder / f"ckpt-{step:08d}-{fence}"
    if not _is_whole(target):
        # Damaged, and of a step that is reached again: it is no checkpoint any more.
        shutil.rmtree(target, ignore_errors=True)
        commit_folder(target, fill, {**(meta or {}), "step": step, "fence": fence})
    kept = set(protect) | {each.path for each in checkpoints(folder)[:keep]} | {target}
    for each in checkpoints(folder):
        if each.path not in kept:
            shutil.rmtree(each.path)
    for leftover in folder.glob(".tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return Checkpoint(target, step, fence)


def _is_whole(target: Path) -> bool:
    try:
        verify_folder(target)
    except FormatError:
        return False
    return True


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
