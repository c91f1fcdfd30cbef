"""What did they say? Shares of labels, of ties and of invalid, with the reasons."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from annotation.dashboards.panel import Column, Table, interval_columns, table
from annotation.models import Consensus
from annotation.opinions import REASONS, TIE, Reading
from annotation.statistics.clustered import Figure, share_interval
from formats.labels import Label

NO_MAJORITY = "none"


@dataclass(frozen=True, slots=True)
class LabelShares:
    """How often each word was said on a dimension, by people and as consensus."""

    key: str
    title: str
    judgements: int
    shares: dict[str, float]  # of the judgements, by label or score, and `invalid`
    ties: Figure | None  # of the valid judgements; None for scores
    invalid: Figure  # of all judgements
    reasons: dict[str, int]  # of the invalid ones
    settled: int
    consensus: dict[str, float]  # of the settled triplets, by label, and `none`; empty for scores


@dataclass(frozen=True, slots=True)
class LabelsPanel:
    campaign: int
    single: bool
    words: tuple[str, ...]
    dimensions: tuple[LabelShares, ...]

    def tables(self) -> tuple[Table, ...]:
        shares = [
            Column("dimension", _("Dimension")),
            Column("of", _("Of")),
            Column("n", _("Number"), "count"),
            *(Column(word, word, "share") for word in (*self.words, NO_MAJORITY)),
        ]
        rates = [
            Column("dimension", _("Dimension")),
            *interval_columns("tie", _("Ties"), "share"),
            *interval_columns("invalid", _("Invalid"), "share"),
            *(Column(reason, reason.replace("_", " "), "count") for reason in REASONS),
        ]
        return (
            table(
                "shares",
                _("Shares of labels"),
                shares,
                (r for d in self.dimensions for r in self._rows(d)),
            ),
            table("rates", _("Ties, and invalid by reason"), rates, map(_rates, self.dimensions)),
        )

    def _rows(self, row: LabelShares) -> list[list[Any]]:
        said = [row.shares.get(word, 0.0) for word in self.words]
        rows: list[list[Any]] = [[row.key, _("judgements"), row.judgements, *said, None]]
        if row.settled:
            settled = [row.consensus.get(word, 0.0) for word in (*self.words, NO_MAJORITY)]
            rows.append([row.key, _("consensus"), row.settled, *settled])
        return rows


def _rates(row: LabelShares) -> list[Any]:
    ties = row.ties or Figure(None, None, None)
    figures = [
        getattr(each, end) for each in (ties, row.invalid) for end in ("value", "low", "high")
    ]
    return [row.key, *figures, *(row.reasons.get(reason, 0) for reason in REASONS)]


def labels_panel(reading: Reading) -> LabelsPanel:
    settled = _settled(reading)
    return LabelsPanel(
        campaign=reading.campaign.pk,
        single=reading.single,
        words=_words(reading),
        dimensions=tuple(_shares(reading, place, settled) for place in reading.order),
    )


def _words(reading: Reading) -> tuple[str, ...]:
    """In the order of the bar: ties stand between the sides."""
    scale = reading.scale if reading.single else tuple(reversed(reading.scale))
    return (*scale, Label.INVALID.value)


def _settled(reading: Reading) -> dict[int, dict[str, int]]:
    """How often each label was settled, by dimension; imported ones too."""
    if reading.single:
        return {}
    rows = (
        Consensus.objects.filter(triplet__campaign=reading.campaign)
        .values_list("dimension_id", "label")
        .annotate(count=Count("pk"))
        .order_by()
    )
    found: dict[int, dict[str, int]] = {}
    for dimension, label, count in rows:
        found.setdefault(dimension, {})[label or NO_MAJORITY] = count
    return found


def _shares(reading: Reading, place: int, all_settled: dict[int, dict[str, int]]) -> LabelShares:
    counts, group = reading.counts(place), reading.groups
    dimension = reading.dimensions[place]
    given = dict(zip((*reading.scale, Label.INVALID.value), counts.sum(0).tolist(), strict=True))
    valid = counts[:, :-1].sum(1)
    settled = all_settled.get(dimension.pk, {})
    reason = reading.votes.reason[:, place]
    number = np.bincount(reason[reason >= 0], minlength=len(REASONS)).tolist()
    ties = None if reading.single else _rate(counts[:, TIE], valid, group)
    return LabelShares(
        key=dimension.key,
        title=dimension.title,
        judgements=int(counts.sum()),
        shares=_of_total(given),
        ties=ties,
        invalid=_rate(counts[:, -1], counts.sum(1), group),
        reasons={word: count for word, count in zip(REASONS, number, strict=True) if count},
        settled=sum(settled.values()),
        consensus=_of_total(settled),
    )


def _rate(hit: Any, asked: Any, group: Any) -> Figure:
    total = int(asked.sum())
    found = share_interval(hit, asked, group)
    value = float(hit.sum() / total) if total else None
    return Figure(value, found.low if found else None, found.high if found else None)


def _of_total(counts: dict[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {word: count / total if total else 0.0 for word, count in counts.items()}
