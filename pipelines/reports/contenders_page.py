"""What the page of any evaluations side by side shows: tables, bars, and what can be chosen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.urls import reverse

from formats.outcome import OutputKind
from pipelines.comparisons.members import Rate as Told
from pipelines.comparisons.page import RateCell, motion_words, rate_cell
from pipelines.models import Artifact
from pipelines.reports.contenders import Contender, Field, Rate
from pipelines.reports.rate_bars import Bars, bars_of

_OFFERED: Final = 40  # the newest
_MISSING: Final = "–"
_KINDS: Final = (OutputKind.EVALUATION, OutputKind.HUMAN_TEST)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: a rate per column of its judge, then what was measured of the pixels."""

    name: str
    url: str
    cells: list[RateCell | None]
    measures: list[tuple[str, str]]
    totals: list[str]


@dataclass(frozen=True, slots=True)
class JudgeOfField:
    judge: str
    note: str
    columns: list[str]
    rows: list[Row]
    bars: list[Bars]


@dataclass(frozen=True, slots=True)
class FieldTable:
    """All contenders against one base."""

    base: str
    judges: list[JudgeOfField]
    measures: list[str]
    benchmarks: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Choice:
    """A box to tick. `word`: the entry of the query."""

    word: str
    pk: int
    text: str
    when: str


def tables_of(fields: Iterable[Field]) -> list[FieldTable]:
    return [_table(each) for each in fields]


def _table(field: Field) -> FieldTable:
    bars = dict(bars_of(field))
    measures = list(dict.fromkeys(name for each in field.contenders for name in each.measures))
    benchmarks = list(dict.fromkeys(name for each in field.contenders for name in each.totals))
    return FieldTable(
        base=field.base_name,
        judges=[_judge(judge, keys, field, bars[judge]) for judge, keys in field.judges.items()],
        measures=measures,
        benchmarks=benchmarks,
        rows=[_row(each, "", (), measures, benchmarks) for each in field.contenders]
        if measures or benchmarks
        else [],
    )


def _judge(judge: str, keys: Sequence[str], field: Field, bars: list[Bars]) -> JudgeOfField:
    judged = [each for each in field.contenders if judge in each.rates]
    rows = [_row(each, judge, keys, (), ()) for each in judged]
    return JudgeOfField(judge, _note(judge, field), list(keys), rows, bars)


def _note(judge: str, field: Field) -> str:
    """How far from the training, where it is not the same for all: of how many."""
    found = [each.standing[judge] for each in field.contenders if judge in each.standing]
    trained = sum(each == "training reward" for each in found)
    if trained:
        whole = trained == len(found)
        return "its training reward" if whole else f"training reward of {trained} of {len(found)}"
    return "learned from the same votes" if "same votes" in found else ""


def _row(
    each: Contender,
    judge: str,
    keys: Iterable[str],
    measures: Iterable[str],
    benchmarks: Iterable[str],
) -> Row:
    rates = each.rates.get(judge, {})
    return Row(
        name=each.name,
        url=reverse("pipelines:run", args=[each.run]),
        cells=[rate_cell(_told(rates.get(key))) for key in keys],
        measures=[motion_words(each.measures.get(name)) for name in measures],
        totals=[_total(each.totals.get(name)) for name in benchmarks],
    )


def _total(value: float | None) -> str:
    return _MISSING if value is None else f"{100 * value:.2f}"


def _told(rate: Rate | None) -> Told | None:
    return None if rate is None else Told(rate.rate, rate.low, rate.high)


def choices() -> list[Choice]:
    """The newest results, for the form; what is older is named in the address."""
    found = Artifact.objects.filter(kind__in=_KINDS).select_related("run__group").order_by("-pk")
    return [
        Choice(
            word=each.kind,
            pk=each.pk,
            text=f"{each.run.name or each.run}{f' ({each.run.group})' if each.run.group else ''}",
            when=f"{each.created_at:%d %b %H:%M}",
        )
        for each in found[:_OFFERED]
    ]
