"""A learning curve: accuracy over the amount of votes, and what more of them would bring."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation import charts
from pipelines.rewards.panel import Panel, Part, interval_text
from pipelines.run_pages import Table, cell

_MEAN: Final = "mean"

Points = Sequence[Mapping[str, Any]]


def learning_panel(content: Mapping[str, Any], words: Mapping[str, str]) -> Panel:
    """`words`: the forecast of each dimension as a sentence, from the artifact."""
    points, unit = content["points"], content["unit"]
    keys = list(content["dimensions"])
    keys = [_MEAN, *keys] if len(keys) > 1 else keys
    return Panel(
        name="learning",
        question="How many more votes does it need?",
        about=(
            f"{len(content['seeds'])} trainings per amount, {cell(content['test']['pairs'])} test "
            f"pairs of {cell(content['test']['prompts'])} prompts"
        ),
        parts=tuple(_part(content, key, points, words.get(key, "")) for key in keys),
        note=(
            f"Accuracy without ties over the number of {unit}, each step as many times more. The "
            "law is a power law through the measured points; bands are 95 % intervals over test "
            "prompts and seeds. It is drawn to twice the votes that there are."
        ),
        tables=(
            _table("Accuracy without ties", keys, points, "accuracy_without_ties", unit),
            _table("Accuracy with ties", keys, points, "accuracy_with_ties", unit),
        ),
    )


def _part(content: Mapping[str, Any], key: str, points: Points, words: str) -> Part:
    last = points[-1]["accuracy_without_ties"][key]
    law = content["laws"].get(key)
    drawn = _with_law(points, key, law, content["unit"]) if law else _measured(points, key)
    return Part(
        key=key,
        title="Mean of the dimensions" if key == _MEAN else key,
        number=cell(None if last is None else last["value"]),
        interval=interval_text(None if last is None else last["interval"]),
        note=words,
        charts=(("", drawn),),
    )


def _with_law(points: Points, key: str, law: Mapping[str, Any], unit: str) -> charts.Lines:
    """Places are those of the law, evenly apart in the logarithm; each point stands at its next."""
    curve = law["curve"]
    sizes = [each[0] for each in curve]
    measured: list[tuple[float, float | None, float | None] | None] = [None] * len(sizes)
    for point in points:
        row = point["accuracy_without_ties"][key]
        if row is not None:
            place = _nearest(sizes, point["size"])
            measured[place] = (row["value"], *row["interval"])
    series = [
        charts.Series("law", tuple((value, low, high) for _, value, low, high in curve)),
        charts.Series("measured", tuple(measured)),
    ]
    tips = [
        f"{size:,.0f} {unit}: {cell(value)} by the law"
        + ("" if measured[n] is None else f", {cell(measured[n][0])} measured")  # type: ignore[index]
        for n, (size, value, _, _) in enumerate(curve)
    ]
    names = [charts.brief(float(f"{size:.2g}")) for size in sizes]
    return charts.lines_chart(key, names, series, tips, bounds=(0.0, 1.0))


def _measured(points: Points, key: str) -> charts.Lines:
    rows = [point["accuracy_without_ties"][key] for point in points]
    series = [
        charts.Series(
            "measured",
            tuple(None if row is None else (row["value"], *row["interval"]) for row in rows),
        )
    ]
    names = [charts.brief(point["size"]) for point in points]
    tips = [
        f"{name}: {cell(None if row is None else row['value'])}"
        for name, row in zip(names, rows, strict=True)
    ]
    return charts.lines_chart(key, names, series, tips, bounds=(0.0, 1.0))


def _nearest(sizes: Sequence[float], size: float) -> int:
    return min(range(len(sizes)), key=lambda n: abs(math.log(sizes[n] / size)))


def _table(title: str, keys: Sequence[str], points: Points, name: str, unit: str) -> Table:
    rows = []
    for point in points:
        found = [point[name][key] for key in keys]
        cells = [
            cell(None)
            if row is None
            else f"{cell(row['value'])} ({interval_text(row['interval'])})"
            for row in found
        ]
        rows.append((f"{point['size']:,.0f} {unit}", cells))
    return Table(title, list(keys), rows)
