"""Reward differences on decided and tied pairs, and whether probabilities mean what they say."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation import charts
from pipelines.rewards.panel import Panel, Part, figures_table, interval_text
from pipelines.rewards.reading import Examined, Figures
from pipelines.run_pages import Table, cell

_CLASSES: Final = ("A", "tie", "B")
_PROBABILITIES: Final = {
    "nll": "negative log likelihood",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "ties_observed": "ties that people gave",
    "ties_predicted": "ties predicted",
    "theta": "theta",
    "theta_best": "theta that fits best",
    "theta_equal_quality": "theta if all pairs were equal",
}


def differences_panel(
    found: Examined, rows: Mapping[str, Figures], other: Examined | None, beside: str
) -> Panel | None:
    shown = {key: row for key, row in rows.items() if row.get("details", {}).get("histogram")}
    if not shown:
        return None
    theirs = other.rows(found.split) if other is not None else {}
    return Panel(
        name="differences",
        question="Do ties have small differences?",
        about="reward differences, decided pairs towards the preferred clip",
        parts=tuple(
            _difference_part(found, key, row, theirs.get(key), beside) for key, row in shown.items()
        ),
        note=(
            "The number is how often a decided pair has a larger difference than a tied one: 0.5 "
            "says that the size of a difference tells nothing about ties. Left of 0 the model is "
            "wrong. A tied pair counts one half on each side. Rewards have their own unit in each "
            "model; the number has none."
        ),
        tables=tuple(_histogram_table(found.title(key), row) for key, row in shown.items()),
    )


def _difference_part(
    found: Examined, key: str, row: Figures, theirs: Figures | None, beside: str
) -> Part:
    drawn = [("This model" if theirs else "", _histogram(found.title(key), row))]
    note = "separation of ties"
    if theirs is not None and theirs.get("details", {}).get("histogram"):
        drawn.append((beside, _histogram(f"{found.title(key)}, {beside}", theirs)))
        note += f"; {beside}: {cell(theirs.get('tie_separation'))}"
    return Part(key, found.title(key), cell(row.get("tie_separation")), note=note,
                charts=tuple(drawn))  # fmt: skip


def _histogram(title: str, row: Figures) -> charts.Lines:
    found = row["details"]["histogram"]
    edges = found["edges"]
    names = [charts.brief(round((low + high) / 2, 2)) for low, high in _bins(edges)]
    kinds = {"decided": found["decided"], "tied": found["tied"]}
    shares = {
        name: [each / (sum(counts) or 1) for each in counts] for name, counts in kinds.items()
    }
    tips = [
        f"{low:.2f} to {high:.2f}: {100 * shares['decided'][n]:.1f} % of the decided pairs, "
        f"{100 * shares['tied'][n]:.1f} % of the tied"
        for n, (low, high) in enumerate(_bins(edges))
    ]
    series = [
        charts.Series(name, tuple((each, 0.0, each) for each in values))
        for name, values in shares.items()
        if sum(kinds[name])
    ]
    return charts.lines_chart(title, names, series, tips, bounds=(0.0, 1.0), text=_percent)


def _histogram_table(title: str, row: Figures) -> Table:
    found = row["details"]["histogram"]
    rows = [
        (f"{low:.3f} to {high:.3f}", [cell(found["decided"][n]), cell(found["tied"][n])])
        for n, (low, high) in enumerate(_bins(found["edges"]))
    ]
    return Table(f"{title}: pairs by difference", ["decided", "tied"], rows)


def _bins(edges: Sequence[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(edges))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def reliability_panel(found: Examined, rows: Mapping[str, Figures]) -> Panel | None:
    shown = {key: row for key, row in rows.items() if row.get("nll") is not None}
    if not shown:
        return None
    return Panel(
        name="reliability",
        question="Do its probabilities mean what they say?",
        about="how often people said it, over how likely the model called it",
        parts=tuple(_reliability_part(found, key, row) for key, row in shown.items()),
        note=(
            "On the line called perfect a probability is a frequency. The number is the mean "
            "distance from it over the three answers. Bands are Wilson intervals of each bin."
        ),
        tables=(
            figures_table("Probabilities and ties", shown, _PROBABILITIES),
            *(_bins_table(found.title(key), row) for key, row in shown.items() if _curves(row)),
        ),
    )


def _reliability_part(found: Examined, key: str, row: Figures) -> Part:
    drawn = _reliability_chart(found.title(key), _curves(row)) if _curves(row) else None
    theta = f"theta {cell(row.get('theta'))}"
    if row.get("theta_best") is not None:
        theta += f", {cell(row['theta_best'])} would fit best"
    return Part(
        key=key,
        title=found.title(key),
        number=cell(row.get("calibration_error")),
        note=(
            f"calibration error; ties: predicted {cell(row.get('ties_predicted'))}, seen "
            f"{cell(row.get('ties_observed'))}; {theta}"
        ),
        charts=(("", drawn),) if drawn is not None else (),
    )


def _curves(row: Figures) -> Mapping[str, Any]:
    found: Mapping[str, Any] = row.get("details", {}).get("reliability", {})
    return found


def _reliability_chart(title: str, curves: Mapping[str, Any]) -> charts.Lines:
    count = 10
    middles = [(n + 0.5) / count for n in range(count)]
    by_bin = {
        name: {round(each["low"] * count): each for each in curves[name]["bins"]}
        for name in _CLASSES
    }
    series = [
        charts.Series(
            name,
            tuple(
                None
                if (each := bins.get(n)) is None
                else (each["observed"], each["observed_low"], each["observed_high"])
                for n in range(count)
            ),
        )
        for name, bins in by_bin.items()
    ]
    series.append(charts.Series("perfect", tuple((at, None, None) for at in middles)))
    tips = [
        f"called {100 * n // count} to {100 * (n + 1) // count} % likely: "
        + ("; ".join(_told_bin(name, by_bin[name][n]) for name in _CLASSES if n in by_bin[name])
           or "nothing")
        for n in range(count)
    ]  # fmt: skip
    names = [_percent(at) for at in middles]
    return charts.lines_chart(title, names, series, tips, bounds=(0.0, 1.0), text=_percent)


def _told_bin(name: str, each: Mapping[str, Any]) -> str:
    return f"{name} {100 * each['observed']:.0f} % of {each['count']}"


def _bins_table(title: str, row: Figures) -> Table:
    rows = [
        (
            f"{name}, {100 * each['low']:.0f} to {100 * each['high']:.0f} %",
            [cell(each["count"]), cell(each["predicted"]), cell(each["observed"]),
             interval_text([each["observed_low"], each["observed_high"]])],
        )
        for name in _CLASSES
        for each in _curves(row)[name]["bins"]
    ]  # fmt: skip
    return Table(f"{title}: reliability", ["pairs", "predicted", "observed", "95 %"], rows)
