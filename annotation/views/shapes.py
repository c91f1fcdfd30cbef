"""Shapes of JSON for the schema of the API, where a door writes its answer itself."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from django.db.models import TextChoices

Shape = dict[str, Any]

TEXT: Final[Shape] = {"type": "string"}
WHOLE: Final[Shape] = {"type": "integer"}
NUMBER: Final[Shape] = {"type": "number"}
TRUTH: Final[Shape] = {"type": "boolean"}
ID: Final[Shape] = {"type": "string", "format": "uuid"}
DAY: Final[Shape] = {"type": "string", "format": "date"}
MOMENT: Final[Shape] = {"type": "string", "format": "date-time"}
_PLAIN: Final[Mapping[Any, Shape]] = {
    str: TEXT, int: WHOLE, float: NUMBER, bool: TRUTH, datetime: MOMENT, date: DAY,
}  # fmt: skip


def record(optional: Sequence[str] = (), /, **fields: Shape) -> Shape:
    """An object with these entries and no others; all but the optional ones are there."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        "additionalProperties": False,
    }


def sent(**fields: Shape) -> Shape:
    """An object that is sent: the door itself says which entries it misses."""
    return {"type": "object", "properties": fields}


def body(**fields: Shape) -> Shape:
    """A whole body, as the schema generator wants it: by its media type."""
    return {"application/json": sent(**fields)}


def rows(of: Shape) -> Shape:
    return {"type": "array", "items": of}


def by_key(of: Shape) -> Shape:
    """An object from keys, such as those of dimensions, to values of one shape."""
    return {"type": "object", "additionalProperties": of}


def maybe(of: Shape) -> Shape:
    return {"oneOf": [of, {"type": "null"}]}


def either(*shapes: Shape) -> Shape:
    return {"oneOf": list(shapes)}


def one_of(words: type[TextChoices] | Sequence[str]) -> Shape:
    values = words.values if isinstance(words, type) else list(words)
    return {"type": "string", "enum": list(values)}


def shape_of(kind: Any) -> Shape:
    """Of a type hint, as `dataclasses.asdict` and JSON leave its values."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return record(
            **{each.name: shape_of(hints[each.name]) for each in dataclasses.fields(kind)}
        )
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [shape_of(each) for each in inner]}
    if kind is types.NoneType:
        return {"type": "null"}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return by_key(shape_of(inner[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return rows(_item(inner))
    if isinstance(kind, type) and issubclass(kind, str):
        return dict(TEXT)
    return {}


def _item(inner: tuple[Any, ...]) -> Shape:
    kinds = [each for each in inner if each is not Ellipsis]
    return shape_of(kinds[0]) if len(set(kinds)) == 1 else either(*map(shape_of, set(kinds)))
