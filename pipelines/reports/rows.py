"""A row of a table of win rates as text and places, whoever judged."""

from dataclasses import dataclass
from typing import Final

NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Bar:
    """A win rate on a line from 0 to 100."""

    point: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WinRow:
    """One dimension by one judge, or by people."""

    dimension: str
    rate: str
    interval: str
    counts: str
    change: str  # of the score itself
    p_value: str
    bar: Bar | None
    decided: bool  # the interval leaves one half out


def bar_of(rate: float, low: float, high: float) -> Bar:
    return Bar(*(round(100 * each, 2) for each in (rate, low, high)))


def p_words(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
