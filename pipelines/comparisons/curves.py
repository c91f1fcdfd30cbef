"""Curves of all members in one chart each: where settings part, and when."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from annotation import charts
from pipelines.models import Metric, Run

DRAWN: Final = {
    "loss": "Loss",
    "implicit_accuracy": "Implicit accuracy",
    "winner_drift": "Winner's error above the reference",
    "loser_drift": "Loser's error above the reference",
}
COLOURS: Final = 6  # that the style sheet has for curves side by side
_PLACES: Final = 24
_WIDE: Final = (-1e9, 1e9)

Means = dict[tuple[int, int], float]  # (run, place) -> mean of the steps there


def curves_of(runs: Sequence[Run]) -> list[charts.Lines]:
    """One chart per curve that any of the first members has logged, over steps."""
    shown = runs[:COLOURS]
    last = max((run.total or run.step for run in shown), default=0)
    if not last:
        return []
    means = _means(shown, last)
    return [_chart(title, shown, means[name], last) for name, title in DRAWN.items() if means[name]]


def _means(runs: Sequence[Run], last: int) -> dict[str, Means]:
    """Each place of the axis has the mean of its steps: a curve of batches is mostly noise."""
    sums: dict[str, dict[tuple[int, int], list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = Metric.objects.filter(run__in=runs, name__in=DRAWN).values_list(
        "run", "name", "step", "value"
    )
    for run, name, step, value in rows.order_by().iterator():
        place = min(_PLACES - 1, (max(step, 1) - 1) * _PLACES // last)
        sums[name][run, place].append(value)
    found: dict[str, Means] = defaultdict(dict)
    for name, by_place in sums.items():
        found[name] = {at: sum(values) / len(values) for at, values in by_place.items()}
    return found


def _chart(title: str, runs: Sequence[Run], means: Means, last: int) -> charts.Lines:
    ends = [round(last * (place + 1) / _PLACES) for place in range(_PLACES)]
    series = [charts.Series(run.name or f"run {run.pk}", _points(run, means)) for run in runs]
    tips = [_tip(runs, means, place, end) for place, end in enumerate(ends)]
    return charts.lines_chart(title, [str(end) for end in ends], series, tips, bounds=_WIDE)


def _points(run: Run, means: Means) -> tuple[tuple[float, None, None] | None, ...]:
    found = (means.get((run.pk, place)) for place in range(_PLACES))
    return tuple(None if value is None else (value, None, None) for value in found)


def _tip(runs: Sequence[Run], means: Means, place: int, end: int) -> str:
    told = [f"{run.name}: {means[run.pk, place]:.4g}" for run in runs if (run.pk, place) in means]
    return f"to step {end}: " + ", ".join(told)
