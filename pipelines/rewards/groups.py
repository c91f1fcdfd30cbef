"""A reward model by pairs of generators, and against the scores that people gave."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation import charts
from pipelines.rewards.panel import Panel, Part, figures_table, interval_text
from pipelines.rewards.reading import Examined, Figures
from pipelines.run_pages import Table, cell

_DASH: Final = "–"
_CORRELATIONS: Final = {
    "spearman": "Spearman",
    "kendall_tau_b": "Kendall tau-b",
    "pearson": "Pearson",
}


def generators_panel(found: Examined, rows: Mapping[str, Figures]) -> Panel | None:
    pairs = {key: row.get("details", {}).get("generators") or [] for key, row in rows.items()}
    names = sorted({each[side] for found in pairs.values() for each in found
                    for side in ("first", "second") if each[side]})  # fmt: skip
    if len(names) < 2:
        return None
    return Panel(
        name="generators",
        question="Is it as good on every pair of generators?",
        about=f"{len(names)} generators",
        parts=tuple(_generator_part(found, key, pairs[key], names) for key in rows),
        note="Accuracy without ties in percent; empty where people decided no pair.",
        tables=tuple(_generator_table(found.title(key), pairs[key]) for key in rows),
    )


def _generator_part(
    found: Examined, key: str, pairs: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Part:
    known = [each for each in pairs if each["accuracy"] is not None]
    # The one that is bad beyond chance, not the one with the fewest pairs.
    worst = min(known, key=lambda each: each["high"], default=None)
    by_names = {frozenset((each["first"], each["second"])): each for each in known}
    rows = tuple(
        charts.HeatRow(one, tuple(_heat_cell(one, two, by_names) for two in names)) for one in names
    )
    heat = charts.Heat(f"{found.title(key)}: accuracy", "heat", tuple(names), rows)
    note = "" if worst is None else f"lowest: {worst['first']} and {worst['second']}"
    number = cell(worst["accuracy"]) if worst else _DASH
    interval = "" if worst is None else interval_text([worst["low"], worst["high"]])
    return Part(key, found.title(key), number, interval, note, (("", heat),))


def _heat_cell(
    one: str, two: str, by_names: Mapping[frozenset[str], Mapping[str, Any]]
) -> charts.HeatCell:
    each = by_names.get(frozenset((one, two)))
    if each is None:
        return charts.HeatCell("", None, "")
    tip = (
        f"{each['first']} and {each['second']}: {cell(each['accuracy'])} of {each['decided']} "
        f"decided pairs {interval_text([each['low'], each['high']])}"
    )
    text = f"{100 * each['accuracy']:.0f}"
    return charts.HeatCell(text, charts.level(each["accuracy"], 0.5, 1.0), tip)


def _generator_table(title: str, pairs: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["pairs", "decided", "accuracy", "95 %", "people: first wins", "model: first wins"]
    rows = [
        (
            f"{each['first'] or 'unknown'} and {each['second'] or 'unknown'}",
            [cell(each["pairs"]), cell(each["decided"]), cell(each["accuracy"]),
             interval_text(None if each["low"] is None else [each["low"], each["high"]]),
             cell(each["human_win"]), cell(each["model_win"])],
        )
        for each in pairs
    ]  # fmt: skip
    return Table(f"{title}: by generators", columns, rows)


def correlations_panel(found: Examined, rows: Mapping[str, Figures]) -> Panel | None:
    shown = {key: row for key, row in rows.items() if row.get("scored_clips")}
    if not shown:
        return None
    names = {
        **_CORRELATIONS,
        **{f"{name}_within_prompts": f"{words}, within prompts"
           for name, words in _CORRELATIONS.items()},
        "scored_clips": "scored clips",
        "prompts_with_correlation": "prompts with a correlation",
    }  # fmt: skip
    parts = tuple(
        Part(
            key=key,
            title=found.title(key),
            number=cell(row.get("spearman")),
            note=f"Spearman over {cell(row['scored_clips'])} scored clips",
            charts=(("", _correlation_chart(found.title(key), row)),),
        )
        for key, row in shown.items()
    )
    return Panel(
        "correlations",
        "Does it rank clips as their scores do?",
        "against the mean 1-5 score of each clip",
        parts,
        tables=(figures_table("Correlations", shown, names),),
    )


def _correlation_chart(title: str, row: Figures) -> charts.Rows:
    found = [
        (label, row.get(f"{name}{suffix}"))
        for name, words in _CORRELATIONS.items()
        for suffix, label in (("", words), ("_within_prompts", "within prompts"))
    ]
    rows = [
        charts.Row(
            words, (charts.Span("value", f"{words}: {cell(value)}", value),), after=cell(value)
        )
        for words, value in found
        if value is not None
    ]
    low = min([0.0, *(value for _, value in found if value is not None)])
    return charts.rows_chart(title, charts.Scale(low, 1.0), rows, line=0.0)
