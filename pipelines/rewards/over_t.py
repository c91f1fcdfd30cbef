"""The page part of a latent reward model: how often it is right, over the noise in the latent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from annotation import charts
from pipelines.rewards.panel import Panel, Part, interval_text
from pipelines.run_pages import Table, cell

_SHOWN: Final = ("test", "validation", "train")
_ACCURACY: Final = "accuracy_without_ties"
_COLUMNS: Final = {
    "pairs": "pairs",
    "decisive": "decided",
    _ACCURACY: "accuracy without ties",
    "accuracy_with_ties": "with ties",
    "baseline_always_tie": "always tie",
    "loss": "loss",
}

Rows = Sequence[Mapping[str, Any]]
Curve = Mapping[str, Rows]


def over_t_panel(summary: Mapping[str, Any]) -> Panel | None:
    """Of the summary of a `latent_reward` run; None where nothing was examined."""
    curves: Mapping[str, Curve] = summary.get("curve", {})
    split = next((each for each in _SHOWN if each in curves), None)
    if split is None:
        return None
    # JSON files have sorted keys; people expect the order of the dimension set.
    keys = [key for key in summary["dimensions"] if key in curves[split]]
    shown = {key: curves[split][key] for key in keys}
    pairs = max((row["pairs"] for rows in shown.values() for row in rows), default=0)
    return Panel(
        name="over_t",
        question="Through how much noise is it right?",
        about=f"{cell(pairs)} {split} pairs, the same noise on both clips",
        parts=tuple(_part(key, rows, split, curves) for key, rows in shown.items()),
        note=(
            "Accuracy without ties over t: at 0 the latent is the clip, at 1 it is noise. The "
            "number is the mean over t; bands are 95 % intervals over prompts."
        ),
        tables=tuple(_table(key, rows) for key, rows in shown.items()),
    )


def _part(key: str, rows: Rows, split: str, curves: Mapping[str, Curve]) -> Part:
    known = [row[_ACCURACY] for row in rows if row.get(_ACCURACY) is not None]
    series = [charts.Series(split, tuple(_point(row) for row in rows))]
    if split != "train" and key in curves.get("train", {}):
        trained = tuple(_point(row) for row in curves["train"][key])
        series.append(charts.Series("trained on", tuple(p and (p[0], None, None) for p in trained)))
    drawn = charts.lines_chart(
        f"{key}, accuracy over t",
        [f"{row['t']:g}" for row in rows],
        series,
        [f"t = {row['t']:g}: {cell(row.get(_ACCURACY))}" for row in rows],
        bounds=(0.4, 1.0),
    )
    return Part(
        key=key,
        title=key,
        number=cell(sum(known) / len(known)) if known else cell(None),
        note="accuracy without ties, mean over t",
        charts=(("", drawn),) if known else (),
    )


def _point(row: Mapping[str, Any]) -> tuple[float, float | None, float | None] | None:
    value = row.get(_ACCURACY)
    if value is None:
        return None
    low, high = row.get(f"{_ACCURACY}_interval") or (None, None)
    return value, low, high


def _table(key: str, rows: Rows) -> Table:
    def shown(row: Mapping[str, Any], name: str) -> str:
        interval = interval_text(row.get(f"{name}_interval"))
        return cell(row.get(name)) + (f" ({interval})" if interval else "")

    cells = [(f"t = {row['t']:g}", [shown(row, name) for name in _COLUMNS]) for row in rows]
    return Table(f"{key} over t", list(_COLUMNS.values()), cells)
