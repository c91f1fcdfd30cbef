"""Why somebody gets no question now, told from the campaign and the annotator's cursor alone.

The order is the order in which a person can do something about it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from annotation.accounts.consents import digest
from annotation.cursors import active_today
from annotation.models import Campaign, CampaignState, Cursor, Dimension, Stage
from annotation.offers import Empty

_HOUR_MS: Final = 3_600_000
_A_WHILE: Final = 60  # seconds until it is worth asking again


def closed_gate(
    campaign: Campaign,
    cursor: Cursor,
    now: datetime,
    dimensions: Sequence[Dimension],
    screen_width: int | None = None,
) -> Empty | None:
    """The first gate that is shut for this person; None if they may have a question."""
    if campaign.state != CampaignState.OPEN:
        said = _("This campaign is %(state)s; no pairs are given out.") % {"state": campaign.state}
        return Empty(said, _A_WHILE)
    return _of_person(campaign, cursor, now) or _of_screen(dimensions, screen_width)


def _of_person(campaign: Campaign, cursor: Cursor, now: datetime) -> Empty | None:
    if campaign.consent and cursor.consented != digest(campaign.consent):
        return Empty(_("Please read what you agree to before you begin."), _A_WHILE, "consent")
    if campaign.must_accept > cursor.accepted:
        return Empty(_("The guideline has changed; please read it first."), _A_WHILE, "guideline")
    if cursor.stage == Stage.FAILED:
        said = cursor.stage_reason or _("The qualification was not passed; the lead knows.")
        return Empty(said, _A_WHILE, "failed")
    if cursor.stage == Stage.PAUSED:
        said = cursor.stage_reason or _("Your work is paused; the lead has been told.")
        return Empty(said, _A_WHILE, "paused")
    if active_today(cursor, now) >= daily_ms(campaign):
        return Empty(_("You have done all hours of today; rest until tomorrow."), 600, "daily")
    return None


def _of_screen(dimensions: Sequence[Dimension], screen_width: int | None) -> Empty | None:
    """A device on which one of the dimensions cannot be judged gets no question (DESIGN 9)."""
    wanted = max((each.min_width for each in dimensions), default=0)
    if screen_width is None or screen_width >= wanted:
        return None
    said = _("A clip must be seen %(wanted)d pixels wide here; your window shows %(width)d.")
    told = said % {"wanted": wanted, "width": screen_width}
    return Empty(told, _A_WHILE, "screen")


def daily_ms(campaign: Campaign) -> int:
    """Active milliseconds per person and day, at most."""
    return int(campaign.daily_hours * _HOUR_MS)
