"""Words and figures of the pages of quality."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Campaign, Cursor, Flag, FlagState, Stage
from annotation.permissions import is_lead
from annotation.quality.flags import WITHDRAWING
from annotation.quality.scorecards import Day
from annotation.quality.standings import Standing
from annotation.templatetags.annotation_format import percent

register = template.Library()

_DASH: Final = "\N{EN DASH}"
_STOPPED: Final = (Stage.PAUSED, Stage.FAILED)
_STAGES: Final = {
    Stage.PRACTICE: gettext_lazy("practice"),
    Stage.QUALIFICATION: gettext_lazy("qualification"),
    Stage.WORKING: gettext_lazy("working"),
    Stage.PAUSED: gettext_lazy("paused"),
    Stage.FAILED: gettext_lazy("failed"),
}
_KINDS: Final = {
    "practice": gettext_lazy("practice"),
    "qualification": gettext_lazy("qualification"),
    "gold": gettext_lazy("gold"),
}
_LABELS: Final = {
    "A": gettext_lazy("A better"),
    "B": gettext_lazy("B better"),
    "tie": gettext_lazy("Same"),
    "invalid": gettext_lazy("Invalid"),
}
_WIDTH: Final = 100.0  # of the trend, in its own units
_HEIGHT: Final = 40.0


@register.filter
def percent_or_dash(share: float | None) -> str:
    return _DASH if share is None else percent(share)


@register.filter
def seconds_or_dash(seconds: float | None) -> str:
    return _DASH if seconds is None else _("%(seconds).1f s") % {"seconds": seconds}


@register.filter
def plain(share: float) -> str:
    """For attributes, whose decimal sign is a point in every language."""
    return f"{share:.4f}"


@register.filter
def at(shares: Mapping[str, float], key: str) -> float | None:
    return shares.get(key)


@register.filter
def stopped(rows: Sequence[Standing]) -> int:
    return sum(row.stage in _STOPPED for row in rows)


@register.filter
def stage_word(stage: str) -> str:
    return str(_STAGES.get(Stage(stage), stage))


@register.filter
def stage_badge(stage: str) -> str:
    if stage in _STOPPED:
        return "badge-bad"
    return "badge-ok" if stage == Stage.WORKING else "badge-active"


@register.filter
def kind_word(kind: str) -> str:
    return str(_KINDS.get(str(kind), kind))


@register.filter
def label_word(label: Any) -> str:
    return str(_LABELS.get(str(label), label))


@register.filter
def flag_badge(flag: Flag) -> str:
    return "badge-bad" if flag.kind in WITHDRAWING else "badge-warn"


@register.inclusion_tag("annotation/quality/_alert.html", takes_context=True)
def quality_alert(context: dict[str, Any], campaign: Campaign) -> dict[str, Any]:
    """For the lead's first look: who is stopped, and what was flagged."""
    if not is_lead(context["user"]):
        return {"campaign": campaign, "stopped": 0, "flags": 0}
    return {
        "campaign": campaign,
        "stopped": Cursor.objects.filter(campaign=campaign, stage__in=_STOPPED).count(),
        "flags": Flag.objects.filter(campaign=campaign, state=FlagState.OPEN).count(),
    }


@register.inclusion_tag("annotation/quality/_trend.html")
def day_trend(days: Sequence[Day]) -> dict[str, Any]:
    """Questions of each day as bars; agreement as a line, where two days or more have it."""
    most = max((day.questions for day in days), default=0) or 1
    step = _WIDTH / max(len(days), 7)
    bars = [
        {
            "day": day,
            "x": (n + 0.15) * step,
            "width": 0.7 * step,
            "height": _HEIGHT * day.questions / most,
            "y": _HEIGHT * (1 - day.questions / most),
        }
        for n, day in enumerate(days)
    ]
    points = [
        f"{(n + 0.5) * step:.2f},{_HEIGHT * (1 - day.agreement):.2f}"
        for n, day in enumerate(days)
        if day.agreement is not None
    ]
    return {"bars": bars, "most": most, "line": " ".join(points) if len(points) > 1 else ""}
