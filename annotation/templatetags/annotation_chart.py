"""Figures of dashboards as people read them: charts, cells of tables, figures with intervals."""

from dataclasses import dataclass
from typing import Any, Final

from django import template
from django.template.loader import get_template
from django.utils.safestring import SafeString

from annotation import charts
from annotation.dashboards.panel import Column, Table
from annotation.statistics.clustered import Figure
from annotation.templatetags.annotation_format import UNDEFINED, coefficient, percent, percent_fine

register = template.Library()

_MOST_ROWS: Final = 200  # on a page; the CSV has all
_TEMPLATES: Final[dict[type, str]] = {
    charts.Rows: "rows",
    charts.Lines: "lines",
    charts.Bars: "bars",
    charts.Heat: "heat",
}


@register.simple_tag
def chart(found: Any) -> SafeString | str:
    """Draws a chart; nothing where there is none."""
    if found is None or found == "":
        return ""
    name = _TEMPLATES[type(found)]
    return get_template(f"annotation/charts/{name}.html").render({"chart": found})


@register.inclusion_tag("annotation/charts/stack.html")
def stack(segments: tuple[charts.Segment, ...], title: str) -> dict[str, Any]:
    return {"segments": segments, "title": title}


@register.filter
def of(found: dict[str, Any], key: str) -> Any:
    """A variable as the key, which templates cannot do."""
    return found.get(key)


@dataclass(frozen=True, slots=True)
class ShownCell:
    text: str
    is_number: bool


@register.filter
def shown_rows(table: Table) -> list[list[ShownCell]]:
    return [
        [_shown(column, cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows[:_MOST_ROWS]
    ]


@register.filter
def left_out(table: Table) -> int:
    return max(0, len(table.rows) - _MOST_ROWS)


def _shown(column: Column, cell: Any) -> ShownCell:
    if cell is None:
        return ShownCell("\N{EN DASH}", column.kind != "text")
    texts = {
        "share": lambda: percent(cell),
        "coefficient": lambda: coefficient(cell),
        "count": lambda: f"{cell:,}",
        "seconds": lambda: f"{cell:.1f} s",
        "elo": lambda: f"{cell:.0f}",
        "number": lambda: f"{cell:.3g}",
    }
    text = texts[column.kind]() if column.kind in texts else str(cell)
    return ShownCell(text, column.kind != "text")


@register.filter
def count(number: int) -> str:
    """546000 -> "546,000"."""
    return f"{number:,}"


@register.filter
def limits(figure: Figure | None, kind: str = "coefficient") -> str:
    """The interval of a figure, or nothing."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    text = percent_fine if kind == "share" else coefficient
    return f"{text(figure.low)} \N{EN DASH} {text(figure.high)}"


@register.filter
def value_or_undefined(figure: Figure) -> str:
    return UNDEFINED if figure.value is None else coefficient(figure.value)
