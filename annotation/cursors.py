"""An annotator's place in a campaign: one row, and the lock under which they act."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Now

from annotation.models import Cursor, Stage


def lock_cursor(campaign_id: int, user: User) -> tuple[Cursor, datetime]:
    """The annotator's place in the campaign, locked, and the database's time."""
    rows = Cursor.objects.select_for_update(no_key=True).annotate(now=Now())
    cursor = rows.filter(campaign_id=campaign_id, annotator=user).first()
    if cursor is None:
        Cursor.objects.get_or_create(campaign_id=campaign_id, annotator=user)
        cursor = rows.get(campaign_id=campaign_id, annotator=user)
    return cursor, cursor.now


def count_answer(cursor: Cursor, now: datetime, active_ms: int | None, *, votes: int = 0) -> None:
    """One more question answered (`votes=1`: on a triplet), and the time it took today."""
    today = now.date()
    spent = active_ms or 0
    before = cursor.active_ms_today if cursor.day == today else 0
    Cursor.objects.filter(pk=cursor.pk).update(
        questions=F("questions") + 1,
        votes=F("votes") + votes,
        day=today,
        active_ms_today=before + spent,
    )
    cursor.questions += 1
    cursor.votes += votes
    cursor.day, cursor.active_ms_today = today, before + spent


def move_stage(cursor: Cursor, to: Stage, now: datetime, *, reason: str, attempt: int) -> bool:
    """From the stage and attempt that were read to another; False if somebody was quicker."""
    moved = Cursor.objects.filter(pk=cursor.pk, stage=cursor.stage, attempt=cursor.attempt).update(
        stage=to, attempt=attempt, stage_since=now, stage_reason=reason[:300]
    )
    if moved:
        cursor.stage, cursor.attempt = to, attempt
        cursor.stage_since, cursor.stage_reason = now, reason[:300]
    return bool(moved)
