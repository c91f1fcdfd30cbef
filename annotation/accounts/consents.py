"""What annotators agree to before their first pair. The only writer of Consent."""

import hashlib
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from annotation.cursors import lock_cursor
from annotation.errors import VoteConflict
from annotation.models import Campaign, Consent, Cursor
from annotation.transactions import retried


@dataclass(frozen=True, slots=True)
class Asked:
    text: str
    sha256: str
    given: bool


def digest(text: str) -> str:
    """Of the text that a person agreed to; another text asks anew. Empty for no text."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def asked(campaign: Campaign, user: User) -> Asked:
    sha256 = digest(campaign.consent)
    # The cursor is what a claim reads: the page and the claim must not say different things.
    mine = Cursor.objects.filter(campaign=campaign, annotator=user, consented=sha256)
    given = not sha256 or mine.exists()
    return Asked(campaign.consent, sha256, given)


@retried
def give(campaign: Campaign, user: User, sha256: str) -> None:
    """Agree to the text that was read, which must be the one that stands."""
    if sha256 != digest(campaign.consent):
        raise VoteConflict(_("The text has changed since you opened it; read it again."))
    if not sha256:
        return
    cursor, _now = lock_cursor(campaign.pk, user)
    Consent.objects.get_or_create(campaign=campaign, annotator=user, text_sha256=sha256)
    Cursor.objects.filter(pk=cursor.pk).update(consented=sha256)
