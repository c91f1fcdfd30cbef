"""How far are we, who is on the way, and when will it be done?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db.models import Count, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from annotation.assigning import skips_of
from annotation.dashboards.panel import Column, Table, table
from annotation.models import (
    Campaign,
    Consensus,
    ConsensusSource,
    Consent,
    Cursor,
    Invitation,
    Stage,
    Triplet,
    TripletState,
)
from annotation.opinions import Reading

_RECENT = timedelta(hours=24)
_DAYS_LOOKED_AT = 14  # the pace of the future is drawn from these days
_ROUNDS = 2000
_FOREVER = 3650.0  # days; nobody waits longer


@dataclass(frozen=True, slots=True)
class People:
    """From the invitation to the vote; None where the campaign asks for no such step."""

    places: int  # on invitations to this campaign that still hold
    joined: int  # members, and everybody who has opened it
    consented: int | None
    qualified: int | None
    voting: int  # with at least one vote
    active: int  # with a vote in the last 24 hours
    paused: int
    failed: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Where the triplets stand. The parts are disjoint, except that `adjudicated` are complete."""

    untouched: int
    partly: int
    complete: int
    adjudicated: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Days until the last wanted vote, with 95 % limits: days of the past are drawn anew."""

    votes_left: int
    votes_per_day: float
    days: float
    days_low: float
    days_high: float
    at: datetime
    at_low: datetime
    at_high: datetime


@dataclass(frozen=True, slots=True)
class ProgressPanel:
    campaign: int
    done: int  # triplets with all wanted votes
    total: int
    votes_wanted: int  # per triplet
    counted: int
    surplus: int
    skips: int
    annotators: int  # with at least one vote
    votes_last_day: int
    people: People
    pairs: Pairs
    finish: Finish | None  # None without a vote in the days looked at, or with nothing left
    votes_per_day: tuple[tuple[str, int], ...]  # by date (UTC), the newest 60 at most

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    def tables(self) -> tuple[Table, ...]:
        funnel = [
            ("invited", _("places on invitations"), self.people.places),
            ("joined", _("joined"), self.people.joined),
            ("consented", _("consented"), self.people.consented),
            ("qualified", _("qualified"), self.people.qualified),
            ("voting", _("with a vote"), self.people.voting),
            ("active", _("with a vote in the last 24 hours"), self.people.active),
            ("paused", _("paused"), self.people.paused),
            ("failed", _("not qualified"), self.people.failed),
            ("open", _("pairs without a vote"), self.pairs.untouched),
            ("partly", _("pairs partly voted"), self.pairs.partly),
            ("complete", _("pairs complete"), self.pairs.complete),
            ("adjudicated", _("of these adjudicated"), self.pairs.adjudicated),
            ("withdrawn", _("pairs withdrawn"), self.pairs.withdrawn),
        ]
        return (
            table(
                "funnel",
                _("From invitation to settled pair"),
                [
                    Column("step", _("Step")),
                    Column("name", _("Meaning")),
                    Column("n", _("Number"), "count"),
                ],
                funnel,
            ),
            table(
                "days",
                _("Votes per day"),
                [Column("day", _("Day")), Column("votes", _("Votes"), "count")],
                self.votes_per_day,
            ),
        )


def progress_panel(reading: Reading) -> ProgressPanel:
    campaign, votes = reading.campaign, reading.votes
    now = timezone.now()
    recent = votes.at > _microseconds(now - _RECENT)
    counted = int(votes.counted.sum())
    return ProgressPanel(
        campaign=campaign.pk,
        done=campaign.triplets_done,
        total=campaign.triplets_total,
        votes_wanted=campaign.votes_wanted,
        counted=counted,
        surplus=len(votes) - counted,
        skips=skips_of(campaign).count(),
        annotators=len(np.unique(votes.annotator)),
        votes_last_day=int(recent.sum()),
        people=_people(campaign, active=len(np.unique(votes.annotator[recent]))),
        pairs=_pairs(reading),
        finish=_finish(reading, now),
        votes_per_day=_by_day(votes.at)[-60:],
    )


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


def _people(campaign: Campaign, *, active: int) -> People:
    cursors = Cursor.objects.filter(campaign=campaign).aggregate(
        all=Count("pk"),
        voting=Count("pk", filter=Q(votes__gt=0)),
        qualified=Count("pk", filter=Q(stage__in=[Stage.WORKING, Stage.PAUSED])),
        paused=Count("pk", filter=Q(stage=Stage.PAUSED)),
        failed=Count("pk", filter=Q(stage=Stage.FAILED)),
    )
    places = (
        Invitation.objects.filter(campaign=campaign, revoked=False)
        .filter(Q(expires_at__gt=timezone.now()) | Q(uses__gt=0))
        .aggregate(places=Sum("max_uses"))["places"]
    )
    members = campaign.members.exclude(
        pk__in=Cursor.objects.filter(campaign=campaign).values("annotator")
    ).count()
    consented = Consent.objects.filter(campaign=campaign).values("annotator").distinct().count()
    return People(
        places=places or 0,
        joined=cursors["all"] + members,
        consented=consented if campaign.consent else None,
        qualified=cursors["qualified"] if campaign.qualify else None,
        voting=cursors["voting"],
        active=active,
        paused=cursors["paused"],
        failed=cursors["failed"],
    )


def _pairs(reading: Reading) -> Pairs:
    triplets, votes = reading.triplets, reading.votes
    touched = np.bincount(votes.triplet[votes.counted], minlength=len(triplets)) > 0
    left = ~triplets.complete
    adjudicated = (
        Consensus.objects.filter(
            triplet__campaign=reading.campaign, source=ConsensusSource.ADJUDICATION
        )
        .values("triplet")
        .distinct()
        .count()
    )
    withdrawn = Triplet.objects.filter(
        campaign=reading.campaign, state=TripletState.WITHDRAWN
    ).count()
    return Pairs(
        untouched=int((left & ~touched).sum()),
        partly=int((left & touched).sum()),
        complete=int(triplets.complete.sum()),
        adjudicated=adjudicated,
        withdrawn=withdrawn,
    )


def _by_day(at: NDArray[np.int64]) -> tuple[tuple[str, int], ...]:
    """Votes by date, with the dates between that have none."""
    if not len(at):
        return ()
    day = at // 86_400_000_000
    first = int(day.min())
    counts = np.bincount(day - first)
    dates = np.datetime64(first, "D") + np.arange(len(counts))
    return tuple(zip(dates.astype(str).tolist(), counts.tolist(), strict=True))


def _finish(reading: Reading, now: datetime) -> Finish | None:
    triplets, votes = reading.triplets, reading.votes
    given = np.bincount(votes.triplet[votes.counted], minlength=len(triplets))
    left = int(np.maximum(triplets.need - given, 0)[~triplets.complete].sum())
    paces = _paces(votes.at, now)
    if not left or not paces.sum():
        return None
    rng = np.random.default_rng(0)
    # Days, not votes, are drawn anew: weekends, pauses and bursts belong to the pace.
    drawn = paces[rng.integers(0, len(paces), (_ROUNDS, len(paces)))].mean(1)
    days = np.minimum(left / np.maximum(drawn, 1e-9), _FOREVER)
    low, high = np.percentile(days, [2.5, 97.5]).tolist()
    usual = min(left / float(paces.mean()), _FOREVER)
    return Finish(
        votes_left=left,
        votes_per_day=float(paces.mean()),
        days=usual,
        days_low=low,
        days_high=high,
        at=now + timedelta(days=usual),
        at_low=now + timedelta(days=low),
        at_high=now + timedelta(days=high),
    )


def _paces(at: NDArray[np.int64], now: datetime) -> NDArray[np.float64]:
    """Votes per day in each past period: full days back from now, or hours on the first days."""
    if not len(at):
        return np.zeros(1)
    age = (_microseconds(now) - at) / 86_400e6
    known = min(float(age.max()), _DAYS_LOOKED_AT)
    period = 1.0 if known >= 3 else 1 / 24
    periods = max(1, int(known / period))
    number = (age / period).astype(np.int64)
    counts = np.bincount(number[(number >= 0) & (number < periods)], minlength=periods)
    return counts / period
