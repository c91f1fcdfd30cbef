"""When a backup was last seen to be restorable: entries of the audit log, which no host forgets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from annotation import audit
from annotation.models import AuditEntry
from pipelines.backups.snapshots import Snapshot

CHECKED: Final = "backup.check"
RESTORED: Final = "backup.restore"


@dataclass(frozen=True, slots=True)
class GoodRestore:
    at: datetime
    snapshot: str
    seconds: float


def remember(act: str, snapshot: Snapshot, seconds: float) -> None:
    audit.record(None, act, snapshot.name, seconds=round(seconds, 1))


def last_good() -> GoodRestore | None:
    """The last restore, or check of a backup, that found nothing wrong; None if there was none."""
    entry = AuditEntry.objects.filter(act__in=(CHECKED, RESTORED)).order_by("-pk").first()
    return entry and GoodRestore(entry.at, entry.target, entry.details.get("seconds", 0.0))


def days_unproven() -> float | None:
    """Since the last good restore, or since there are people, if backups are to be expected here.

    None where nobody has to worry: development without any backup, or a site without people.
    """
    good = last_good()
    if good is not None:
        since: datetime | None = good.at
    elif settings.PRODUCTION:
        first = User.objects.order_by("date_joined").first()
        since = first and first.date_joined
    else:
        since = None
    return None if since is None else (timezone.now() - since) / timedelta(days=1)
