"""Configs of the steps that run beside Django: frozen, self-checking, read before the queue."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Self

from formats.supervised import BadConfigError


class StepConfigError(BadConfigError, ValueError):
    """A step is asked for something that cannot be; one sentence for a person."""


def require(condition: object, name: str, rule: str, value: object) -> None:
    if not condition:
        raise StepConfigError(f"{name} must be {rule}, got {value!r}")


class StepConfig:
    """Reading and writing of a frozen dataclass that checks itself."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Refuse a key that nobody reads; a near miss is named."""
        known = [each.name for each in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                raise StepConfigError(f"unknown key {key!r}; {hint}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


def number(name: str, value: object, *, low: float) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= low
    require(fits, name, f"a number, {low:g} or more", value)


def whole(name: str, value: object, *, low: int) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
    require(fits, name, f"a whole number, {low} or more", value)


def one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    require(value in words, name, f"one of {', '.join(words)}", value)


def yes_or_no(name: str, value: object) -> None:
    require(isinstance(value, bool), name, "true or false", value)


def check_weights(weights: object) -> None:
    """Weights per dimension: numbers, 0 or more, not all 0; none at all means equal ones."""
    require(isinstance(weights, dict), "weights", "an object from dimension to number", weights)
    assert isinstance(weights, dict)
    for key, weight in weights.items():
        number(f"the weight of {key}", weight, low=0)
    require(not weights or any(weights.values()), "weights", "above 0 somewhere", weights)
