"""When a backup was last seen to be restorable. Alerts ask for it (RELIABILITY O2)."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils import timezone

from formats.errors import FormatError
from formats.files import read_json, write_json
from pipelines.backups.snapshots import Snapshot

SCHEMA: Final = "good_restore/1"


@dataclass(frozen=True, slots=True)
class GoodRestore:
    at: datetime
    snapshot: str
    seconds: float


def remember(snapshot: Snapshot, seconds: float) -> None:
    value = {"at": timezone.now().isoformat(), "snapshot": snapshot.name, "seconds": seconds}
    write_json(_path(), SCHEMA, value)


def last_good() -> GoodRestore | None:
    """The last restore, or check of a backup, that found nothing wrong; None if there was none."""
    try:
        value = read_json(_path(), SCHEMA)
    except FormatError:
        return None
    return GoodRestore(datetime.fromisoformat(value["at"]), value["snapshot"], value["seconds"])


def _path() -> Path:
    return Path(settings.VAR) / "last-good-restore.json"
