"""When a backup was last seen to be restorable: entries of the audit log, which no host forgets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Min
from django.utils import timezone

from annotation.access import audit
from annotation.models import AuditEntry
from pipelines.backups.describing import Backup

CHECKED: Final = "backup.check"
RESTORED: Final = "backup.restore"


@dataclass(frozen=True, slots=True)
class GoodRestore:
    at: datetime
    backup: str
    seconds: float


def remember(act: str, backup: Backup, seconds: float) -> None:
    audit.record(None, act, backup.name, seconds=round(seconds, 1))


def last_good() -> GoodRestore | None:
    """The last restore, or check of a backup, that found nothing wrong; None if there was none."""
    entry = AuditEntry.objects.filter(act__in=(CHECKED, RESTORED)).order_by("-pk").first()
    if entry is None:
        return None
    return GoodRestore(entry.at, entry.target, entry.details.get("seconds", 0.0))


def days_unproven() -> float | None:
    """Since the last good restore, or since there are people, if backups are to be expected here.

    None where nobody has to worry: development without any backup, or a site without people.
    """
    since: datetime | None = None
    if (good := last_good()) is not None:
        since = good.at
    elif settings.PRODUCTION:
        since = User.objects.aggregate(first=Min("date_joined"))["first"]
    return None if since is None else (timezone.now() - since) / timedelta(days=1)
