"""JSON into frozen dataclasses: what is missing or of another type is said, what is new is let be.

So an older client goes on with a newer site, and never with a guess.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from tiebreak_client.errors import BadAnswer

T = TypeVar("T")


def decode(kind: type[T], value: Any, where: str = "the answer") -> T:
    """`value` as the dataclass or plain type; BadAnswer names the entry that is not like it."""
    return cast("T", _decoded(kind, value, where))


def _decoded(kind: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _decoded(_but_none(inner), value, where)
    if is_dataclass(kind):
        return _record(kind, value, where)
    if origin in (list, dict):
        return _many(origin, inner, value, where)
    return _plain(kind, value, where)


def _but_none(inner: tuple[Any, ...]) -> Any:
    (only,) = (each for each in inner if each is not types.NoneType)
    return only


def _many(origin: Any, inner: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, origin):
        raise BadAnswer(f"{where} should be a {origin.__name__}, got {_shown(value)}")
    if origin is dict:
        return {key: _decoded(inner[1], each, f"{where}.{key}") for key, each in value.items()}
    return [_decoded(inner[0], each, f"{where}[{n}]") for n, each in enumerate(value)]


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise BadAnswer(f"{where} should be an object, got {_shown(value)}")
    found: dict[str, Any] = {}
    for each in fields(kind):
        if each.name in value:
            found[each.name] = _decoded(
                _hints(kind)[each.name], value[each.name], f"{where}.{each.name}"
            )
        elif each.default is MISSING and each.default_factory is MISSING:
            raise BadAnswer(
                f"{where} has no {each.name!r}; is this client as old as the site? Update it."
            )
    return kind(**found)


def _plain(kind: Any, value: Any, where: str) -> Any:
    if kind is datetime and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise BadAnswer(f"{where} should be a time, got {_shown(value)}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise BadAnswer(f"{where} should be {kind.__name__}, got {_shown(value)}")


def _shown(value: Any) -> str:
    return repr(value)[:80]
