"""What the page of a VBench result shows: dimensions, group scores, the total or why there is none.

Proxies stand in a panel of their own, under their own names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from annotation import charts
from formats.outcome import OutputKind
from formats.vbench import (
    BESIDE,
    FLICKERING,
    IMAGE,
    PROTOCOLS,
    QUALITY,
    SEMANTIC,
    Dimension,
    Protocol,
)
from formats.vbench_proxies import MEANINGS
from formats.vbench_results import (
    BY_VIDEO,
    COMPUTED,
    IMPORTED,
    PACKAGE,
    PROXY,
    ClipValues,
    Value,
    VBenchResult,
    read_result,
)
from pipelines.changes import Change, change_of
from pipelines.models import Artifact, RunInput
from pipelines.registry import path_of

_GROUPS: Final = {QUALITY: "Quality", SEMANTIC: "Semantic", IMAGE: "I2V"}
_SOURCES: Final = {
    IMPORTED: "imported",
    PACKAGE: "official package",
    COMPUTED: "computed by Tiebreak",
}
_NO_VALUE: Final = "–"
_CLIPS: Final = 20
_OTHERS: Final = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One dimension or proxy. `change`: this one minus the one beside, in words."""

    name: str
    key: str
    raw: str
    normalised: str = ""
    weight: str = ""
    source: str = ""
    videos: int = 0
    needs: str = ""
    meaning: str = ""
    other: str = ""
    change: str = ""
    is_missing: bool = False
    beyond: bool = False  # normalised above 1 or below 0: shown, not clipped


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    score: str
    other: str
    share: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured, as far as it is here."""

    words: str
    sources: tuple[RunInput, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Another result of the same benchmark, and the clips that both have."""

    result: VBenchResult
    changes: Mapping[str, Change]


def subject_of(artifact: Artifact, result: VBenchResult) -> Subject:
    """Clips, adapter and generator among the inputs, or those that made the clips."""
    rows = list(_inputs(artifact.run_id))
    made = [row.artifact.run_id for row in rows if row.role == "generations" and row.artifact]
    if made:
        rows += [row for row in _inputs(made[0]) if row.role in ("adapter", "generator")]
    words = result.measured.get("generator", "")
    return Subject(words or "a generator that nobody named", tuple(rows))


def _inputs(run_id: int) -> Sequence[RunInput]:
    found = RunInput.objects.filter(run=run_id).select_related("artifact__run", "base_model")
    wanted = ("generations", "adapter", "generator", "result")
    return [row for row in found if row.role.partition(":")[0] in wanted]


def result_of(artifact: Artifact) -> VBenchResult:
    return read_result(path_of(artifact))


def beside(base: VBenchResult, candidate: VBenchResult) -> Beside:
    """`base` beside `candidate`: values whose clips both have get a paired interval."""
    percent = {each.key for each in candidate.benchmark.dimensions if each.percent}
    return Beside(base, _changes(base.clips, candidate.clips, percent))


def _changes(
    base: Sequence[ClipValues], candidate: Sequence[ClipValues], percent: set[str]
) -> dict[str, Change]:
    sides = [{(c.prompt, c.seed): c for c in clips if not c.error} for clips in (base, candidate)]
    shared = sorted(
        set(sides[0]) & set(sides[1]), key=lambda key: (key[0], -1 if key[1] is None else key[1])
    )
    found = {}
    for key in sorted({key for side in sides for clip in side.values() for key in clip.values}):
        both = [at for at in shared if all(key in side[at].values for side in sides)]
        if both:
            unit = 100 if key in percent else 1  # of videos; aggregates are 0 to 1
            columns = ([side[at].values[key] / unit for at in both] for side in sides)
            found[key] = change_of([prompt for prompt, _ in both], *columns)
    return found


def groups_of(result: VBenchResult, other: Beside | None = None) -> list[Group]:
    totals = result.totals()
    others = other.result.totals().groups if other else {}
    whole = sum(result.benchmark.shares.values())
    return [
        Group(
            _GROUPS[key],
            _figure(totals.groups.get(key)),
            _figure(others.get(key)) if other else "",
            f"{100 * share / whole:.0f} % of the total",
            [_row(each, result, other) for each in result.benchmark.of_group(key)],
        )
        for key, share in result.benchmark.shares.items()
    ]


def _row(dimension: Dimension, result: VBenchResult, other: Beside | None) -> Row:
    value = result.values.get(dimension.key)
    normalised = None if value is None else dimension.normalised(value.raw)
    return Row(
        dimension.title,
        dimension.key,
        _figure(None if value is None else value.raw),
        _figure(normalised),
        f"{dimension.weight:g}",
        _source(value),
        0 if value is None else value.videos,
        dimension.needs or "no weights",
        is_missing=value is None,
        beyond=normalised is not None and not 0 <= normalised <= 1,
        other=_theirs(dimension.key, other),
        change=_change(dimension.key, value, other),
    )


def beside_rows(result: VBenchResult, other: Beside | None = None) -> list[Row]:
    """What the tools of the benchmark measure and its total leaves out."""
    rows = []
    for key in BESIDE.get(result.protocol, ()):
        value = result.values.get(key)
        if value is not None:
            rows.append(
                Row(
                    key.replace("_", " "),
                    key,
                    _figure(value.raw),
                    source=_source(value),
                    videos=value.videos,
                    other=_theirs(key, other),
                    change=_change(key, value, other),
                )
            )
    return rows


def proxy_rows(result: VBenchResult, other: Beside | None = None) -> list[Row]:
    return [
        Row(
            key.removeprefix(PROXY).replace("_", " "),
            key,
            _measure(value),
            meaning=MEANINGS.get(key, ""),
            other=_measure(other.result.proxies.get(key)) if other else "",
            change=_paired(key, other),
        )
        for key, value in result.proxies.items()
    ]


def _theirs(key: str, other: Beside | None) -> str:
    if other is None:
        return ""
    value = other.result.values.get(key)
    return _figure(None if value is None else value.raw)


def _change(key: str, value: Value | None, other: Beside | None) -> str:
    """By the clips that both have; else the plain difference of what both say."""
    paired = _paired(key, other)
    theirs = None if other is None else other.result.values.get(key)
    if paired or value is None or theirs is None:
        return paired
    return f"{value.raw - theirs.raw:+.4f}"


def _paired(key: str, other: Beside | None) -> str:
    found = None if other is None else other.changes.get(key)
    if found is None:
        return ""
    interval = "" if found.low is None else f" ({found.low:+.4g} to {found.high:+.4g})"
    return f"{found.change:+.4g}{interval}"


def _figure(value: float | None) -> str:
    return _NO_VALUE if value is None else f"{value:.4f}"


def _measure(value: float | None) -> str:
    return _NO_VALUE if value is None else f"{value:.4g}"


def _source(value: Value | None) -> str:
    if value is None:
        return ""
    words = _SOURCES.get(value.source, value.source)
    if value.file:
        words = f"{words}: {value.file}"
    return f"{words}, mean over videos" if value.average == BY_VIDEO else words


def total_words(result: VBenchResult) -> str:
    return _figure(result.totals().total)


def chart_of(result: VBenchResult, protocol: Protocol, other: Beside | None) -> charts.Rows | None:
    """Normalised values side by side, on an axis that shows what lies beyond 0 and 1."""
    mine = result.totals().normalised
    theirs = other.result.totals().normalised if other else {}
    if not mine and not theirs:
        return None
    ends = [0.0, 1.0, *mine.values(), *theirs.values()]
    rows = [
        charts.Row(each.title, _spans(each, mine, theirs), after=_figure(mine.get(each.key)))
        for each in protocol.dimensions
        if each.key in mine or each.key in theirs
    ]
    return charts.rows_chart(
        "Normalised values", charts.Scale(min(ends), max(ends)), rows, line=1.0
    )


def _spans(
    each: Dimension, mine: Mapping[str, float], theirs: Mapping[str, float]
) -> tuple[charts.Span, ...]:
    sides = (("muted", "beside", theirs), ("value", "this result", mine))
    return tuple(
        charts.Span(word, f"{each.title}, {whose}: {values[each.key]:.4f}", values[each.key])
        for word, whose, values in sides
        if each.key in values
    )


def clips_shown(result: VBenchResult) -> tuple[list[tuple[ClipValues, list[str]]], list[str]]:
    """A few clips by the hash of their id, so that nobody chose them; unreadable ones first."""
    columns = sorted({key for clip in result.clips for key in clip.values})
    columns.sort(key=lambda key: (key.startswith(PROXY), key != FLICKERING, key))
    picked = sorted(
        result.clips,
        key=lambda clip: (not clip.error, hashlib.sha256(clip.video_id.encode()).digest()),
    )[:_CLIPS]
    return [(clip, [_measure(clip.values.get(key)) for key in columns]) for clip in picked], columns


def line_of(artifact: Artifact) -> str:
    """One line of the list, from what the run said of itself."""
    meta = artifact.meta
    title = PROTOCOLS[meta["protocol"]].title if meta.get("protocol") in PROTOCOLS else "VBench"
    if "total" in meta:
        return f"{title}: total {meta['total']:.4f}"
    if meta.get("missing"):
        return f"{title}: no total, {meta['missing']} dimensions missing"
    return title


def others_of(artifact: Artifact, result: VBenchResult) -> list[Artifact]:
    """The latest other results of this benchmark, to be put beside it."""
    rows = Artifact.objects.filter(kind=OutputKind.VBENCH, meta__protocol=result.protocol)
    return list(rows.exclude(pk=artifact.pk).select_related("run").order_by("-pk")[:_OTHERS])
