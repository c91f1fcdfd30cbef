"""What stands behind a label that comes from another site: who said what there, and how sure it is.

Pure. Who voted there has a pseudonym of that site and stays a stranger: no account of ours is ever
behind it, whatever it is called (`foreign_votes`).
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from formats.errors import FormatError
from formats.labels import CLASSES, Label

_SUM: Final = 1e-3  # what rounding may take from the sum of a posterior
MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Said:
    """What a vote says on one dimension: a label, scores, or both."""

    label: Label | None = None
    reason: str = ""
    score_a: float | None = None
    score_b: float | None = None

    def to_json(self) -> dict[str, Any]:
        label = None if self.label is None else self.label.value
        return {"label": label, "reason": self.reason, "score_a": self.score_a,
                "score_b": self.score_b}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opinion:
    """One vote of somebody there; surplus ones are kept and settle nothing."""

    annotator: str
    said: Mapping[str, Said]
    counted: bool = True
    swap: bool | None = None
    at: str = ""
    active_ms: int | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """All that a row may bring beside its labels. `votes` counts those that nobody can see."""

    posterior: Mapping[str, list[float]] = field(default_factory=dict)
    votes: int = 0
    opinions: tuple[Opinion, ...] = ()

    @property
    def counted(self) -> int:
        return sum(each.counted for each in self.opinions) or self.votes


NOTHING: Final = Behind()


@cache
def said_only(label: Label) -> Said:
    """A label and no more: one object for the many votes that say so."""
    return Said(label)


@cache
def shared(*items: tuple[Any, Any]) -> Mapping[Any, Any]:
    """What many rows say alike is one object; nobody changes it."""
    return MappingProxyType(dict(items))


def read_label(word: Any, what: str) -> Label | None:
    """A label in our words; nothing where people split."""
    if word is None or word == "":
        return None
    if word == "same":  # the word of VideoAlign
        return Label.TIE
    try:
        return Label(word)
    except ValueError:
        known = ", ".join(Label)
        raise FormatError(f"{what} is {str(word)[:40]!r}; expected one of {known}") from None


def read_posterior(value: Any, what: str) -> list[float] | None:
    """[P(A), P(tie), P(B)], as a list or as JSON; None where there is none."""
    if value is None or value == "":
        return None
    try:
        found = [float(each) for each in (json.loads(value) if isinstance(value, str) else value)]
    except (TypeError, ValueError, RecursionError):
        found = []
    good = len(found) == len(CLASSES) and all(math.isfinite(p) and 0 <= p <= 1 for p in found)
    if not good or abs(sum(found) - 1) > _SUM:
        raise FormatError(
            f"{what} is {str(value)[:60]!r}; expected three chances [A, tie, B] that add up to 1"
        )
    return found


def read_count(value: Any, what: str) -> int:
    """A whole number that is not negative; 0 where the cell is empty."""
    if value is None or value == "":
        return 0
    text = str(value).removesuffix(".0")
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise FormatError(f"{what} is {str(value)[:40]!r}; expected a whole number")
    return int(text)


def read_score(value: Any, what: str) -> float | None:
    """A score from 1 to 5 that somebody gave; None where nobody did."""
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 1 <= number <= 5:
        raise FormatError(f"{what} is {str(value)[:40]!r}; expected a number from 1 to 5")
    return number


def read_name(value: Any, what: str) -> str:
    """The pseudonym of an annotator, in one line."""
    text = str(value if isinstance(value, str | int) and not isinstance(value, bool) else "")
    if not text.strip() or len(text) > MAX_NAME or not text.isprintable():
        raise FormatError(
            f"{what} is {str(value)[:40]!r}; expected a name of 1 to {MAX_NAME} letters"
        )
    return sys.intern(text)  # a file has many votes of few people
