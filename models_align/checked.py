"""Configs that check themselves: frozen dataclasses that are read from JSON. Standard library only.

The web process reads them to refuse a bad config before it is queued, so nothing here may import
torch.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Self


class ConfigError(ValueError):
    """A config has an unknown key or a value that cannot be; one sentence for a person."""


def require(condition: object, name: str, rule: str, value: object) -> None:
    if not condition:
        raise ConfigError(f"{name} must be {rule}, got {value!r}")


class Checked:
    """Reading and writing that all configs share."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Refuse what is not an object, an unknown key, or a value of another type."""
        if not isinstance(values, Mapping):
            raise ConfigError(f"expected an object with settings, got {values!r}")
        types = typing.get_type_hints(cls)
        names = [each.name for each in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in values:
            if key not in names:
                raise ConfigError(_unknown(key, names))
        return cls(**{key: _read(key, types[key], value) for key, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload]


def _unknown(key: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
    return f"unknown key {key!r}; {hint}"


def _read(key: str, wanted: Any, value: Any) -> Any:
    """Turn a JSON value into the type of a field, and refuse what would need guessing."""
    if isinstance(wanted, type) and issubclass(wanted, Checked):
        return wanted.from_json(value)
    if typing.get_origin(wanted) is Literal:
        options = typing.get_args(wanted)
        require(value in options, key, f"one of {', '.join(options)}", value)
        return value
    if wanted == int | None:
        return None if value is None else _read_scalar(key, int, value)
    if isinstance(wanted, types.UnionType) and set(wanted.__args__) == {float, dict[str, float]}:
        wanted = dict[str, float] if isinstance(value, Mapping) else float
    if typing.get_origin(wanted) is tuple:
        return _read_list(key, typing.get_args(wanted)[0], value)
    if typing.get_origin(wanted) is dict:
        return _read_table(key, typing.get_args(wanted)[1], value)
    return _read_scalar(key, wanted, value)


def _read_list(key: str, wanted: type, value: Any) -> tuple[Any, ...]:
    if typing.get_origin(wanted) is dict:
        require(isinstance(value, list | tuple), key, "a list of objects", value)
        kind = typing.get_args(wanted)[1]
        return tuple(_read_table(f"each of {key}", kind, each) for each in value)
    rule = {str: "a list of words", float: "a list of numbers"}[wanted]
    require(isinstance(value, list | tuple), key, rule, value)
    if wanted is str:
        require(all(isinstance(each, str) for each in value), key, rule, value)
        return tuple(value)
    return tuple(_read_scalar(f"each of {key}", wanted, each) for each in value)


def _read_table(key: str, wanted: type, value: Any) -> dict[str, Any]:
    require(isinstance(value, Mapping), key, "an object", value)
    return {
        str(name): _read_scalar(f"{key} of {name}", wanted, each) for name, each in value.items()
    }


def _read_scalar(key: str, wanted: type, value: Any) -> Any:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if wanted not in kinds:
        return value
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    require(fits, key, kinds[wanted], value)
    if wanted is float:
        require(math.isfinite(value), key, "finite", value)
    return value
