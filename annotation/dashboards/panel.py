"""What all panels share: tables of figures, which become HTML and CSV from one definition."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise
Kind = Literal["text", "count", "share", "coefficient", "number", "seconds", "elo", "moment"]
Cell = str | int | float | Promise | None


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is the heading in CSV and never translated; `title` is for people."""

    key: str
    title: Words
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    title: Words
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Panel(Protocol):
    """The answer to one question, frozen; its fields are what the API gives."""

    def tables(self) -> tuple[Table, ...]: ...


def table(
    name: str, title: Words, columns: Iterable[Column], rows: Iterable[Iterable[Any]]
) -> Table:
    return Table(name, title, tuple(columns), tuple(tuple(row) for row in rows))


def interval_columns(key: str, title: Words, kind: Kind) -> tuple[Column, ...]:
    """A figure and the ends of its 95 % interval."""
    return (
        Column(key, title, kind),
        Column(f"{key}_low", _("from"), kind),
        Column(f"{key}_high", _("to"), kind),
    )
