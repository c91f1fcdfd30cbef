"""What the page of one run shows, read and prepared: templates only place it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.models import User
from django.urls import reverse

from annotation.media.keeping import signed_url
from annotation.models import Video
from formats.errors import FormatError
from formats.outcome import OutputKind
from pipelines import kinds
from pipelines.generations import shown_clips
from pipelines.models import Artifact, Metric, Run, RunInput
from pipelines.registry import source_of

POINTS: Final = 1000  # per curve: more than a screen has columns
CLIPS: Final = 8
_WIDEST: Final = 8  # columns that a page has room for


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input: what it is, where it comes from, its address."""

    role: str
    text: str
    url: str
    run_url: str
    run_text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that plays on a page."""

    url: str
    caption: str
    seed: int | None


def inputs_of(run: Run) -> list[InputRow]:
    rows = run.inputs.select_related("artifact__run", "base_model__artifact__run", "producer")
    return [_input_row(row) for row in rows]


def _input_row(row: RunInput) -> InputRow:
    source = source_of(row)
    made_by = _maker(row)
    return InputRow(
        role=row.role,
        text=_what(row),
        url=reverse("pipelines:artifact", args=[row.artifact_id]) if row.artifact_id else "",
        run_url=reverse("pipelines:run", args=[source]) if source else "",
        run_text=str(made_by) if made_by else "",
        sha256=_address(row),
    )


def _maker(row: RunInput) -> Run | None:
    if row.artifact is not None:
        return row.artifact.run
    if row.base_model is not None and row.base_model.artifact is not None:
        return row.base_model.artifact.run
    return row.producer


def _what(row: RunInput) -> str:
    if row.artifact is not None:
        return f"{row.artifact.kind.replace('_', ' ')} {row.artifact_id}"
    if row.base_model is not None:
        return f"base model {row.base_model.name}"
    if row.file:
        return Path(row.file).name
    return f"{row.producer_kind.replace('_', ' ')}, not there yet"


def _address(row: RunInput) -> str:
    if row.artifact is not None:
        return row.artifact.sha256
    return row.base_model.sha256 if row.base_model is not None else row.sha256


def processes_of(run: Run) -> int:
    """How many processes share the work of this run, as its config says."""
    if run.kind not in kinds.names():
        return 1
    asked = kinds.get(run.kind).processes(run.config)
    return asked if isinstance(asked, int) else 1


# Curves.


def metrics_since(run: Run, cursor: int) -> tuple[list[tuple[str, int, float]], int]:
    """(name, step, value) of the rows behind a cursor, thinned to what a screen can show."""
    rows = list(
        Metric.objects.filter(run=run, pk__gt=cursor)
        .order_by("step", "pk")
        .values_list("pk", "name", "step", "value")
    )
    newest = max((row[0] for row in rows), default=cursor)
    by_name: dict[str, list[tuple[str, int, float]]] = {}
    for _, name, step, value in rows:
        by_name.setdefault(name, []).append((name, step, value))
    return [point for curve in by_name.values() for point in thinned(curve)], newest


def thinned(
    curve: list[tuple[str, int, float]], points: int = POINTS
) -> list[tuple[str, int, float]]:
    """At most about `points` of a curve, evenly, and always its last one."""
    stride = max(1, -(-len(curve) // points))
    kept = curve[::stride]
    return kept if not curve or kept[-1] == curve[-1] else [*kept, curve[-1]]


# Clips and figures.


def clips_of(artifact: Artifact, user: User, *, limit: int = CLIPS) -> list[Clip]:
    """The first clips of a generation set; none where its file is damaged or gone."""
    try:
        shown = shown_clips(artifact, limit=limit)
    except FormatError:
        return []
    return [playable(each.video, user, each.record.prompt) for each in shown]


def playable(video: Video, user: User, caption: str) -> Clip:
    return Clip(url=signed_url(video.pk, user), caption=caption, seed=video.seed)


def sample_clips(run: Run, user: User) -> list[Clip]:
    """Clips of what this run made, or of what it scored or paired."""
    made = run.artifacts.filter(kind=OutputKind.GENERATIONS).first()
    return clips_of(made, user) if made is not None else []


@dataclass(frozen=True, slots=True)
class Table:
    """Figures with a name for each row and column; cells are ready to be shown."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def figures(summary: dict[str, Any], title: str = "Figures") -> list[Table]:
    """Any summary as tables: plain values first, then each object of objects with its columns.

    The trainers decide what they report; this page needs no release to show a new figure.
    """
    plain = {key: value for key, value in summary.items() if _is_plain(value)}
    tables = [_column(title, plain)] if plain else []
    for key, value in summary.items():
        if isinstance(value, dict) and value:
            tables += _tables_of(_label(key), value)
    return tables


def most_telling(tables: list[Table]) -> list[Table]:
    """What was found on held-out prompts stands first, whatever else was measured."""
    return sorted(tables, key=lambda table: "test" not in table.title.split())


def _tables_of(title: str, value: dict[str, Any]) -> list[Table]:
    """Flat values as a column; objects of flat values as a matrix; what is deeper, one by one."""
    flat = {key: each for key, each in value.items() if _is_plain(each)}
    deep = {key: each for key, each in value.items() if isinstance(each, dict) and each}
    tables = [_column(title, flat)] if flat else []
    if deep and not any(isinstance(each, dict) for row in deep.values() for each in row.values()):
        return [*tables, _matrix(title, deep)]
    for key, each in deep.items():
        tables += _tables_of(f"{title}: {_label(key)}", each)
    return tables


def _column(title: str, values: dict[str, Any]) -> Table:
    return Table(title, ["value"], [(_label(key), [cell(each)]) for key, each in values.items()])


def _matrix(title: str, value: dict[str, dict[str, Any]]) -> Table:
    """One row per object; turned round where that would be wider than a page."""
    names = list(dict.fromkeys(name for row in value.values() for name in row))
    if len(names) > _WIDEST:
        rows = [(_label(name), [cell(row.get(name)) for row in value.values()]) for name in names]
        return Table(title, list(value), rows)
    rows = [(key, [cell(row.get(name)) for name in names]) for key, row in value.items()]
    return Table(title, [_label(name) for name in names], rows)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool) or _is_short_list(value)


def _is_short_list(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _WIDEST
        and all(isinstance(each, int | float | str) for each in value)
    )


def _label(key: str) -> str:
    return key.replace("_", " ")


def cell(value: object) -> str:
    """A value as people read it: yes, 1,234, 0.812, [0.55, 0.81], –."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if value and abs(value) < 0.001 else f"{value:,.3f}"
    if isinstance(value, list):
        return "[" + ", ".join(cell(each) for each in value) + "]"
    return str(value)


def pretty(config: object) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)
