"""What the panels of a reward model are made of: parts per dimension, tables, texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.rewards.reading import Figures
from pipelines.run_pages import Table, cell


@dataclass(frozen=True, slots=True)
class Part:
    """One dimension of a panel: its number, and what is drawn below."""

    key: str
    title: str
    number: str
    interval: str = ""
    note: str = ""
    charts: tuple[tuple[str, Any], ...] = ()  # (heading, chart)


@dataclass(frozen=True, slots=True)
class Panel:
    """A question, its answer per dimension, the tables behind it."""

    name: str
    question: str
    about: str
    parts: tuple[Part, ...]
    note: str = ""
    tables: tuple[Table, ...] = ()


def about(split: str, rows: Mapping[str, Figures]) -> str:
    prompts = max((row.get("prompts") or 0 for row in rows.values()), default=0)
    pairs = max(row["pairs"] for row in rows.values())
    return (
        f"{cell(pairs)} pairs of {cell(prompts)} {split} prompts" if prompts else f"{split} split"
    )


def figures_table(title: str, rows: Mapping[str, Figures], names: Mapping[str, str]) -> Table:
    """One column per dimension; a figure that no dimension has is left out."""
    shown = [name for name in names if any(row.get(name) is not None for row in rows.values())]
    return Table(
        title,
        list(rows),
        [(names[name], [_with_interval(row, name) for row in rows.values()]) for name in shown],
    )


def _with_interval(row: Figures, name: str) -> str:
    interval = row.get(f"{name}_interval")
    return cell(row.get(name)) + (f" ({interval_text(interval)})" if interval else "")


def interval_text(value: Sequence[float | None] | None) -> str:
    if value is None or any(each is None for each in value):
        return ""
    return f"{value[0]:.3f} – {value[1]:.3f}"
