"""What a lead does with somebody whose work was paused: let them go on, or ask others anew.

The only place that takes votes back because of their author.
"""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation.cursors import lock_cursor, move_stage
from annotation.errors import CampaignError, NotFound
from annotation.models import Campaign, Cursor, Outbox, Stage, Vote
from annotation.quality import gold
from annotation.quality.marking import last_good
from annotation.quality.reliability import gold_answers
from annotation.voting import withdraw_votes


@dataclass(frozen=True, slots=True)
class Window:
    """Votes that would be asked anew: those after the last moment up to which gold was good."""

    since: datetime | None  # None: all of them
    votes: int
    gold_before: int  # answers on gold up to that moment
    gold_after: int


@dataclass(frozen=True, slots=True)
class Recollected:
    votes: int
    since: datetime | None


def cursor_of(campaign: Campaign, annotator_id: int) -> Cursor:
    found = Cursor.objects.filter(campaign=campaign, annotator=annotator_id)
    cursor = found.select_related("annotator").first()
    if cursor is None:
        raise NotFound("This person has not begun in this campaign.")
    return cursor


@transaction.atomic
def resume(campaign: Campaign, annotator_id: int, lead: User, note: str = "") -> Cursor:
    """Back to work after a pause, or to one attempt more after a failed qualification.

    The window of gold begins afresh, otherwise the next wrong answer would pause again.
    """
    cursor, now = lock_cursor(campaign.pk, cursor_of(campaign, annotator_id).annotator)
    if cursor.stage == Stage.PAUSED:
        to, attempt = Stage.WORKING, cursor.attempt
        told = note or _("A lead has looked at your work: please go on.")
    elif cursor.stage == Stage.FAILED:
        to, attempt = Stage.QUALIFICATION, cursor.attempt + 1
        told = note or _("A lead gives you one more attempt.")
    else:
        raise CampaignError(f"Nothing stops this person: their stage is {cursor.stage}.")
    move_stage(cursor, to, now, reason=told, attempt=attempt)
    _tell(cursor, "annotator.resumed", now, lead)
    return cursor


def window(campaign: Campaign, annotator_id: int) -> Window:
    """Reads what `recollect` would take back."""
    cursor = cursor_of(campaign, annotator_id)
    answers = gold_answers(cursor)
    good = last_good([errors for _at, errors in answers], campaign.keep_share)
    since = answers[good - 1][0] if good else None
    return Window(since, _votes(cursor, since).count(), good, len(answers) - good)


@transaction.atomic
def recollect(campaign: Campaign, annotator_id: int, lead: User, note: str = "") -> Recollected:
    """Take back the votes since the last good window; their slots go to others.

    The stage stays as it is: letting the person go on is another decision.
    """
    cursor, now = lock_cursor(campaign.pk, cursor_of(campaign, annotator_id).annotator)
    found = window(campaign, annotator_id)
    votes = list(_votes(cursor, found.since))
    reason = f"{lead.username}: {note}" if note else f"{lead.username}: gold below the limit"
    taken = withdraw_votes(votes, reason)
    # What was known from these votes is not known any more.
    gold.retire_of_triplets([vote.triplet_id for vote in votes])
    _tell(cursor, "annotator.recollected", now, lead)
    return Recollected(taken, found.since)


def _votes(cursor: Cursor, since: datetime | None) -> QuerySet[Vote]:
    votes = Vote.objects.live().filter(
        campaign_id=cursor.campaign_id, annotator_id=cursor.annotator_id
    )
    return votes if since is None else votes.filter(submitted_at__gt=since)


def _tell(cursor: Cursor, kind: str, now: datetime, lead: User) -> None:
    Outbox.objects.create(kind=kind, ref=f"{cursor.pk}@{now.isoformat()}/{lead.pk}"[:64])
