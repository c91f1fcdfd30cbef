"""What runs of a comparison must have in common, and in which settings they differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pipelines.errors import PipelineError
from pipelines.models import Run, RunInput
from pipelines.registry import source_of

_SHARED: Final = ("pairs", "generator")
_ABSENT: Final = "–"


class NotComparable(PipelineError):
    """These runs differ in more than their settings; one sentence for a person."""


def refuse_different_inputs(runs: Sequence[Run]) -> None:
    """Runs of other pairs or another generator have no settings to compare; one run neither."""
    if len(runs) < 2:
        raise NotComparable("choose two alignment runs at least")
    rows = RunInput.objects.filter(run__in=runs, role__in=_SHARED).select_related(
        "artifact", "base_model__artifact"
    )
    played: dict[str, dict[str, Run]] = defaultdict(dict)
    for row in rows:
        run = next(each for each in runs if each.pk == row.run_id)
        played[row.role].setdefault(_played_by(row), run)
    for role, by in played.items():
        if len(by) > 1:
            (one, first), (other, second) = list(by.items())[:2]
            raise NotComparable(
                f"{first} has {one} as its {role} and {second} has {other}: what differs between "
                "them is not the settings alone"
            )


def _played_by(row: RunInput) -> str:
    """One name for an artifact, the base model of it, and what the run will leave that makes it."""
    maker = source_of(row)
    return f"the base model {row.base_model}" if maker is None else f"what run {maker} leaves"


def differences(configs: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, str]]:
    """By run, the settings whose values are not the same in all: `settings.beta`, `lr` …"""
    flat = {pk: dict(_flat(config)) for pk, config in configs.items()}
    names = list(dict.fromkeys(name for values in flat.values() for name in values))
    varying = [
        name
        for name in names
        if name != "name" and len({repr(values.get(name)) for values in flat.values()}) > 1
    ]
    return {
        pk: {name: _shown(values[name]) for name in varying if name in values}
        for pk, values in flat.items()
    }


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple | Mapping):
        return ", ".join(map(str, value)) or _ABSENT
    return _ABSENT if value in ("", None) else str(value)
