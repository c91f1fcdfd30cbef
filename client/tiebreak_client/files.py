"""Files in and out: hashed while they pass, gone on with after a break, whole or not there."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any, Final

import requests
from tqdm import tqdm

from tiebreak_client.errors import DamagedFile, NoAnswer, TiebreakError
from tiebreak_client.models import ArtifactFile

_CHUNK: Final = 1 << 16  # what a break may cost: a chunk comes whole or not at all
_BREAKS: Final = 5  # in a row without a byte between them
# An answer to a request with these headers, its bytes still to come.
Opener = Callable[[Mapping[str, str]], AbstractContextManager[requests.Response]]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def below(folder: Path, name: str) -> Path:
    """Where a file that the site names is put: never outside the folder."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or "\\" in name or {"..", "."} & set(name.split("/")):
        raise TiebreakError(f"The site names a file {name[:120]!r}, which leads out of the folder.")
    return folder.joinpath(*parts)


def download(file: ArtifactFile, target: Path, opener: Opener, bar: "tqdm[Any]") -> Path:
    """The file under its name, verified. What an earlier try has brought is gone on with."""
    if (
        target.is_file()
        and target.stat().st_size == file.bytes
        and sha256_of(target) == file.sha256
    ):
        bar.update(file.bytes)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{file.sha256[:16]}.part")
    _fill(part, file, opener, bar)
    if sha256_of(part) != file.sha256:
        part.unlink()
        raise DamagedFile(f"{file.name} arrived with another sha256 than the site says; ask again.")
    _show(part, target)
    return target


def _fill(part: Path, file: ArtifactFile, opener: Opener, bar: "tqdm[Any]") -> None:
    breaks, begun = 0, False
    while (have := part.stat().st_size if part.exists() else 0) < file.bytes or not part.exists():
        if not begun:
            bar.update(have)
            begun = True
        try:
            _more(part, have, file, opener, bar)
        except NoAnswer:
            breaks = breaks + 1 if part.stat().st_size <= have else 0
            if breaks > _BREAKS:
                raise
            time.sleep(min(0.2 * 2**breaks, 10))
    if not begun:
        bar.update(file.bytes)


def _more(part: Path, have: int, file: ArtifactFile, opener: Opener, bar: "tqdm[Any]") -> None:
    """Append what comes from byte `have` on. Also a break leaves what came before it."""
    with part.open("ab") as out:
        wanted = {"Range": f"bytes={have}-", "If-Range": f'"{file.sha256}"'} if have else {}
        with opener(wanted) as answer:
            if have and answer.status_code != 206:
                out.truncate(0)  # the site begins again: another file, or one without ranges
                bar.update(-have)
            for chunk in answer.iter_content(_CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size > file.bytes:
        part.unlink()
        raise DamagedFile(f"{file.name} is longer than the {file.bytes} bytes that the site says.")


def save(target: Path, opener: Opener, bar: "tqdm[Any]") -> Path:
    """An answer that is made as it is sent: written aside, then named. No going on."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with opener({}) as answer, part.open("wb") as out:
            for chunk in answer.iter_content(_CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        _show(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _show(part: Path, target: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
