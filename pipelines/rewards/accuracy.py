"""How often a reward model agrees with people, and whether it does so more than another."""

from collections.abc import Mapping, Sequence
from typing import Final

from annotation import charts
from pipelines.rewards.panel import Panel, Part, about, figures_table, interval_text
from pipelines.rewards.reading import SPLITS, Examined, Figures
from pipelines.run_pages import cell

# What the table behind the accuracies says, in this order.
_ACCURACIES: Final = {
    "accuracy_without_ties": "without ties",
    "accuracy_without_ties_half": "without ties, exact ties half right",
    "accuracy_with_ties_fitted": "with ties, threshold of validation",
    "accuracy_with_ties_btt": "with ties, BTT threshold",
    "accuracy_with_ties": "with ties, best threshold (acc*)",
    "human_ceiling_without_ties": "one annotator, without ties",
    "human_ceiling_with_ties": "one annotator, with ties",
    "baseline_always_tie": "always tie",
    "baseline_random": "random",
}
_COUNTS: Final = {"pairs": "pairs", "decisive": "decided", "prompts": "prompts"}
_THRESHOLDS: Final = {
    "threshold_fitted": "threshold of validation",
    "threshold_btt": "BTT threshold",
    "threshold_in_sample": "best threshold",
}


def accuracy_panel(found: Examined, rows: Mapping[str, Figures]) -> Panel | None:
    if not rows:
        return None
    return Panel(
        name="accuracy",
        question="How often does it agree with people?",
        about=about(found.split, rows),
        parts=tuple(_accuracy_part(found, key, row) for key, row in rows.items()),
        note=(
            "Intervals draw whole prompts anew, 95 %. One annotator: against the consensus of the "
            "others; a model that has learned from many may stand above it. The best threshold is "
            "fitted on these very pairs, as papers do, and is too good; that of validation is "
            "not. The dashed line is what no information reaches."
        ),
        tables=(
            *tuple(
                figures_table(
                    f"Accuracy, {split} prompts", found.judged(split), _ACCURACIES | _COUNTS
                )
                for split in SPLITS
                if found.judged(split)
            ),
            figures_table("Tie thresholds", rows, _THRESHOLDS),
        ),
    )


def _accuracy_part(found: Examined, key: str, row: Figures) -> Part:
    without = [
        _row("this model", row, "accuracy_without_ties", "value"),
        _row("one annotator", row, "human_ceiling_without_ties", "people"),
    ]
    ties = [
        _row("validation threshold", row, "accuracy_with_ties_fitted", "value"),
        _row("BTT threshold", row, "accuracy_with_ties_btt", "value"),
        _row("best threshold", row, "accuracy_with_ties", "value"),
        _row("one annotator", row, "human_ceiling_with_ties", "people"),
        _row("always tie", row, "baseline_always_tie", "base"),
        _row("random", row, "baseline_random", "base"),
    ]
    chance = max(row.get("baseline_always_tie", 0.0), row.get("baseline_random", 0.0))
    drawn = (
        ("Without ties", _shares("Accuracy without ties", without, 0.5)),
        ("With ties", _shares("Accuracy with ties", ties, chance)),
        ("With ties, over the threshold", _threshold_curve(row)),
    )
    return Part(
        key=key,
        title=found.title(key),
        number=cell(row.get("accuracy_without_ties")),
        interval=interval_text(row.get("accuracy_without_ties_interval")),
        note=f"of {cell(row.get('decisive'))} decided pairs, chance is 0.5",
        charts=tuple(each for each in drawn if each[1] is not None),
    )


def _row(label: str, row: Figures, name: str, word: str) -> charts.Row | None:
    value = row.get(name)
    if value is None:
        return None
    low, high = row.get(f"{name}_interval") or (None, None)
    tip = f"{label}: {cell(value)}" + (f" {interval_text([low, high])}" if low is not None else "")
    return charts.Row(label, (charts.Span(word, tip, value, low, high),), after=cell(value))


def _shares(title: str, rows: Sequence[charts.Row | None], line: float) -> charts.Rows | None:
    shown = [row for row in rows if row is not None]
    drawn = [value for row in shown for span in row.spans for value in (span.at, span.low) if value]
    if not drawn:
        return None
    low = max(0.0, min([*drawn, line]) - 0.05)
    return charts.rows_chart(title, charts.Scale(low, 1.0), shown, line=line)


def _threshold_curve(row: Figures) -> charts.Lines | None:
    points = row.get("details", {}).get("threshold_curve") or []
    if len(points) < 3:
        return None
    stride = max(1, len(points) // 40)
    points = points[::stride]
    names = [charts.brief(round(at, 2)) for at, _ in points]
    tips = [f"threshold {charts.brief(round(at, 3))}: {cell(value)}" for at, value in points]
    series = [charts.Series("accuracy", tuple((value, None, None) for _, value in points))]
    return charts.lines_chart("Accuracy with ties", names, series, tips, bounds=(0.0, 1.0))


def compared_panel(found: Examined) -> Panel | None:
    if not found.comparison:
        return None
    rows = found.comparison["dimensions"]
    parts = tuple(
        Part(
            key=key,
            title=found.title(key),
            number=f"{row['difference']:+.3f}",
            interval=interval_text([row["low"], row["high"]]),
            note=f"p = {row['p_value']:.2g}; {cell(row['first'])} against {cell(row['second'])}",
        )
        for key, row in rows.items()
    )
    return Panel(
        "compared",
        "Is it better than the other model?",
        "accuracy without ties, this one less the other, on the same pairs",
        parts,
        note="Paired bootstrap: both models are judged on the same draws of prompts.",
    )
