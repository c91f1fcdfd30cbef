"""Do annotators agree, beyond chance? Now, over time, and pair by pair."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from annotation.agreement import Tally, tallied
from annotation.dashboards.panel import (
    Column,
    Table,
    interval_columns,
    table,
)
from annotation.opinions import Reading
from annotation.statistics.clustered import Figure, grouped
from annotation.statistics.pairwise import MIN_SHARED, Weights, pairwise_kappas

Ints = NDArray[np.int64]
_TENTHS = 10
# Many small figures: fewer resamples of fewer groups are enough for their intervals.
_ROUNDS_OVER_TIME, _GROUPS_OVER_TIME = 300, 200
_MOST_DAYS = 30
_MOST_PEOPLE = 30  # in the heat map: those with most votes


@dataclass(frozen=True, slots=True)
class DimensionAgreement:
    """Agreement beyond chance on one dimension.

    `invalid` is missing data for the preference; `alpha_invalid` asks whether annotators agree on
    what cannot be judged. Alpha collapses where one value prevails, AC1 is generous: read both.
    """

    key: str
    title: str
    units: int  # triplets with at least two judgements
    judgements: int
    raw: Figure  # share of pairs of judgements that are equal
    alpha_nominal: Figure
    alpha_ordinal: Figure  # B < tie < A, or scores by their order
    alpha_interval: Figure  # scores, equally far apart; for pairs: B, tie, A as -1, 0, 1
    ac1: Figure
    fleiss: float | None  # over the triplets that have the usual number of judgements
    alpha_invalid: float | None
    margins: tuple[float, ...]  # shares of the valid values, in the order of the scale

    @property
    def undefined(self) -> str:
        """Why there is no coefficient: `nothing`, `invalid`, `variation`, or '' where there is."""
        if self.alpha_nominal.value is not None:
            return ""
        if self.units == 0:
            return "nothing"
        return "invalid" if self.raw.value is None else "variation"


@dataclass(frozen=True, slots=True)
class AgreementPanel:
    campaign: int
    single: bool
    votes: int
    annotators: int
    prompts: int
    scale: tuple[str, ...]
    dimensions: tuple[DimensionAgreement, ...]

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("dimension", _("Dimension")),
            *interval_columns("alpha_nominal", _("Alpha, nominal"), "coefficient"),
            *interval_columns("alpha_ordinal", _("Alpha, ordinal"), "coefficient"),
            *interval_columns("alpha_interval", _("Alpha, interval"), "coefficient"),
            *interval_columns("ac1", _("AC1"), "coefficient"),
            *interval_columns("raw", _("Raw agreement"), "share"),
            Column("fleiss", _("Fleiss' kappa"), "coefficient"),
            Column("alpha_invalid", _("Alpha of valid or not"), "coefficient"),
            Column("units", _("Questions with 2+ votes"), "count"),
            Column("judgements", _("Judgements"), "count"),
        ]
        return (
            table("agreement", _("Agreement by dimension"), columns, map(_cells, self.dimensions)),
        )


def _cells(row: DimensionAgreement) -> list[Any]:
    figures = (row.alpha_nominal, row.alpha_ordinal, row.alpha_interval, row.ac1, row.raw)
    return [
        row.key,
        *(value for each in figures for value in (each.value, each.low, each.high)),
        row.fleiss,
        row.alpha_invalid,
        row.units,
        row.judgements,
    ]


def agreement_panel(reading: Reading) -> AgreementPanel:
    votes, triplets = reading.votes, reading.triplets
    return AgreementPanel(
        campaign=reading.campaign.pk,
        single=reading.single,
        votes=len(votes),
        annotators=len(np.unique(votes.annotator)),
        prompts=len(np.unique(triplets.prompt)),
        scale=reading.scale,
        dimensions=tuple(_agreement(reading, place) for place in reading.order),
    )


def _agreement(reading: Reading, place: int) -> DimensionAgreement:
    counts = reading.counts(place)
    tally = tallied(counts, reading.groups)
    valid = tally.columns(slice(None, -1))
    found = valid.agreement()
    votes = valid.rows.sum(1)
    often = tally.parts.sum(0)
    given = often @ valid.rows
    dimension = reading.dimensions[place]
    return DimensionAgreement(
        key=dimension.key,
        title=dimension.title,
        units=int(often[tally.rows.sum(1) >= 2].sum()),
        judgements=int(counts.sum()),
        raw=found.raw,
        alpha_nominal=found.alpha_nominal,
        alpha_ordinal=found.alpha_ordinal,
        alpha_interval=found.alpha_interval,
        ac1=found.ac1,
        fleiss=valid.usual_fleiss(),
        alpha_invalid=Tally(np.stack([votes, tally.rows[:, -1]], 1), tally.parts).alpha(),
        margins=tuple((given / given.sum()).tolist()) if given.sum() else (),
    )


@dataclass(frozen=True, slots=True)
class Period:
    """Triplets by the time of their newest vote."""

    name: str  # a date, or which tenth
    units: int
    alpha: tuple[Figure, ...]  # nominal, by dimension; ordinal for scores
    raw: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class AgreementOverTime:
    campaign: int
    keys: tuple[str, ...]
    tenths: tuple[Period, ...]
    days: tuple[Period, ...]

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("period", _("Period")),
            Column("units", _("Questions with 2+ votes"), "count"),
            *(
                column
                for key in self.keys
                for column in (
                    *interval_columns(f"alpha_{key}", f"Alpha {key}", "coefficient"),
                    *interval_columns(f"raw_{key}", f"Raw {key}", "share"),
                )
            ),
        ]
        return (
            table(
                "tenths", _("By tenths of the campaign"), columns, map(_period_cells, self.tenths)
            ),
            table("days", _("By day"), columns, map(_period_cells, self.days)),
        )


def _period_cells(period: Period) -> list[Any]:
    both = zip(period.alpha, period.raw, strict=True)
    figures = [
        value for pair in both for each in pair for value in (each.value, each.low, each.high)
    ]
    return [period.name, period.units, *figures]


def agreement_over_time_panel(reading: Reading) -> AgreementOverTime:
    """Triplets with two votes or more, in the order in which they got their newest one."""
    votes, triplets = reading.votes, reading.triplets
    newest = np.zeros(len(triplets), dtype=np.int64)
    np.maximum.at(newest, votes.triplet, votes.at)
    ripe = np.flatnonzero(np.bincount(votes.triplet, minlength=len(triplets)) >= 2)
    ripe = ripe[np.argsort(newest[ripe], kind="stable")]
    tenths = [(f"{n + 1}/{_TENTHS}", part) for n, part in enumerate(np.array_split(ripe, _TENTHS))]
    day = newest[ripe] // 86_400_000_000
    dates, first = np.unique(day, return_index=True)
    parts = np.split(ripe, first[1:]) if len(ripe) else []
    days = [
        (str(np.datetime64(int(date), "D")), part) for date, part in zip(dates, parts, strict=True)
    ]
    return AgreementOverTime(
        campaign=reading.campaign.pk,
        keys=tuple(reading.dimensions[place].key for place in reading.order),
        tenths=tuple(_period(reading, *each) for each in tenths if len(each[1])),
        days=tuple(_period(reading, *each) for each in days[-_MOST_DAYS:]),
    )


def _period(reading: Reading, name: str, triplets: Ints) -> Period:
    group = grouped(reading.triplets.prompt[triplets], most=_GROUPS_OVER_TIME)
    found = [
        tallied(reading.counts(place)[triplets, :-1], group).agreement(rounds=_ROUNDS_OVER_TIME)
        for place in reading.order
    ]
    return Period(
        name,
        len(triplets),
        tuple(each.alpha_ordinal if reading.single else each.alpha_nominal for each in found),
        tuple(each.raw for each in found),
    )


@dataclass(frozen=True, slots=True)
class KappaCell:
    """Cohen's kappa of two people; None where they share too few questions or do not vary."""

    shared: int
    kappa: float | None
    low: float | None  # 95 %, by its asymptotic standard error
    high: float | None


@dataclass(frozen=True, slots=True)
class DimensionKappas:
    key: str
    title: str
    cells: tuple[tuple[KappaCell, ...], ...]  # [people, people]

    @property
    def spread(self) -> tuple[float, float, float, int] | None:
        """Median, lowest, highest, and of how many pairs of people."""
        known = [
            cell.kappa
            for place, row in enumerate(self.cells)
            for cell in row[place + 1 :]
            if cell.kappa is not None
        ]
        return (float(np.median(known)), min(known), max(known), len(known)) if known else None


@dataclass(frozen=True, slots=True)
class KappaPanel:
    """Pairs of people; quadratic weights where the values are scores."""

    campaign: int
    min_shared: int
    people: tuple[str, ...]  # those with most votes
    left_out: int
    dimensions: tuple[DimensionKappas, ...]

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("dimension", _("Dimension")),
            Column("first", _("Annotator")),
            Column("second", _("With")),
            Column("shared", _("Shared questions"), "count"),
            *interval_columns("kappa", _("Cohen's kappa"), "coefficient"),
        ]
        rows = [
            (each.key, self.people[i], self.people[j], cell.shared, cell.kappa, cell.low, cell.high)
            for each in self.dimensions
            for i, row in enumerate(each.cells)
            for j, cell in enumerate(row)
            if i < j and cell.shared
        ]
        return (table("kappa", _("Cohen's kappa by pairs of annotators"), columns, rows),)


def kappa_panel(reading: Reading) -> KappaPanel:
    votes = reading.votes
    number = np.bincount(votes.annotator, minlength=len(reading.annotator_ids))
    chosen = np.argsort(-number, kind="stable")[:_MOST_PEOPLE]
    chosen = chosen[number[chosen] > 0]
    names = [reading.names[each] for each in chosen]
    order = np.argsort(np.array(names, dtype=str), kind="stable")
    chosen = chosen[order]
    seat = np.full(len(number), -1)
    seat[chosen] = np.arange(len(chosen))
    weights: Weights = "quadratic" if reading.single else "none"
    dimensions = []
    for place in reading.order:
        value = votes.value[:, place]
        kept = (seat[votes.annotator] >= 0) & (value >= 0) & (value < len(reading.scale))
        found = pairwise_kappas(
            votes.triplet[kept],
            seat[votes.annotator[kept]],
            value[kept],
            len(chosen),
            len(reading.scale),
            weights=weights,
        )
        dimension = reading.dimensions[place]
        dimensions.append(DimensionKappas(dimension.key, dimension.title, _kappa_cells(found)))
    return KappaPanel(
        campaign=reading.campaign.pk,
        min_shared=MIN_SHARED,
        people=tuple(names[each] for each in order),
        left_out=int((number > 0).sum()) - len(chosen),
        dimensions=tuple(dimensions),
    )


def _kappa_cells(found: Any) -> tuple[tuple[KappaCell, ...], ...]:
    def known(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    size = len(found.shared)
    return tuple(
        tuple(
            KappaCell(
                int(found.shared[i, j]),
                known(found.kappa[i, j]),
                known(found.low[i, j]),
                known(found.high[i, j]),
            )
            for j in range(size)
        )
        for i in range(size)
    )
