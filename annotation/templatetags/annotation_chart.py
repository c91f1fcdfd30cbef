"""Small charts as SVG, laid out here because the policy forbids style attributes in templates."""

from dataclasses import dataclass
from typing import Any, Final

from django import template

from annotation.dashboards import DimensionAgreement, LabelShares

register = template.Library()

# In the order of an ordinal scale, so that ties stand between the sides; what has no side last.
_SEGMENTS: Final = (
    ("A", "A better"),
    ("tie", "Same"),
    ("B", "B better"),
    ("invalid", "Invalid"),
    ("none", "No majority"),
)
_LOWEST: Final = -0.2  # agreement below it is drawn at the edge
_WORTH_A_LABEL: Final = 8.0  # percent of the width


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stacked bar; places in percent of the width."""

    word: str
    title: str
    share: float
    x: float
    width: float
    label_x: float | None  # None where the text would not fit


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure on the scale of agreement; `x` in percent of the width, None where undefined."""

    word: str
    title: str
    value: float | None
    x: float | None


def segments_of(shares: dict[str, float]) -> list[Segment]:
    segments, x = [], 0.0
    for word, title in _SEGMENTS:
        width = 100 * shares.get(word, 0.0)
        if width > 0:
            label = x + width / 2 if width >= _WORTH_A_LABEL else None
            segments.append(Segment(word, title, width / 100, x, width, label))
        x += width
    return segments


def place(value: float | None) -> float | None:
    """Where a coefficient stands on the axis from -0.2 to 1, in percent."""
    if value is None:
        return None
    return round(100 * (min(1.0, max(_LOWEST, value)) - _LOWEST) / (1 - _LOWEST), 2)


@register.inclusion_tag("annotation/_share_bar.html")
def share_bar(shares: dict[str, float], title: str) -> dict[str, Any]:
    return {"segments": segments_of(shares), "title": title}


@register.inclusion_tag("annotation/_agreement_scale.html")
def agreement_scale(row: DimensionAgreement) -> dict[str, Any]:
    marks = [
        Mark(
            "ordinal", "Krippendorff's alpha, ordinal", row.alpha_ordinal, place(row.alpha_ordinal)
        ),
        Mark(
            "nominal", "Krippendorff's alpha, nominal", row.alpha_nominal, place(row.alpha_nominal)
        ),
        Mark("ac1", "Gwet's AC1", row.ac1, place(row.ac1)),
    ]
    ticks = [(tick, place(tick)) for tick in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return {
        "row": row,
        "marks": [mark for mark in marks if mark.x is not None],
        "ticks": ticks,
        "low": place(row.alpha_low),
        "high": place(row.alpha_high),
    }


@register.simple_tag
def share_words(panel: tuple[LabelShares, ...]) -> list[tuple[str, str]]:
    """The labels that anybody gave, for the legend and the columns of the table."""
    given = {word for row in panel for word, share in row.consensus.items() if share}
    given |= {word for row in panel for word, share in row.shares.items() if share}
    return [(word, title) for word, title in _SEGMENTS if word in given]


@register.filter
def share_of(shares: dict[str, float], word: str) -> float:
    return shares.get(word, 0.0)
