"""Win rates as bars with their intervals: from one half to the rate, a whisker over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.reports.contenders import Contender, Field

WIDTH: Final = 440
_LEFT, _RIGHT, _ROW, _TOP = 132, 48, 22, 22
_SCALE: Final = WIDTH - _LEFT - _RIGHT
_LETTERS: Final = 18  # of a name that fit left of its bar


@dataclass(frozen=True, slots=True)
class Bar:
    """One contender on one dimension; places in pixels of the picture."""

    label: str
    title: str
    y: int
    middle: int
    x: float
    width: float
    low: float
    high: float
    text: str
    word: str  # up, down or open: which side of one half the interval lies on


@dataclass(frozen=True, slots=True)
class Bars:
    """All contenders on one dimension by one judge."""

    title: str
    bars: list[Bar]
    ticks: list[tuple[float, str]]
    half: float
    width: int
    height: int


def bars_of(field: Field) -> list[tuple[str, list[Bars]]]:
    """By judge, one picture per dimension."""
    return [
        (judge, [_bars(key, judge, field.contenders) for key in keys])
        for judge, keys in field.judges.items()
    ]


def _bars(key: str, judge: str, contenders: Sequence[Contender]) -> Bars:
    shown = [each for each in contenders if key in each.rates.get(judge, {})]
    return Bars(
        title=key,
        bars=[_bar(each, judge, key, place) for place, each in enumerate(shown)],
        ticks=[(_x(value), f"{value:g}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)],
        half=_x(0.5),
        width=WIDTH,
        height=_TOP + _ROW * len(shown) + 4,
    )


def _bar(contender: Contender, judge: str, key: str, place: int) -> Bar:
    rate = contender.rates[judge][key]
    name = contender.name
    ends = sorted((_x(0.5), _x(rate.rate)))
    return Bar(
        label=name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…",
        title=f"{name}: {rate.rate:.3f}, 95 % interval {rate.low:.3f} to {rate.high:.3f}",
        y=_TOP + _ROW * place + 4,
        middle=_TOP + _ROW * place + 11,
        x=ends[0],
        width=round(ends[1] - ends[0], 2),
        low=_x(rate.low),
        high=_x(rate.high),
        text=f"{rate.rate:.3f}",
        word="up" if rate.low > 0.5 else "down" if rate.high < 0.5 else "open",
    )


def _x(value: float) -> float:
    return round(_LEFT + _SCALE * value, 2)
