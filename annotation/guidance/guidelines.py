"""Guidelines of a campaign: drafts, versions, who accepted which. The only writer of them.

A version that is published never changes, because votes were given under it. A major one must be
read and accepted before the next question. What lacks a translation is shown in English, and says
so. Before the first version, the texts of the dimension set stand in; the built-in sets bring
their translations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from annotation.cursors import lock_cursor
from annotation.errors import NotFound, VoteConflict
from annotation.guidance.bodies import ENGLISH, Body, check_body
from annotation.models import (
    Campaign,
    Cursor,
    Guideline,
    GuidelineAcceptance,
    GuidelineDraft,
    Language,
)
from annotation.transactions import retried

NO_VERSION: Final = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest version of a campaign, or what stands in for it."""

    id: int | None
    version: int
    major: bool
    body: Body


def newest(campaign: Campaign) -> Standing:
    row = campaign.guidelines.order_by("-version").first()
    if row is None:
        return Standing(None, NO_VERSION, major=False, body=default_body(campaign))
    return Standing(row.pk, row.version, row.major, row.body)


def newest_version(campaign: Campaign) -> int:
    """0 where none was published."""
    found = campaign.guidelines.order_by("-version").values_list("version", flat=True).first()
    return found or NO_VERSION


def default_body(campaign: Campaign) -> Body:
    """What the dimension set says, in every language in which our catalogs know its texts."""
    instructions = {ENGLISH: campaign.instructions} if campaign.instructions else {}
    dimensions: dict[str, dict[str, Any]] = {}
    for row in campaign.dimension_set.dimensions.all():
        english = {"title": row.title, "question": row.question, "sentences": list(row.guideline)}
        dimensions[row.key] = {ENGLISH: english}
        for language in Language.values:
            said = _translated(english, language)
            if said != english:
                dimensions[row.key][language] = said
    return {"instructions": instructions, "dimensions": dimensions, "examples": {}}


def _translated(texts: Mapping[str, Any], language: str) -> dict[str, Any]:
    with override(language):
        return {
            "title": _known(texts["title"]),
            "question": _known(texts["question"]),
            "sentences": [_known(each) for each in texts["sentences"]],
        }


def _known(text: str) -> str:
    """As the catalogs know it. An empty text is the name of their header."""
    return _(text) if text else ""


@retried
def publish(
    campaign: Campaign, body: object, *, major: bool, user: User, draft: int | None = None
) -> Guideline:
    """The next version. After a major one nobody gets a question before they accepted it.

    `draft` is the revision that is published with it; what was saved since, or is another text,
    stays a draft. Its row stays empty, so that the revision never begins again.
    """
    checked = check_body(campaign, body)
    locked = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    row = Guideline.objects.create(
        campaign=locked,
        version=newest_version(locked) + 1,
        major=major,
        body=checked,
        created_by=user,
    )
    if major:
        Campaign.objects.filter(pk=locked.pk).update(must_accept=row.version)
    if draft is not None:
        published = GuidelineDraft.objects.filter(campaign=locked, revision=draft)
        published.update(body={}, saved_by=None)
    return row


@retried
def accept(guideline_id: int, user: User) -> Guideline:
    """This person has read this version; older acceptances stay on record."""
    row = Guideline.objects.select_related("campaign").filter(pk=guideline_id).first()
    if row is None:
        raise NotFound(_("There is no such guideline."))
    cursor, _now = lock_cursor(row.campaign_id, user)
    GuidelineAcceptance.objects.get_or_create(guideline=row, annotator=user)
    Cursor.objects.filter(pk=cursor.pk, accepted__lt=row.version).update(accepted=row.version)
    return row


def accepted(standing: Standing, user: User) -> bool:
    """Nothing is to accept where nothing was published."""
    if standing.id is None:
        return True
    return GuidelineAcceptance.objects.filter(guideline=standing.id, annotator=user).exists()


@dataclass(frozen=True, slots=True)
class Draft:
    body: Body
    revision: int  # 0: nobody has ever saved one
    saved_by: str = ""


def draft_of(campaign: Campaign) -> Draft:
    """What leads are writing; before they do, the newest version."""
    row = GuidelineDraft.objects.select_related("saved_by").filter(campaign=campaign).first()
    if row is None:
        return Draft(newest(campaign).body, 0)
    if not row.body:  # it was published
        return Draft(newest(campaign).body, row.revision)
    return Draft(row.body, row.revision, row.saved_by.get_username() if row.saved_by else "")


@transaction.atomic
def save_draft(campaign: Campaign, body: object, revision: int, user: User) -> Draft:
    """Save over the revision that was read; if somebody else saved since, VoteConflict."""
    checked = check_body(campaign, body)
    values = {"body": checked, "saved_by": user, "saved_at": timezone.now()}
    rows = GuidelineDraft.objects.filter(campaign=campaign, revision=revision)
    if revision == 0:
        _row, made = GuidelineDraft.objects.get_or_create(campaign=campaign, defaults=values)
        saved = made
    else:
        saved = rows.update(revision=F("revision") + 1, **values) == 1
    if not saved:
        raise VoteConflict(
            _("Somebody else has saved this draft since you opened it; open it again."),
            revision=draft_of(campaign).revision,
        )
    return draft_of(campaign)
