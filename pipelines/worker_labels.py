"""What a worker has, and what a run needs of it: `gpu_memory=80`, `zone=a`.

A label is a name with a number or a word. A need that is a number is met by a label that is at
least as large, a need that is a word by the same word. A label that is not there meets no need.
"""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from django.conf import settings

from pipelines import detecting
from pipelines.errors import InvalidRunConfig

Value = float | int | str
Labels = Mapping[str, Value]
# How many processes of one run a worker can start; set by itself, or by its launcher.
PROCESSES: Final = "processes"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST: Final = 100
_MANY: Final = 10


def fits(needs: Labels, labels: Labels) -> bool:
    return all(_meets(labels.get(name), need) for name, need in needs.items())


def _meets(label: Value | None, need: Value) -> bool:
    if isinstance(label, str) or isinstance(need, str):
        return label == need
    return label is not None and label >= need


def parsed(words: Iterable[str]) -> dict[str, Value]:
    """Of `name=value` each. InvalidRunConfig for what is none."""
    found: dict[str, Value] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidRunConfig(f"a label is written name=value, got {word!r}")
        found[name.strip()] = _number(value.strip())
    return checked(found)


def _number(text: str) -> Value:
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def checked(values: object) -> dict[str, Value]:
    """Labels or needs from outside, by name. InvalidRunConfig says the fault."""
    if not isinstance(values, Mapping) or len(values) > _MANY:
        raise InvalidRunConfig(
            f'needs are an object of at most {_MANY} entries, as {{"gpu_memory": 40}}'
        )
    for name, value in values.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRunConfig(
                f"the name of a label is small letters, digits and _, at most 40; got {name!r}"
            )
        if fault := _fault(value):
            raise InvalidRunConfig(f"the label {name} {fault}")
    return {name: values[name] for name in sorted(values)}


def _fault(value: Any) -> str:
    if isinstance(value, str):
        good = 0 < len(value) <= _LONGEST and value.isprintable()
        return "" if good else f"is a word of 1 to {_LONGEST} characters"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is a number or a word, got {type(value).__name__}"
    return "" if math.isfinite(value) and value >= 0 else "is a number from 0 up"


def in_words(needs: Labels) -> str:
    """For people: `gpu_memory 40 or more, zone a`."""
    return ", ".join(
        f"{name} {need}" if isinstance(need, str) else f"{name} {need:g} or more"
        for name, need in sorted(needs.items())
    )


def as_given(labels: Labels) -> str:
    """As an operator writes them: `cores=4,zone=a`. By name, for PostgreSQL has its own order."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def of_this_worker(more: Labels | None = None) -> dict[str, Value]:
    """What was found on this host, then what the settings say, then what the command line says."""
    found = {**_detected(), **parsed(settings.TIEBREAK_WORKER_LABELS), **(more or {})}
    return {name: found[name] for name in sorted(found)}


@cache
def _detected() -> dict[str, Value]:
    return checked(detecting.detected())
