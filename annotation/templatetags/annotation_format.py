"""Numbers as people read them. None is "undefined", never 0 and never NaN."""

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

register = template.Library()

UNDEFINED = "undefined"


@register.filter
def percent(share: float | None) -> str:
    """0.634 -> "63 %", which never breaks into two lines."""
    return UNDEFINED if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


@register.filter
def coefficient(value: float | None) -> str:
    """0.6314 -> "0.63"; a true minus sign, so that figures line up."""
    if value is None:
        return UNDEFINED
    # Adding 0 turns the minus zero of rounding into zero.
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def seconds(milliseconds: float | None) -> str:
    """12345 -> "12.3 s"."""
    return "\N{EN DASH}" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


@register.filter
def at_least_one(count: int) -> int:
    """The maximum of a progress bar, which must not be 0."""
    return max(1, count)


@register.filter
def percent_fine(share: float | None) -> str:
    """0.50123 -> "50.1 %": where a percent more or less is the question."""
    return UNDEFINED if share is None else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


@register.filter
def p_value(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.2g}"


@register.filter
def days(number: float) -> str:
    """0.3 -> "7 hours"; 5.14 -> "5.1 days"; 12.4 -> "12 days"."""
    if number >= 3650:
        return _("over ten years")
    if number < 2:
        hours = max(1, round(24 * number))
        return ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours}
    if number < 10:
        return _("%(n).1f days") % {"n": number}
    whole = round(number)
    return ngettext("%(n)d day", "%(n)d days", whole) % {"n": whole}


@register.filter
def at_least_none(share: float) -> float:
    """An estimate of a share may fall below 0 by chance; nobody is told of minus ten percent."""
    return max(0.0, share)


@register.filter
def round_count(number: float) -> str:
    return f"{number:,.0f}"


@register.filter
def spaced(word: str) -> str:
    """prompt_unclear -> "prompt unclear"."""
    return word.replace("_", " ")
