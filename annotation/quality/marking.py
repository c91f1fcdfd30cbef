"""How far an answer is from a known one, and when gold says that work has gone wrong. Pure.

The weights are those of ANNOTATION D8: a clear winner taken for the loser is one error, 'same'
against a winner is half of one. 'invalid' against anything else is one. In a campaign of single
clips a score off by one is half an error, and further off is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from formats.labels import Label

WINDOW: Final = 40  # gold answers

Known = str | int  # a canonical label, or the score of a single clip


def error_of(expected: Known, said: Known) -> float:
    """0, 1/2 or 1."""
    if expected == said:
        return 0.0
    if isinstance(expected, int) and isinstance(said, int):
        return 0.5 if abs(expected - said) == 1 else 1.0
    words = {expected, said}
    return 0.5 if Label.TIE in words and words & {Label.A.value, Label.B.value} else 1.0


def errors_of(expected: Mapping[str, Known], said: Mapping[str, Known]) -> dict[str, float]:
    """By dimension; dimensions whose answer is not known are left out."""
    return {key: error_of(right, said[key]) for key, right in expected.items() if key in said}


def share_wrong(by_dimension: Mapping[str, float]) -> float:
    return sum(by_dimension.values()) / len(by_dimension) if by_dimension else 0.0


def right_by_dimension(answers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Weighted share of right answers on each dimension."""
    keys = sorted({key for each in answers for key in each})
    return {
        key: 1 - sum(each[key] for each in answers if key in each) / sum(key in e for e in answers)
        for key in keys
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last gold answers say. `right` is None before the first."""

    answers: int  # in the window
    right: float | None
    failed: bool  # below the limit, whatever the rest of the window would bring


def standing(errors: Sequence[float], keep_share: float) -> Standing:
    """Over the last WINDOW answers, `errors` oldest first.

    The limit is counted in errors of a full window, so that somebody who has used them up before
    the window is full is found then, and nobody is judged on a few answers.
    """
    window = errors[-WINDOW:]
    wrong = sum(window)
    right = 1 - wrong / len(window) if window else None
    # Rounded: 14 errors in 40 are 65 %, also in floating point.
    return Standing(len(window), right, round(wrong - (1 - keep_share) * WINDOW, 9) > 0)


def last_good(errors: Sequence[float], keep_share: float) -> int:
    """How many answers, from the first, belong to the good time.

    The lowest point of the sum of (error - allowed error) (Page 1954): every stretch that ends
    there is at or above `keep_share`, every stretch that begins there is below it.
    """
    allowed = 1 - keep_share
    lowest, where, level = 0.0, 0, 0.0
    for count, error in enumerate(errors, start=1):
        level += error - allowed
        if level <= lowest:
            lowest, where = level, count
    return where
