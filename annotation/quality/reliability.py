"""How reliable each annotator is: the gold window that pauses work, and what follows."""

from datetime import datetime

from django.utils.translation import gettext as _

from annotation.cursors import move_stage
from annotation.models import Campaign, Cursor, Outbox, ProbeAnswer, ProbeKind, Stage
from annotation.quality.marking import standing


def look_at_gold(campaign: Campaign, cursor: Cursor, kind: str, now: datetime) -> None:
    """After an answer on gold: pause who has used up their errors, and tell the lead."""
    if kind != ProbeKind.GOLD or cursor.stage != Stage.WORKING:
        return
    if not standing(gold_errors(cursor), campaign.keep_share).failed:
        return
    reason = _(
        "Work is paused: your latest answers differ from the guideline more than usual. "
        "A lead has been told and will come back to you."
    )
    if move_stage(cursor, Stage.PAUSED, now, reason=reason, attempt=cursor.attempt):
        Outbox.objects.create(kind="annotator.paused", ref=f"{cursor.pk}@{now.isoformat()}")


def gold_errors(cursor: Cursor) -> list[float]:
    return [errors for _at, errors in gold_answers(cursor)]


def gold_answers(cursor: Cursor) -> list[tuple[datetime, float]]:
    """Of the gold answered since the stage began, oldest first: when, and the share of errors.

    A resumed person starts afresh. While somebody is paused it is the stage before that counts,
    which began with the last resumption or with the first answer.
    """
    answers = ProbeAnswer.objects.filter(
        campaign_id=cursor.campaign_id,
        annotator_id=cursor.annotator_id,
        kind=ProbeKind.GOLD,
        superseded=False,
        submitted_at__gte=cursor.work_since,
    )
    return list(answers.order_by("submitted_at", "pk").values_list("submitted_at", "errors"))
