"""What a lead may set on a campaign, and what is allowed. Pure."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from annotation.errors import CampaignError
from annotation.models import CampaignKind, Showing

Check = Callable[[Any], Any]  # gives the value as it is stored, or raises ValueError


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        if not known or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def _money(value: Any) -> Decimal:
    expected = "an amount from 0 to 100000 with at most two decimals"
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(expected) from None
    if not amount.is_finite() or not 0 <= amount <= 100_000 or round(amount, 2) != amount:
        raise ValueError(expected)
    return amount


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  one sentence
    return value


def _text(longest: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest or "\0" in value:
            raise ValueError(f"a text of at most {longest} characters")
        return value

    return check


def _word(*words: str) -> Check:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return check


def _currency(value: Any) -> str:
    known = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper()
    if not known:
        raise ValueError("a code of three capital letters, such as EUR")
    return str(value)


OPTIONS: Final[Mapping[str, Check]] = {
    "kind": _word(*CampaignKind.values),
    "votes_wanted": _whole(1, 100),
    "extra_votes": _whole(0, 100),
    "instructions": _text(20_000),
    "watch_gate": _truth,
    "per_video_scores": _truth,
    "showing": _word(*Showing.values),
    "qualify": _truth,
    "gold_share": _number(0, 0.5),
    "repeat_share": _number(0, 0.5),
    "pass_share": _number(0, 1),
    "keep_share": _number(0, 1),
    "break_after_minutes": _whole(0, 24 * 60),
    "rest_after_minutes": _whole(1, 24 * 60),
    "daily_hours": _number(0.1, 24),
    "hourly_rate": _money,
    "currency": _currency,
    "consent": _text(100_000),
    "open_to_all": _truth,
}


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are stored; CampaignError says in a sentence what is not allowed."""
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise CampaignError(
            f"a campaign has no option {unknown[0]!r}; there are {', '.join(OPTIONS)}"
        )
    wanted = {name: _checked(name, value) for name, value in options.items()}
    _check_together(wanted)
    return wanted


def _checked(name: str, value: Any) -> Any:
    try:
        return OPTIONS[name](value)
    except ValueError as error:
        raise CampaignError(f"{name} is {str(value)[:80]!r}; expected {error}") from None


def _check_together(wanted: Mapping[str, Any]) -> None:
    if wanted.get("gold_share", 0) + wanted.get("repeat_share", 0) > 0.5:
        raise CampaignError("gold_share and repeat_share together take more than half of the work")
    if wanted.get("kind") == CampaignKind.SINGLE:
        _check_single(wanted)


def _check_single(wanted: Mapping[str, Any]) -> None:
    if wanted.get("per_video_scores"):
        raise CampaignError(
            "in a campaign of single clips the score is the judgement; per_video_scores is for"
            " pairs"
        )
    if wanted.get("showing", Showing.TOGETHER) != Showing.TOGETHER:
        raise CampaignError("showing is for pairs; a campaign of single clips shows one clip")
