"""Who was erased, in a file that no restore takes back (RELIABILITY D2).

A restored database knows the people again that were erased since its backup. So each erasure is
first written here, one line each, as a number and a fingerprint that tells this account from a
later one with the same number. `erasing.reapply` reads it after a restore. The file holds nothing
else, and belongs to no backup of the database: keep it beside the site (TIEBREAK_TOMBSTONES).
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from formats.files import fsync_folder

SCHEMA: Final = "tombstone/1"


class TombstonesDamaged(Exception):
    """A line of the file cannot be read, so nobody knows who else was erased."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    person: int
    fingerprint: str
    at: str
    schema: str = SCHEMA


def fingerprint(user: User) -> str:
    """Of the account, by what erasure leaves: its number and the moment it was made."""
    text = f"{user.pk} {user.date_joined.timestamp():.6f}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def bury(user: User) -> Tombstone:
    """Write the line and see it on the disk, before anything of the person is erased."""
    stone = Tombstone(user.pk, fingerprint(user), timezone.now().isoformat())
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(asdict(stone)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fsync_folder(path.parent)
    return stone


def buried() -> Iterator[Tombstone]:
    """All lines, oldest first. One that a crash cut off at the end was never acknowledged."""
    path = _path()
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if line and not (number == len(lines) and not line.endswith("}")):
            yield _read(path, number, line)


def _read(path: Path, number: int, line: str) -> Tombstone:
    try:
        stone = Tombstone(**json.loads(line))
        datetime.fromisoformat(stone.at)
    except (ValueError, TypeError):
        raise TombstonesDamaged(
            f"{path}, line {number}: not a {SCHEMA} line; expected person, fingerprint and at."
            " Take the file from the newest copy of it."
        ) from None
    return stone


def _path() -> Path:
    return Path(settings.TIEBREAK_TOMBSTONES)
