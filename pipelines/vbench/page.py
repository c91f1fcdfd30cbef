"""What the page of a VBench result shows: dimensions, group scores, the total or why there is none.

Proxies stand in a panel of their own, under their own names.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from annotation import charts
from formats.vbench import (
    BESIDE,
    FLICKERING,
    IMAGE,
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
from pipelines.models import Artifact
from pipelines.registry import path_of
from pipelines.vbench.beside import Beside

_GROUPS: Final = {QUALITY: "Quality", SEMANTIC: "Semantic", IMAGE: "I2V"}
_SOURCES: Final = {
    IMPORTED: "imported",
    PACKAGE: "official package",
    COMPUTED: "computed by Tiebreak",
}
_NO_VALUE: Final = "–"
_CLIPS: Final = 20


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


def result_of(artifact: Artifact) -> VBenchResult:
    return read_result(path_of(artifact))


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
