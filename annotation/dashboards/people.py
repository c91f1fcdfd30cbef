"""Who votes, how fast, to which side, and how like the others?"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from django.db.models import Count
from django.utils.translation import gettext_lazy as _
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from annotation.agreement import POOLED, dawid_skene
from annotation.assigning import skips_of
from annotation.dashboards.panel import Column, Table, interval_columns, table
from annotation.opinions import A, B, Bools, Reading
from annotation.quality.carelessness import Carefulness, carefulness
from annotation.ranking import side_test
from annotation.statistics.clustered import numbered

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FALSE_DISCOVERIES: Final = 0.05
# The model of Dawid and Skene is fitted on so many triplets at most, drawn at random: each person's
# table stays known to two hundredths, and the panel stays quick.
_MOST_FITTED: Final = 20_000


@dataclass(frozen=True, slots=True)
class AnnotatorRow:
    """One annotator's work in a campaign."""

    id: int
    name: str
    votes: int
    surplus: int
    skips: int
    with_others: float | None  # agreement with other people's votes; a tie against a side is half
    compared: int  # comparisons with others
    tie_share: float | None
    invalid_share: float | None
    median_seconds: float | None  # of active time per vote
    random_share: float | None  # estimated share of random answers; None: too little to compare
    careless: bool  # by the rule of `carelessness`, fixed beforehand


@dataclass(frozen=True, slots=True)
class AnnotatorsPanel:
    campaign: int
    people: tuple[AnnotatorRow, ...]  # those that look careless first, then by votes

    @property
    def careless(self) -> int:
        return sum(row.careless for row in self.people)

    @property
    def usual(self) -> tuple[float | None, float | None, float | None]:
        """Median, lowest and highest agreement with others."""
        known = [row.with_others for row in self.people if row.with_others is not None]
        return (float(np.median(known)), min(known), max(known)) if known else (None, None, None)

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("annotator", _("Annotator")),
            Column("votes", _("Votes"), "count"),
            Column("surplus", _("Extra"), "count"),
            Column("skips", _("Skips"), "count"),
            Column("with_others", _("Agrees with others"), "share"),
            Column("comparisons", _("Comparisons"), "count"),
            Column("ties", _("Same"), "share"),
            Column("invalid", _("Invalid"), "share"),
            Column("seconds", _("Time per vote"), "seconds"),
            Column("random", _("Answers at random"), "share"),
            Column("careless", _("Careless")),
        ]
        rows = [
            (
                *(row.name, row.votes, row.surplus, row.skips, row.with_others, row.compared),
                *(row.tie_share, row.invalid_share, row.median_seconds, row.random_share),
                _("careless") if row.careless else "",
            )
            for row in self.people
        ]
        return (table("annotators", _("Annotators"), columns, rows),)


def annotators_panel(reading: Reading) -> AnnotatorsPanel:
    votes, size = reading.votes, len(reading.annotator_ids)
    number = np.bincount(votes.annotator, minlength=size)
    surplus = np.bincount(votes.annotator[~votes.counted], minlength=size)
    ties, valid, invalid = _said(reading)
    skips = dict(
        skips_of(reading.campaign)
        .values_list("annotator_id")
        .annotate(count=Count("pk"))
        .order_by()
    )
    care = _carefulness(reading)
    rows = [
        AnnotatorRow(
            id=int(reading.annotator_ids[each]),
            name=reading.names[each],
            votes=int(number[each]),
            surplus=int(surplus[each]),
            skips=skips.get(int(reading.annotator_ids[each]), 0),
            with_others=care[each].agreement,
            compared=care[each].comparisons,
            tie_share=_share(ties[each], valid[each]) if not reading.single else None,
            invalid_share=_share(invalid[each], valid[each] + invalid[each]),
            median_seconds=middle,
            random_share=care[each].random_share,
            careless=care[each].careless,
        )
        for each, middle in enumerate(_medians(votes.annotator, votes.active_ms, size))
        if number[each]
    ]
    rows.sort(key=lambda row: (not row.careless, -row.votes, row.name))
    return AnnotatorsPanel(reading.campaign.pk, tuple(rows))


def _said(reading: Reading) -> tuple[Ints, Ints, Ints]:
    """Ties, valid and invalid judgements by annotator."""
    votes, size, width = reading.votes, len(reading.annotator_ids), len(reading.scale)
    counts = np.zeros((size, width + 1), dtype=np.int64)
    for place in range(len(reading.dimensions)):
        value = votes.value[:, place]
        kept = value >= 0
        cell = votes.annotator[kept] * (width + 1) + value[kept]
        counts += np.bincount(cell, minlength=counts.size).reshape(counts.shape)
    return counts[:, 1], counts[:, :-1].sum(1), counts[:, -1]


def _carefulness(reading: Reading) -> list[Carefulness]:
    """The rule is made for pairs; of scores nobody's randomness is estimated."""
    size = len(reading.annotator_ids)
    if reading.single:
        return [Carefulness(each, 0, None, None) for each in range(size)]
    votes, width = reading.votes, len(reading.dimensions)
    value = votes.value
    kept = (value >= 0) & (value < len(reading.scale))
    unit = (votes.triplet[:, None] * width + np.arange(width))[kept]
    person = np.repeat(votes.annotator[:, None], width, axis=1)[kept]
    return carefulness(unit, person, A - value[kept], size)


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _medians(person: Ints, active_ms: Ints, size: int) -> list[float | None]:
    """Median seconds by annotator."""
    return [each[1] if each else None for each in _quartiles(person, active_ms, size)]


def _quartiles(person: Ints, active_ms: Ints, size: int) -> list[tuple[float, float, float] | None]:
    known = active_ms >= 0
    # Person and time in one number: sorting numbers is several times faster than sorting pairs.
    key = np.sort((person[known] << 32) + active_ms[known])
    sorted_ms = key & 0xFFFFFFFF
    ends = np.searchsorted(key, np.arange(size + 1) << 32)
    found: list[tuple[float, float, float] | None] = []
    for start, end in pairwise(ends):
        if start == end:
            found.append(None)
            continue
        low, middle, high = np.percentile(sorted_ms[start:end], [25, 50, 75]) / 1000
        found.append((float(low), float(middle), float(high)))
    return found


# Sides.


@dataclass(frozen=True, slots=True)
class SideRow:
    """How often the clip on the left was chosen, where a side was chosen at all.

    Of a dimension these are answers; of a person, and over all, votes with more answers for one
    side than for the other. Sides are drawn by lot, so the share should be one half whatever the
    clips are worth.
    """

    name: str
    left: int
    decided: int
    share: float | None
    low: float | None  # Wilson's 95 % interval
    high: float | None
    p: float | None  # exact two-sided binomial
    adjusted_p: float | None  # Benjamini and Hochberg, over the annotators

    @property
    def effect(self) -> float | None:
        return None if self.share is None else self.share - 0.5

    @property
    def leans(self) -> str:
        """left, right, or nothing: at 5 % false discoveries."""
        p = self.p if self.adjusted_p is None else self.adjusted_p
        if p is None or self.share is None or p >= FALSE_DISCOVERIES:
            return ""
        return "left" if self.share > 0.5 else "right"


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The same question with the generators' strengths known: an intercept in the BTT model."""

    key: str
    lean: float
    statistic: float
    p: float


@dataclass(frozen=True, slots=True)
class SidesPanel:
    campaign: int
    applies: bool  # False for single clips
    overall: SideRow | None
    dimensions: tuple[SideRow, ...]
    people: tuple[SideRow, ...]  # strongest lean first
    checks: tuple[ModelCheck, ...]

    @property
    def leaning(self) -> int:
        return sum(bool(row.leans) for row in self.people)

    def tables(self) -> tuple[Table, ...]:
        columns = [
            Column("of", _("Of")),
            Column("name", _("Name")),
            Column("left", _("Left"), "count"),
            Column("decided", _("Decided"), "count"),
            *interval_columns("share", _("Share of left"), "share"),
            Column("p", _("p, exact"), "number"),
            Column("adjusted_p", _("p, adjusted"), "number"),
            Column("leans", _("Leans")),
        ]
        overall = [self.overall] if self.overall else []
        groups = (("all", overall), ("dimension", self.dimensions), ("annotator", self.people))
        rows = [
            (word, row.name, row.left, row.decided, row.share, row.low, row.high, row.p,
             row.adjusted_p, row.leans)
            for word, group in groups
            for row in group
        ]  # fmt: skip
        checks = [
            Column("dimension", _("Dimension")),
            Column("lean", _("Intercept for left"), "number"),
            Column("chi2", _("Likelihood ratio"), "number"),
            Column("p", _("p"), "number"),
        ]
        found = [(each.key, each.lean, each.statistic, each.p) for each in self.checks]
        return (
            table("sides", _("Side bias"), columns, rows),
            table("model", _("Intercept in the Bradley-Terry model with ties"), checks, found),
        )


def sides_panel(reading: Reading) -> SidesPanel:
    if reading.single:
        return SidesPanel(reading.campaign.pk, False, None, (), (), ())  # noqa: FBT003
    votes, size = reading.votes, len(reading.annotator_ids)
    sided = (votes.value == A) | (votes.value == B)  # [votes, dimensions]
    # A stands on the left unless the sides were swapped.
    is_left = sided & ((votes.value == A) != votes.swap[:, None])
    is_right = sided & ~is_left
    dimensions = [
        side_row(
            reading.dimensions[place].key, int(is_left[:, place].sum()), int(sided[:, place].sum())
        )
        for place in reading.order
    ]
    left, decided = votes_for_a_side(is_left, is_right, votes.annotator, size)
    people = with_adjusted_p(
        [
            side_row(reading.names[each], int(left[each]), int(decided[each]))
            for each in range(size)
            if decided[each]
        ]
    )
    return SidesPanel(
        campaign=reading.campaign.pk,
        applies=True,
        overall=side_row("all", int(left.sum()), int(decided.sum())),
        dimensions=tuple(dimensions),
        people=tuple(sorted(people, key=lambda row: (row.adjusted_p or 0.0, row.name))),
        checks=tuple(_checks(reading)),
    )


def side_row(name: str, left: int, decided: int) -> SideRow:
    if not decided:
        return SideRow(name, left, decided, None, None, None, None, None)
    low, high = _wilson(left / decided, decided)
    p = float(chance_of_leaning(np.array([left]), np.array([decided]))[0])
    return SideRow(name, left, decided, left / decided, low, high, p, None)


def votes_for_a_side(
    is_left: Bools, is_right: Bools, annotator: Ints, people: int
) -> tuple[Ints, Ints]:
    """Per annotator: votes for the left, and votes for either side, by most of their answers.

    `is_left` and `is_right` are [votes, dimensions]. The sides of a vote are drawn once for all its
    dimensions, so its answers are one trial: counted singly, they would make people lean by chance.
    """
    side = is_left.sum(1) - is_right.sum(1)
    found = [np.bincount(annotator[mask], minlength=people) for mask in (side > 0, side != 0)]
    left, decided = (each.astype(np.int64) for each in found)
    return left, decided


def chance_of_leaning(left: Ints, decided: Ints) -> Floats:
    """The exact two-sided binomial test against one half, of many people at once.

    The distribution is symmetric, so the two tails are equal; `scipy.stats.binomtest` says the
    same, but looks for the other tail, person by person, for a millisecond each.
    """
    found: Floats = np.minimum(1.0, 2 * bdtr(np.minimum(left, decided - left), decided, 0.5))
    return found


def adjusted_chances(chances: ArrayLike) -> Floats:
    """P-values [N] of as many tests, N >= 1, adjusted as Benjamini and Hochberg (1995) do."""
    from scipy.stats import false_discovery_control  # large, and few pages need it

    found: Floats = false_discovery_control(chances)
    return found


def _wilson(share: float, number: int) -> tuple[float, float]:
    """95 % (Wilson, Journal of the American Statistical Association 22, 1927)."""
    z = 1.959963984540054
    middle = share + z**2 / (2 * number)
    reach = z * math.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    scale = 1 + z**2 / number
    # Rounding must not carry an end past a share of none or of all.
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def with_adjusted_p(rows: list[SideRow]) -> list[SideRow]:
    """Benjamini and Hochberg (1995): of those that are named, at most 5 % are expected wrong."""
    tested = [row.p for row in rows if row.p is not None]
    if not tested:
        return rows
    adjusted = iter(adjusted_chances(tested).tolist())
    return [
        SideRow(
            *(row.name, row.left, row.decided, row.share, row.low, row.high, row.p),
            None if row.p is None else next(adjusted),
        )
        for row in rows
    ]


def _checks(reading: Reading) -> list[ModelCheck]:
    names, a, b = reading.generators
    votes = reading.votes
    found = []
    for place in reading.order:
        value = votes.value[:, place]
        side_a, side_b = a[votes.triplet], b[votes.triplet]
        kept = (value >= B) & (value <= A) & (side_a >= 0) & (side_b >= 0) & (side_a != side_b)
        test = side_test(side_a[kept], side_b[kept], value[kept] - 1, votes.swap[kept], len(names))
        if test is not None:
            key = reading.dimensions[place].key
            found.append(ModelCheck(key, test.lean, test.statistic, test.p))
    return found


# Time.


@dataclass(frozen=True, slots=True)
class Bin:
    low: float  # seconds
    high: float
    votes: int


@dataclass(frozen=True, slots=True)
class PaceRow:
    name: str
    votes: int
    low: float  # quartiles, in seconds
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class TimePanel:
    """Active seconds per vote: visible, focused, idle time cut."""

    campaign: int
    measured: int
    unmeasured: int
    median: float | None
    low: float | None  # quartiles
    high: float | None
    bins: tuple[Bin, ...]
    people: tuple[PaceRow, ...]  # slowest first
    trend: tuple[PaceRow, ...]  # by tenths of each annotator's own votes

    def tables(self) -> tuple[Table, ...]:
        pace = [
            Column("name", _("Name")),
            Column("votes", _("Votes"), "count"),
            Column("quartile_1", _("Lower quartile"), "seconds"),
            Column("median", _("Median"), "seconds"),
            Column("quartile_3", _("Upper quartile"), "seconds"),
        ]
        bins = [
            Column("from", _("From"), "seconds"),
            Column("to", _("To"), "seconds"),
            Column("votes", _("Votes"), "count"),
        ]
        return (
            table("people", _("Time per vote by annotator"), pace, map(_pace_cells, self.people)),
            table(
                "trend",
                _("Time per vote by tenths of own work"),
                pace,
                map(_pace_cells, self.trend),
            ),
            table(
                "distribution",
                _("Distribution"),
                bins,
                ((b.low, b.high, b.votes) for b in self.bins),
            ),
        )


def _pace_cells(row: PaceRow) -> tuple[Any, ...]:
    return (row.name, row.votes, row.low, row.median, row.high)


def time_panel(reading: Reading) -> TimePanel:
    votes, size = reading.votes, len(reading.annotator_ids)
    known = votes.active_ms >= 0
    seconds = votes.active_ms[known] / 1000
    number = np.bincount(votes.annotator[known], minlength=size)
    people = [
        PaceRow(reading.names[each], int(number[each]), *quartiles)
        for each, quartiles in enumerate(_quartiles(votes.annotator, votes.active_ms, size))
        if quartiles
    ]
    low, middle, high = (
        np.percentile(seconds, [25, 50, 75]).tolist() if len(seconds) else (None,) * 3
    )
    return TimePanel(
        campaign=reading.campaign.pk,
        measured=len(seconds),
        unmeasured=int((~known).sum()),
        median=middle,
        low=low,
        high=high,
        bins=_bins(seconds),
        people=tuple(sorted(people, key=lambda row: (-row.median, row.name))),
        trend=_trend(votes.annotator[known], votes.at[known], votes.active_ms[known], size),
    )


def _bins(seconds: Floats) -> tuple[Bin, ...]:
    """Equal steps of a second or more, with the slowest percent in the last one."""
    if not len(seconds):
        return ()
    top = max(float(np.percentile(seconds, 99)), 1.0)
    step = max(1, round(top / 30))
    edges = np.arange(0, top + step, step)
    counts, _edges = np.histogram(np.minimum(seconds, edges[-1]), edges)
    return tuple(
        Bin(float(low), float(high), int(count))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )


def _trend(person: Ints, at: Ints, active_ms: Ints, size: int) -> tuple[PaceRow, ...]:
    """Own first tenth of the votes to own last: do people speed up, or tire?"""
    second = (at - at.min()) // 1_000_000 if len(at) else at
    order = np.argsort((person << 32) + second)
    number = np.bincount(person, minlength=size)
    start = np.cumsum(number) - number
    rank = np.arange(len(person)) - start[person[order]]
    enough = number[person[order]] >= 10
    tenth = (rank * 10 // np.maximum(number[person[order]], 1))[enough]
    rows = enumerate(_quartiles(tenth, active_ms[order][enough], 10))
    count = np.bincount(tenth, minlength=10)
    return tuple(PaceRow(f"{n + 1}/10", int(count[n]), *each) for n, each in rows if each)


# Confusion.


@dataclass(frozen=True, slots=True)
class Confusion:
    """`table[k][l]`: the share of answers l where the consensus says k."""

    name: str
    judgements: int
    right: float  # answers like the consensus, weighted by how sure it is
    table: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class DimensionConfusion:
    key: str
    title: str
    prior: tuple[float, ...]
    people: tuple[Confusion, ...]  # least like the consensus first


@dataclass(frozen=True, slots=True)
class ConfusionPanel:
    """Everybody against the consensus that Dawid and Skene's model makes of all votes."""

    campaign: int
    scale: tuple[str, ...]
    dimensions: tuple[DimensionConfusion, ...]

    def tables(self) -> tuple[Table, ...]:
        cells = [f"{true}_{said}" for true in self.scale for said in self.scale]
        columns = [
            Column("dimension", _("Dimension")),
            Column("annotator", _("Annotator")),
            Column("judgements", _("Judgements"), "count"),
            Column("right", _("Like the consensus"), "share"),
            *(Column(cell, cell.replace("_", " → "), "share") for cell in cells),
        ]
        rows = (
            (
                each.key,
                row.name,
                row.judgements,
                row.right,
                *(c for line in row.table for c in line),
            )
            for each in self.dimensions
            for row in each.people
        )
        return (table("confusion", _("Consensus → answer"), columns, rows),)


def confusion_panel(reading: Reading) -> ConfusionPanel:
    found = (_confusion(reading, place) for place in reading.order)
    return ConfusionPanel(
        reading.campaign.pk, reading.scale, tuple(each for each in found if each is not None)
    )


def _confusion(reading: Reading, place: int) -> DimensionConfusion | None:
    votes, labels = reading.votes, len(reading.scale)
    value = votes.value[:, place]
    shared = (reading.counts(place)[:, :labels].sum(1) >= 2)[votes.triplet]
    kept = np.flatnonzero((value >= 0) & (value < labels) & shared)
    if not len(kept):
        return None
    unit = numbered(votes.triplet[kept])[1]
    person, said = votes.annotator[kept], value[kept]
    size = len(reading.annotator_ids)
    tables = consensus_tables(unit, person, said, size, labels)
    number = np.bincount(person, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = np.nan_to_num(tables / tables.sum(2, keepdims=True))
    people = [
        Confusion(
            reading.names[each],
            int(number[each]),
            float(np.trace(tables[each]) / tables[each].sum()),
            tuple(tuple(line) for line in rows[each].tolist()),
        )
        for each in np.flatnonzero(number)
    ]
    dimension = reading.dimensions[place]
    prior = tables.sum((0, 2)) / tables.sum()
    return DimensionConfusion(
        dimension.key,
        dimension.title,
        tuple(prior.tolist()),
        tuple(sorted(people, key=lambda row: (row.right, row.name))),
    )


def consensus_tables(unit: Ints, person: Ints, said: Ints, people: int, labels: int) -> Floats:
    """Expected counts [people, consensus, said] under the model of Dawid and Skene."""
    units = int(unit.max()) + 1
    drawn = np.ones(units, dtype=bool)
    if units > _MOST_FITTED:
        drawn = np.random.default_rng(0).permutation(units) < _MOST_FITTED
    kept = drawn[unit]
    few = numbered(unit[kept])[1]
    # Somebody who has no vote among the drawn ones still needs a place in the model.
    found = dawid_skene(few, person[kept], said[kept], labels, pooled=POOLED)
    known = len(found.confusion)
    if units > _MOST_FITTED:
        inside = person < known
        unit, person, said = unit[inside], person[inside], said[inside]
        found = dawid_skene(unit, person, said, labels, pooled=POOLED, start=found, max_rounds=1)
    posterior = found.posterior[unit]
    cell = person * labels + said
    said_where = [np.bincount(cell, posterior[:, k], people * labels) for k in range(labels)]
    tables = np.array(said_where, np.float64).reshape(labels, people, labels)
    return tables.transpose(1, 0, 2)
