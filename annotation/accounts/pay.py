"""Active time and what is paid for it, per person and day. Reads only.

A day is one of the site's clock (UTC, as `Cursor.day`). Active time is what votes and answers on
probes report, corrections included; a question counts once. The browser tells it, so a day counts
no more than lay between its first and last answer, and one lease for the first. The amount of a
person and day is hours x rate, rounded half up to cents, and totals are sums of those amounts: the
column adds up.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation.models import Campaign, Flag, FlagKind, ProbeAnswer, Vote
from annotation.spreadsheets import csv_lines

_CENT: Final = Decimal("0.01")
_MS_PER_HOUR: Final = 3_600_000
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_ENDED_BY_FLAG: Final = (FlagKind.DISTURBING, FlagKind.BROKEN)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both ends included; None for open."""

    since: date | None = None
    until: date | None = None

    def of(self, field: str) -> Q:
        wanted = Q()
        if self.since is not None:
            wanted &= Q(**{f"{field}__gte": _midnight(self.since)})
        if self.until is not None:
            wanted &= Q(**{f"{field}__lt": _midnight(self.until + timedelta(days=1))})
        return wanted


ALWAYS: Final = Period()


@dataclass(frozen=True, slots=True)
class Day:
    """One person's work in one campaign on one day."""

    campaign: Campaign
    user: User
    day: date
    reported_ms: int
    clock_ms: int  # from the first answer to the last, and one lease
    questions: int

    @property
    def active_ms(self) -> int:
        """What is paid: as reported, as far as the clock allows."""
        return min(self.reported_ms, self.clock_ms)

    @property
    def cut(self) -> bool:
        return self.reported_ms > self.clock_ms

    @property
    def hours(self) -> Decimal:
        return (Decimal(self.active_ms) / _MS_PER_HOUR).quantize(Decimal("0.0001"))

    @property
    def amount(self) -> Decimal:
        return amount(self.active_ms, self.campaign.hourly_rate)


@dataclass(frozen=True, slots=True)
class Total:
    """One person's days together."""

    user: User
    campaign: Campaign
    days: int
    active_ms: int
    questions: int
    amount: Decimal


def amount(active_ms: int, hourly_rate: Decimal) -> Decimal:
    return (Decimal(active_ms) * hourly_rate / _MS_PER_HOUR).quantize(_CENT, ROUND_HALF_UP)


@dataclass(slots=True)
class _Sums:
    reported_ms: int = 0
    questions: int = 0
    first: datetime = _NEVER
    last: datetime = _EVER

    def add(self, row: Mapping[str, Any]) -> None:
        self.reported_ms += row.get("active") or 0
        self.questions += row["questions"]
        self.first, self.last = min(self.first, row["first"]), max(self.last, row["last"])

    def clock_ms(self) -> int:
        span = (self.last - self.first).total_seconds() + settings.TIEBREAK_LEASE_SECONDS
        return int(span * 1000)


def days_of(campaign: Campaign, period: Period = ALWAYS) -> list[Day]:
    """Everybody's, by name and day. A day of corrections alone has time and no question."""
    days = _days(period, campaign=campaign)
    return sorted(days, key=lambda each: (each.user.username, each.day))


def own_hours(user: User, period: Period = ALWAYS) -> list[Day]:
    """What a person worked, in every campaign, newest day first."""
    days = _days(period, annotator=user)
    return sorted(days, key=lambda each: (each.day, each.campaign.name), reverse=True)


def _days(period: Period, **of: Any) -> list[Day]:
    sums: dict[tuple[int, int, date], _Sums] = defaultdict(_Sums)
    for rows in _sources(period, of):
        for row in rows:
            sums[row["campaign"], row["annotator"], row["day"]].add(row)
    campaigns = Campaign.objects.in_bulk({campaign for campaign, _who, _day in sums})
    users = User.objects.in_bulk({who for _campaign, who, _day in sums})
    return [
        Day(campaigns[campaign], users[who], day, each.reported_ms, each.clock_ms(), each.questions)
        for (campaign, who, day), each in sums.items()
    ]


def _sources(period: Period, of: Mapping[str, Any]) -> Iterator[Iterable[Mapping[str, Any]]]:
    """Votes, answers on probes, and flags that ended a question: each by person and day."""
    first = Count("pk", filter=Q(revision=1))
    for table in (Vote, ProbeAnswer):
        rows = table._default_manager.filter(period.of("submitted_at"), **of)
        yield _by_day(rows, "submitted_at").annotate(active=Sum("active_ms"), questions=first)
    flags = Flag.objects.filter(period.of("created_at"), kind__in=_ENDED_BY_FLAG, **of)
    # Both clips of one question may be flagged: that is one question.
    asked = Count("triplet", distinct=True) + Count("probe", distinct=True)
    yield _by_day(flags, "created_at").annotate(questions=asked)


def _by_day(rows: QuerySet[Any, Any], at: str) -> QuerySet[Any, Any]:
    rows = rows.order_by().annotate(day=TruncDate(at))
    rows = rows.values("campaign", "annotator", "day")
    by_day: QuerySet[Any, Any] = rows.annotate(first=Min(at), last=Max(at))
    return by_day


def totals(days: Sequence[Day]) -> list[Total]:
    """Per person (and campaign), in the order of the days."""
    grouped: dict[tuple[int, int], list[Day]] = {}
    for day in days:
        grouped.setdefault((day.campaign.pk, day.user.pk), []).append(day)
    return [
        Total(
            user=group[0].user,
            campaign=group[0].campaign,
            days=len(group),
            active_ms=sum(each.active_ms for each in group),
            questions=sum(each.questions for each in group),
            amount=sum((each.amount for each in group), Decimal(0)),
        )
        for group in grouped.values()
    ]


@dataclass(frozen=True, slots=True)
class Today:
    active_ms: int
    questions: int


def today_of(user: User) -> Today:
    """Across campaigns, from midnight UTC: what the first page says."""
    today = timezone.now().astimezone(UTC).date()
    days = own_hours(user, Period(today, today))
    return Today(sum(each.active_ms for each in days), sum(each.questions for each in days))


COLUMNS: Final = (
    *("campaign", "day", "username", "name", "email"),
    *("reported_ms", "active_ms", "hours", "questions", "hourly_rate", "amount", "currency"),
)


def to_csv(days: Iterable[Day]) -> Iterator[str]:
    """The table for accounting."""
    return csv_lines(COLUMNS, map(_cells, days))


def _cells(day: Day) -> tuple[object, ...]:
    campaign, user = day.campaign, day.user
    texts = (campaign.name, day.day.isoformat(), user.username, user.first_name, user.email)
    times = (day.reported_ms, day.active_ms, day.hours)
    return (*texts, *times, day.questions, campaign.hourly_rate, day.amount, campaign.currency)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
