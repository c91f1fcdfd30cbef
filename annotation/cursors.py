"""An annotator's place in a campaign: one row, and the lock under which they act."""

from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models.functions import Now

from annotation.models import Cursor, Stage

# A question cannot take longer than this of anybody's day: idle time is cut after seconds.
_LONGEST_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _LONGEST_MS


def enter(campaign_id: int, user: User) -> None:
    """Give the annotator a place in the campaign; who has one keeps it."""
    Cursor.objects.get_or_create(campaign_id=campaign_id, annotator=user)


def lock_cursor(campaign_id: int, user: User) -> tuple[Cursor, datetime]:
    """The annotator's place in the campaign, locked, and the database's time."""
    rows = Cursor.objects.select_for_update(no_key=True).annotate(now=Now())
    cursor = rows.filter(campaign_id=campaign_id, annotator=user).first()
    if cursor is None:
        enter(campaign_id, user)
        cursor = rows.get(campaign_id=campaign_id, annotator=user)
    return cursor, cursor.now


def active_today(cursor: Cursor, now: datetime) -> int:
    """Milliseconds of activity since midnight, UTC."""
    return cursor.active_ms_today if cursor.day == now.date() else 0


def after_answer(
    cursor: Cursor, now: datetime, active_ms: int | None, *, votes: int = 0, questions: int = 1
) -> dict[str, Any]:
    """What the row says after a question (`votes=1`: on a triplet) that took this time."""
    spent = active_today(cursor, now) + min(active_ms or 0, _LONGEST_MS)
    return {
        "questions": cursor.questions + questions,
        "votes": cursor.votes + votes,
        "day": now.date(),
        "active_ms_today": min(spent, _DAY_MS),
    }


def count_answer(cursor: Cursor, now: datetime, active_ms: int | None, *, votes: int = 0) -> None:
    """One more question answered, and the time it took today; the cursor is locked."""
    values = after_answer(cursor, now, active_ms, votes=votes)
    # The probe in hand was perhaps what was answered.
    Cursor.objects.filter(pk=cursor.pk).update(**values, probe=cursor.probe)
    for name, value in values.items():
        setattr(cursor, name, value)


def move_stage(cursor: Cursor, to: Stage, now: datetime, *, reason: str, attempt: int) -> bool:
    """From the stage and attempt that were read to another; False if somebody was quicker."""
    values: dict[str, Any] = {
        "stage": to,
        "attempt": attempt,
        "stage_since": now,
        "stage_reason": reason[:300],
    }
    if to == Stage.WORKING:
        values["work_since"] = now
    as_read = Cursor.objects.filter(pk=cursor.pk, stage=cursor.stage, attempt=cursor.attempt)
    if not as_read.update(**values):
        return False
    for name, value in values.items():
        setattr(cursor, name, value)
    return True
