"""Charts as data: where each mark stands, and what it says when pointed at. Templates draw them.

Places along the width are percent, heights are pixels: so a chart fills any width, and its text
keeps its size on a phone. The policy of the site forbids style attributes, which is why the
arithmetic is done here and not in CSS.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils.functional import Promise

Words = str | Promise

# In percent of the width, so that marks at the ends are not cut.
LEFT: Final = 5.0
RIGHT: Final = 98.0
# In pixels, with room for the texts of the axes.
TOP: Final = 14.0
BOTTOM: Final = 22.0
HEIGHT: Final = 200.0


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """From figures to places between `start` and `end`."""

    low: float
    high: float
    start: float = LEFT
    end: float = RIGHT

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low or 1)
        return round(self.start + share * (self.end - self.start), 2)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from low to high, which are inside."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def brief(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


# Rows: a label, and dots with intervals on an axis that all rows share.


@dataclass(frozen=True, slots=True)
class Span:
    """`word` is the class that colours it. Figures when it is made, places once it is drawn."""

    word: str
    tip: Words
    at: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    label: Words
    spans: tuple[Span, ...]
    before: Words = ""  # a short text left of the label, such as a rank
    after: Words = ""  # right of the chart: the number
    note: Words = ""


@dataclass(frozen=True, slots=True)
class Rows:
    title: Words
    ticks: tuple[Tick, ...]
    rows: tuple[Row, ...]
    line: float | None = None  # where "no effect" is


def rows_chart(
    title: Words,
    scale: Scale,
    rows: Sequence[Row],
    *,
    line: float | None = None,
    text: Any = brief,
) -> Rows:
    ticks = tuple(Tick(scale(each), text(each)) for each in nice_ticks(scale.low, scale.high))
    drawn = tuple(replace(row, spans=tuple(_on(scale, span) for span in row.spans)) for row in rows)
    return Rows(title, ticks, drawn, None if line is None else scale(line))


def _on(scale: Scale, span: Span) -> Span:
    at, low, high = (
        None if value is None else scale(value) for value in (span.at, span.low, span.high)
    )
    return replace(span, at=at, low=low, high=high)


# Lines: curves over a shared x axis, each with its band.


@dataclass(frozen=True, slots=True)
class Series:
    """`points`: (value, low, high) by place on the x axis; None where there is none."""

    name: str
    points: tuple[tuple[float, float | None, float | None] | None, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    number: int  # the class that colours it
    line: str  # SVG path in percent by pixels
    band: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """A strip of the chart that is pointed at as a whole."""

    x: float
    width: float
    middle: float
    tip: Words


@dataclass(frozen=True, slots=True)
class Lines:
    title: Words
    height: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    zones: tuple[Zone, ...]


def lines_chart(
    title: Words,
    names: Sequence[str],
    series: Sequence[Series],
    tips: Sequence[Words],
    *,
    bounds: tuple[float, float],
    text: Any = brief,
) -> Lines:
    """`names` and `tips` by place on the x axis."""
    low, high = _range(series, bounds)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP)
    width = (RIGHT - LEFT) / max(len(names), 1)
    middles = [round(LEFT + width * (place + 0.5), 2) for place in range(len(names))]
    every = max(1, math.ceil(len(names) / 6))
    return Lines(
        title=title,
        height=HEIGHT,
        bottom=HEIGHT - BOTTOM,
        x_ticks=tuple(
            Tick(at, name)
            for place, (at, name) in enumerate(zip(middles, names, strict=True))
            if place % every == 0
        ),
        y_ticks=tuple(Tick(y(each), text(each)) for each in nice_ticks(low, high, 4)),
        curves=tuple(_curve(each, number, middles, y) for number, each in enumerate(series, 1)),
        zones=tuple(
            Zone(round(at - width / 2, 2), round(width, 2), at, tip)
            for at, tip in zip(middles, tips, strict=True)
        ),
    )


def _range(series: Sequence[Series], bounds: tuple[float, float]) -> tuple[float, float]:
    """Of all that is drawn, a little wider, within what is possible."""
    drawn = [
        value
        for each in series
        for point in each.points
        if point is not None
        for value in point
        if value is not None
    ]
    if not drawn:
        return bounds
    margin = (max(drawn) - min(drawn) or abs(max(drawn)) or 1) * 0.08
    return max(bounds[0], min(drawn) - margin), min(bounds[1], max(drawn) + margin)


def _curve(series: Series, number: int, middles: Sequence[float], y: Scale) -> Curve:
    known = [
        (x, point) for x, point in zip(middles, series.points, strict=True) if point is not None
    ]
    ends = [(x, low, high) for x, (_v, low, high) in known if low is not None and high is not None]
    band = [(x, y(high)) for x, _low, high in ends] + [(x, y(low)) for x, low, _h in reversed(ends)]
    dots = [(x, y(value)) for x, (value, _low, _high) in known]
    closed = f"{_path(band)}Z" if band else ""
    return Curve(series.name, number, _path(dots), closed, tuple(dots))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if place else 'M'}{x} {y}" for place, (x, y) in enumerate(points))


# Bars: how many, over an axis.


@dataclass(frozen=True, slots=True)
class Bar:
    """The zone around it is pointed at as a whole, so that small bars are found too."""

    x: float
    width: float
    y: float
    height: float
    tip: Words
    zone_x: float
    zone_width: float


@dataclass(frozen=True, slots=True)
class Bars:
    title: Words
    height: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


def bars_chart(
    title: Words, values: Sequence[float], names: Sequence[str], tips: Sequence[Words]
) -> Bars:
    """`names` stand under the bars where there is room; an empty one is never drawn."""
    high = max(values, default=0) or 1
    y = Scale(0, high * 1.05, HEIGHT - BOTTOM, TOP)
    width = (RIGHT - LEFT) / max(len(values), 1)
    left = [round(LEFT + width * place, 2) for place in range(len(values))]
    every = max(1, math.ceil(len(names) / 8))
    return Bars(
        title=title,
        height=HEIGHT,
        bottom=HEIGHT - BOTTOM,
        x_ticks=tuple(
            Tick(round(x + width / 2, 2), name)
            for place, (x, name) in enumerate(zip(left, names, strict=True))
            if place % every == 0
        ),
        y_ticks=tuple(Tick(y(each), brief(each)) for each in nice_ticks(0, high * 1.05, 3) if each),
        bars=tuple(
            Bar(
                x=round(x + width * 0.08, 2),
                width=round(width * 0.84, 2),
                y=y(value),
                height=round(HEIGHT - BOTTOM - y(value), 2),
                tip=tip,
                zone_x=x,
                zone_width=round(width, 2),
            )
            for x, value, tip in zip(left, values, tips, strict=True)
        ),
    )


# Heat: a table whose cells are coloured in steps.


@dataclass(frozen=True, slots=True)
class HeatCell:
    """`level` from 0 to 10; None is empty."""

    text: str
    level: int | None
    tip: Words


@dataclass(frozen=True, slots=True)
class HeatRow:
    label: Words
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """`look` is `heat` (none to much) or `lean` (one side to the other)."""

    title: Words
    look: str
    columns: tuple[Words, ...]
    rows: tuple[HeatRow, ...]
    small: bool = False  # cells without text, for large tables


def level(value: float | None, low: float, high: float) -> int | None:
    if value is None:
        return None
    return round(10 * (min(max(value, low), high) - low) / (high - low))


# Stacks: parts of one whole.


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stacked bar; places in percent of the width."""

    word: str
    title: Words
    share: float
    tip: Words
    x: float
    width: float
    label: str  # empty where the text would not fit

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 3)


_WORTH_A_LABEL: Final = 8.0  # percent of the width


def stack(parts: Sequence[tuple[str, Words, float, Words]]) -> tuple[Segment, ...]:
    """Parts as (word, title, share, tip), in order; empty ones are left out."""
    segments, x = [], 0.0
    for word, title, share, tip in parts:
        width = round(100 * share, 3)
        if width > 0:
            label = f"{100 * share:.0f}\N{NO-BREAK SPACE}%" if width >= _WORTH_A_LABEL else ""
            segments.append(Segment(word, title, share, tip, round(x, 3), width, label))
        x += width
    return tuple(segments)
