"""What the page of a comparison shows: the table as text and places, prepared for its template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.urls import reverse

from pipelines.changes import Change
from pipelines.comparisons.members import Member, Rate, Table
from pipelines.evaluation import OVERALL
from pipelines.run_cards import RunCard, cards, duration
from pipelines.run_pages import cell

# Curve of the trainer -> column of the table.
_TRAINING: Final = {
    "loss": "final loss",
    "implicit_accuracy": "implicit accuracy",
    "winner_drift": "winner drift",
    "loser_drift": "loser drift",
}
_NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class RateCell:
    """A win rate against the base: number, interval, its places on a line from 0 to 100."""

    rate: str
    interval: str
    point: float
    low: float
    high: float
    best: bool
    word: str  # better, worse or undecided than the base


@dataclass(frozen=True, slots=True)
class Row:
    """One member."""

    name: str
    card: RunCard
    differs: list[tuple[str, str]]
    training: list[str]
    overall: list[RateCell | None]  # by judge
    motion: str
    motion_note: str
    took: str
    alarms: list[tuple[str, str]]  # which and when; what it says
    evaluation_url: str


@dataclass(frozen=True, slots=True)
class DimensionTable:
    """All dimensions of one judge."""

    judge: str
    note: str
    columns: list[str]
    rows: list[tuple[str, list[RateCell | None]]]


@dataclass(frozen=True, slots=True)
class View:
    """The whole table. `shows_motion`: a member has an amount of motion to show."""

    columns: list[str]
    judges: list[tuple[str, str]]  # name, note
    rows: list[Row]
    by_dimension: list[DimensionTable]
    shows_motion: bool
    note: str


def view_of(table: Table, user: User) -> View:
    shown = dict(zip((m.run.pk for m in table.members), _cards(table, user), strict=True))
    return View(
        columns=list(_TRAINING.values()),
        judges=[(judge, _note(judge, table)) for judge in table.judges],
        rows=[_row(each, shown[each.run.pk], list(table.judges)) for each in table.members],
        by_dimension=[_by_dimension(judge, keys, table) for judge, keys in table.judges.items()],
        shows_motion=any(each.motion for each in table.members),
        note=table.note,
    )


def _cards(table: Table, user: User) -> list[RunCard]:
    return cards((each.run for each in table.members), user)


def _note(judge: str, table: Table) -> str:
    return "its training reward" if judge in table.training_rewards else ""


def _row(member: Member, card: RunCard, judges: Sequence[str]) -> Row:
    evaluation = member.evaluation
    motion, motion_note = motion_words(member.motion)
    return Row(
        name=member.name,
        card=card,
        differs=list(member.differs.items()),
        training=[cell(member.training.get(name)) for name in _TRAINING],
        overall=[rate_cell(member.rates.get(judge, {}).get(OVERALL)) for judge in judges],
        motion=motion,
        motion_note=motion_note,
        took=_NONE if member.took is None else duration(member.took),
        alarms=[_alarm(each) for each in member.alarms],
        evaluation_url=reverse("pipelines:run", args=[evaluation.pk]) if evaluation else "",
    )


def _alarm(text: str) -> tuple[str, str]:
    head, _, rest = text.partition(": ")
    return head, rest


def motion_words(motion: Change | None) -> tuple[str, str]:
    """The change of the amount of motion; and the amounts behind it with the interval."""
    if motion is None:
        return _NONE, ""
    amounts = f"{motion.candidate:.3f}, base {motion.base:.3f}"
    if motion.low is not None and motion.high is not None:
        amounts = f"{amounts}; {motion.low:+.3f} to {motion.high:+.3f}"
    return f"{motion.change:+.3f}", amounts


def rate_cell(rate: Rate | None) -> RateCell | None:
    if rate is None:
        return None
    word = "better" if rate.beats_base else "worse" if rate.loses else "undecided"
    return RateCell(
        rate=f"{rate.rate:.3f}",
        interval=f"{rate.low:.3f} – {rate.high:.3f}",
        point=round(100 * rate.rate, 2),
        low=round(100 * rate.low, 2),
        high=round(100 * rate.high, 2),
        best=rate.best,
        word=word,
    )


def _by_dimension(judge: str, keys: Sequence[str], table: Table) -> DimensionTable:
    return DimensionTable(
        judge=judge,
        note=_note(judge, table),
        columns=list(keys),
        rows=[(each.name, _cells(each.rates.get(judge, {}), keys)) for each in table.members],
    )


def _cells(rates: Mapping[str, Rate], keys: Sequence[str]) -> list[RateCell | None]:
    return [rate_cell(rates.get(key)) for key in keys]
