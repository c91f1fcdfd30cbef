"""What a backup says of itself: when, of which database, which files lay where."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from formats.errors import FormatError
from formats.files import read_json, read_jsonl, sha256_of, write_json, write_jsonl
from pipelines.backups.errors import BackupError

SCHEMA: Final = "backup/1"
FILES_SCHEMA: Final = "backup_files/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an area and its content."""

    area: str
    name: str
    bytes: int
    sha256: str
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class About:
    made_at: str
    engine: str  # sqlite, postgresql
    server: str  # its version
    tables: dict[str, int]  # rows by table
    migrations: dict[str, str]  # the newest one by app
    database_sha256: str
    files_sha256: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished one: its folder and what it says."""

    folder: Path
    about: About

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def database(self) -> Path:
        return self.folder / "database"

    def entries(self) -> Iterator[Entry]:
        for _, row in read_jsonl(self.folder / "files.jsonl", FILES_SCHEMA):
            yield Entry(**row)

    def faults(self) -> list[str]:
        """What is wrong with its own files; contents are the vault's affair."""
        wanted = {
            self.database: self.about.database_sha256,
            self.folder / "files.jsonl": self.about.files_sha256,
        }
        return [
            f"{path} is damaged or missing"
            for path, sha256 in wanted.items()
            if not path.is_file() or sha256_of(path) != sha256
        ]


def write_entries(folder: Path, entries: list[Entry]) -> str:
    return write_jsonl(folder / "files.jsonl", FILES_SCHEMA, (asdict(each) for each in entries))


def write_about(folder: Path, about: About) -> None:
    write_json(folder / "backup.json", SCHEMA, asdict(about))


def read_backup(folder: Path) -> Backup:
    try:
        value: dict[str, Any] = read_json(folder / "backup.json", SCHEMA)
        return Backup(folder, About(**value))
    except (FormatError, TypeError) as error:
        raise BackupError(f"{folder} is no finished backup: {error}") from None


def all_of(target: Path) -> list[Backup]:
    """Finished backups, oldest first."""
    found = sorted((target / "backups").glob("*/backup.json"))
    return [read_backup(path.parent) for path in found if not path.parent.name.startswith(".")]


def newest(target: Path, name: str = "") -> Backup:
    """That one, or the newest; BackupError where there is none."""
    found = [each for each in all_of(target) if not name or each.name == name]
    if not found:
        raise BackupError(f"there is no backup {name or 'at all'} in {target}")
    return found[-1]


def name_of(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H-%M-%S.%f}Z"
