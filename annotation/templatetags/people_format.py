"""Times and amounts as people read them in their language."""

from decimal import Decimal

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def duration(milliseconds: int) -> str:
    """4_380_000 -> "1 h 13 min"; below a minute in seconds."""
    seconds = round(milliseconds / 1000)
    minutes, hours = seconds // 60 % 60, seconds // 3600
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min") % {"minutes": minutes}
    return _("%(seconds)d s") % {"seconds": seconds}


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """With the sign of decimals of the language, and the currency by its code."""
    figure = number_format(amount, 2, use_l10n=True, force_grouping=True)
    return f"{figure}\N{NO-BREAK SPACE}{currency}"
