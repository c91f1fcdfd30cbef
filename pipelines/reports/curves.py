"""Curves of the alignments of a report, drawn from report.json: rows of runs may be gone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from annotation import charts
from pipelines.comparisons.curves import COLOURS, DRAWN

_PLACES: Final = 24
_WIDE: Final = (-1e9, 1e9)


def curves(report: Mapping[str, Any]) -> list[charts.Lines]:
    """One chart per curve, the alignments of the report in it; from the report, not from rows."""
    return [
        chart
        for name, title in DRAWN.items()
        if (chart := _chart(title, name, report["alignments"])) is not None
    ]


def _chart(title: str, name: str, alignments: Sequence[Mapping[str, Any]]) -> charts.Lines | None:
    found = {each["name"]: points for each in alignments if (points := _curve(each, name))}
    last = max((step for points in found.values() for step, _ in points), default=0)
    if not last:
        return None
    means = {each: _means(points, last) for each, points in found.items()}
    ends = [round(last * (place + 1) / _PLACES) for place in range(_PLACES)]
    series = [
        charts.Series(each, tuple(None if y is None else (y, None, None) for y in values))
        for each, values in list(means.items())[:COLOURS]
    ]
    tips = [_tip(means, place, end) for place, end in enumerate(ends)]
    return charts.lines_chart(title, [str(end) for end in ends], series, tips, bounds=_WIDE)


def _curve(each: Mapping[str, Any], name: str) -> list[tuple[int, float]]:
    known = each.get("curves") or {"loss": each["curve"]}  # reports of before have the loss alone
    return [(int(step), float(value)) for step, value in known.get(name, [])]


def _means(points: Iterable[tuple[int, float]], last: int) -> list[float | None]:
    """Each place of the axis has the mean of its steps: a curve of batches is mostly noise."""
    found: list[list[float]] = [[] for _ in range(_PLACES)]
    for step, value in points:
        found[min(_PLACES - 1, (max(step, 1) - 1) * _PLACES // last)].append(value)
    return [sum(each) / len(each) if each else None for each in found]


def _tip(means: Mapping[str, Sequence[float | None]], place: int, end: int) -> str:
    told = [f"{name}: {y:.4g}" for name, row in means.items() if (y := row[place]) is not None]
    return f"to step {end}: " + ", ".join(told)
