"""Numbers as people read them. None is "undefined", never 0 and never NaN."""

from django import template

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
