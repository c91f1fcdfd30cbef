"""What annotators see of their own work in a campaign; nothing here tells what was gold.

Every count is of questions as the annotator saw them; agreement is with the settled labels of
ordinary pairs; self-consistency is about own repeated pairs. Reads only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.contrib.auth.models import User
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from annotation.errors import NotFound
from annotation.models import (
    Campaign,
    Cursor,
    Dimension,
    Judgement,
    ProbeAnswer,
    ProbeKind,
    Stage,
    Vote,
    VoteState,
)
from annotation.quality.marking import right_by_dimension
from annotation.quality.standings import same_again

_DAYS: Final = 14  # of the trend
_ENOUGH: Final = 5  # repeats, before a share is shown


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    questions: int
    active_ms: int
    compared: int  # judgements on triplets that are settled
    agreed: int

    @property
    def seconds(self) -> float | None:
        """Active seconds per question."""
        return self.active_ms / 1000 / self.questions if self.questions else None

    @property
    def agreement(self) -> float | None:
        return self.agreed / self.compared if self.compared else None


@dataclass(frozen=True, slots=True)
class DimensionScore:
    key: str
    title: str
    compared: int
    agreement: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at the qualification: weighted share right, by dimension."""

    number: int
    right: dict[str, float]


@dataclass(frozen=True, slots=True)
class Scorecard:
    stage: str
    stage_reason: str
    questions: int
    active_ms: int
    compared: int
    agreement: float | None  # with the settled labels; the own vote is one of those behind them
    self_consistency: float | None  # None also while there are few repeated pairs
    dimensions: tuple[DimensionScore, ...]
    days: tuple[Day, ...]  # the last ones with work, oldest first
    attempts: tuple[Attempt, ...]

    @property
    def seconds(self) -> float | None:
        return self.active_ms / 1000 / self.questions if self.questions else None


def scorecard(campaign: Campaign, user: User) -> Scorecard:
    """NotFound for somebody who has not begun here."""
    cursor = Cursor.objects.filter(campaign=campaign, annotator=user).first()
    if cursor is None:
        raise NotFound("You have not begun in this campaign yet.")
    probed = list(_probe_answers(campaign, user))
    compared = _compared(campaign, user)
    days = _days(campaign, user, compared)
    repeats = [row.errors for row in probed if row.kind == ProbeKind.REPEAT]
    total = sum(row["n"] for row in compared)
    return Scorecard(
        stage=cursor.stage,
        stage_reason=cursor.stage_reason,
        questions=cursor.questions,
        active_ms=sum(day.active_ms for day in days),
        compared=total,
        agreement=sum(row["same"] for row in compared) / total if total else None,
        self_consistency=same_again(repeats) if len(repeats) >= _ENOUGH else None,
        dimensions=_by_dimension(campaign, compared),
        days=tuple(days[-_DAYS:]),
        attempts=_attempts(cursor, probed),
    )


def _probe_answers(campaign: Campaign, user: User) -> QuerySet[ProbeAnswer]:
    """Repeats and the qualification: what may be told."""
    told = [ProbeKind.REPEAT, ProbeKind.QUALIFICATION]
    rows = ProbeAnswer.objects.filter(
        campaign=campaign, annotator=user, kind__in=told, superseded=False
    )
    return rows.select_related("lease").order_by("submitted_at", "pk")


def _compared(campaign: Campaign, user: User) -> list[dict[str, Any]]:
    """Own judgements on settled triplets by day and dimension, and how many equal the label."""
    settled = "vote__triplet__consensus"
    rows = Judgement.objects.filter(
        **{
            "vote__campaign": campaign,
            "vote__annotator": user,
            "vote__state__in": [VoteState.COUNTED, VoteState.SURPLUS],
            "label__isnull": False,
            f"{settled}__dimension": F("dimension"),
            f"{settled}__label__isnull": False,
        }
    )
    by_day = rows.annotate(day=TruncDate("vote__submitted_at")).values("day", "dimension")
    same = Count("pk", filter=Q(label=F(f"{settled}__label")))
    counted = by_day.annotate(n=Count("pk"), same=same).order_by("day", "dimension")
    return [dict(row) for row in counted]


def _days(campaign: Campaign, user: User, compared: Iterable[dict[str, Any]]) -> list[Day]:
    """Votes and answers on probes together: what the annotator did, oldest day first."""
    sums: dict[date, list[int]] = {}
    for table in (Vote, ProbeAnswer):
        rows = table._default_manager.filter(campaign=campaign, annotator=user).order_by()
        by_day = rows.annotate(day=TruncDate("submitted_at")).values("day")
        first = Count("pk", filter=Q(revision=1))
        for row in by_day.annotate(questions=first, active=Sum("active_ms")):
            known = sums.setdefault(row["day"], [0, 0, 0, 0])
            known[0] += row["questions"]
            known[1] += row["active"] or 0
    for row in compared:
        known = sums.setdefault(row["day"], [0, 0, 0, 0])
        known[2] += row["n"]
        known[3] += row["same"]
    return [Day(day, *sums[day]) for day in sorted(sums)]


def _by_dimension(
    campaign: Campaign, compared: Iterable[dict[str, Any]]
) -> tuple[DimensionScore, ...]:
    sums: dict[int, list[int]] = {}
    for row in compared:
        known = sums.setdefault(row["dimension"], [0, 0])
        known[0] += row["n"]
        known[1] += row["same"]
    scores = []
    for each in Dimension.objects.filter(dimension_set=campaign.dimension_set_id):
        total, same = sums.get(each.pk, (0, 0))
        share = same / total if total else None
        scores.append(DimensionScore(each.key, each.title, total, share))
    return tuple(scores)


def _attempts(cursor: Cursor, probed: Iterable[ProbeAnswer]) -> tuple[Attempt, ...]:
    """Finished attempts alone: while one goes on it says nothing about right and wrong."""
    answers: dict[int, list[dict[str, float]]] = {}
    for row in probed:
        if row.kind == ProbeKind.QUALIFICATION:
            answers.setdefault(row.lease.attempt, []).append(row.by_dimension)
    going_on = cursor.attempt if cursor.stage == Stage.QUALIFICATION else 0
    return tuple(
        Attempt(number, right_by_dimension(given))
        for number, given in sorted(answers.items())
        if number != going_on
    )
