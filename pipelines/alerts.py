"""What an operator wants to know before people do (RELIABILITY O2): rules over rows and disks.

`findings` looks; `watch` keeps one row per alert that stands, tells it once, and ends it. Every
worker watches, and so does the site whenever it is asked whether it is ready: a rule about dead
workers must not wait for one. Any number of copies may, because the database keeps each alert once.
"""

import logging
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db import Error, IntegrityError, connection, transaction
from django.db.models import Max, Min, Q
from django.db.models.functions import Now
from django.utils import timezone

from annotation.models import CampaignState, Lease, Slot, SlotState, Vote
from pipelines import lifecycle, waiting
from pipelines.backups import records
from pipelines.models import Alert, QueueName, Run, RunState

logger = logging.getLogger(__name__)
_SOME: Final = 3  # people at work from whom a vote within the time is to be expected
_FROZEN_STEPS: Final = 20
_LONGEST: Final = 200  # of Alert.about
_CLOCK: Final = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong now. `key` and `about` together name it from look to look."""

    key: str
    about: str
    message: str
    advice: str


def findings() -> list[Finding]:
    """Everything that is wrong now, by every rule."""
    return [each for rule in RULES for each in rule()]


def standing() -> list[Alert]:
    """The alerts that hold, as they were last seen; the oldest first."""
    return list(Alert.objects.filter(ended_at=None).order_by("since", "pk"))


# The rules.


def no_votes() -> Iterator[Finding]:
    """People hold pairs, and no vote arrives: the page, the network or the door is broken."""
    held = Slot.objects.filter(
        state=SlotState.LEASED, lease_expires__gt=Now(), campaign__state=CampaignState.OPEN
    )
    campaigns: dict[tuple[int, str], list[tuple[int | None, uuid.UUID | None]]] = {}
    for pk, name, holder, token in held.values_list(
        "campaign_id", "campaign__name", "holder_id", "lease_token"
    ):
        campaigns.setdefault((pk, name), []).append((holder, token))
    for (pk, name), leases in campaigns.items():
        quiet = _quiet(pk, [token for _, token in leases])
        people = len({holder for holder, _ in leases})
        if quiet > settings.TIEBREAK_ALERT_VOTES_SECONDS * max(1.0, _SOME / people):
            yield Finding(
                "no_votes",
                name[:_LONGEST],
                f"Pairs of {name} lie before {people} annotators, and for {_told(quiet)} none of"
                " them has voted.",
                "Vote on a pair yourself, and look in the log of the site for refused votes.",
            )


def _quiet(campaign: int, tokens: list[uuid.UUID | None]) -> float:
    """Seconds since the last vote, or since the first of these pairs was given out after it."""
    newest = Vote.objects.filter(campaign=campaign).aggregate(at=Max("submitted_at"))["at"]
    first = Lease.objects.filter(token__in=filter(None, tokens)).aggregate(at=Min("issued_at"))[
        "at"
    ]
    return _age(max((each for each in (newest, first) if each is not None), default=None))


def no_worker() -> Iterator[Finding]:
    """Runs could start, and nobody who may take them is alive."""
    patience = timedelta(seconds=settings.TIEBREAK_ALERT_QUEUED_SECONDS)
    waited = lifecycle.claimable(QueueName.values).filter(
        Q(not_before=None, created_at__lt=Now() - patience) | Q(not_before__lt=Now() - patience)
    )
    alive = waiting.live_workers()
    lonely: dict[str, list[int]] = {}
    for run in waited:
        if not waiting.fitting(run.queue, run.needs, alive):
            lonely.setdefault(run.queue, []).append(run.pk)
    for queue, runs in lonely.items():
        yield Finding(
            "no_worker",
            queue,
            f"{len(runs)} runs of the queue {queue} wait, run {runs[0]} first, and no worker that"
            " may take them is alive.",
            f"Start one: `manage.py worker --queues {queue}`, or a Celery worker of that queue.",
        )


def frozen_run() -> Iterator[Finding]:
    """A run whose worker still lives makes no progress any more, long before the watchdog acts."""
    for run in Run.objects.filter(state__in=(RunState.STARTING, RunState.RUNNING)):
        quiet = _age(run.progress_at)
        if quiet > _patience(run):
            yield Finding(
                "frozen_run",
                f"run {run.pk}",
                f"{run} has made no progress for {_told(quiet)}.",
                "Look at the end of its log; the watchdog stops it after"
                f" {_told(settings.TIEBREAK_RUN_HANG_SECONDS)}.",
            )


def _patience(run: Run) -> float:
    """Twenty of its usual steps; where none is known, half of what the watchdog waits."""
    least: float = settings.TIEBREAK_ALERT_FROZEN_SECONDS
    if not run.step or run.started_at is None or run.progress_at is None:
        half: float = settings.TIEBREAK_RUN_HANG_SECONDS / 2
        return max(least, half)
    each = (run.progress_at - run.started_at).total_seconds() / run.step
    return max(least, _FROZEN_STEPS * each)


def full_disk() -> Iterator[Finding]:
    """A disk of ours is nearly full: a run that cannot save its checkpoint fails."""
    places: dict[int, tuple[Path, list[str]]] = {}
    for name in ("VAR", "MEDIA_ROOT", "RUNS_ROOT"):
        folder = Path(getattr(settings, name))
        if folder.is_dir():  # one disk is one alert
            places.setdefault(folder.stat().st_dev, (folder, []))[1].append(name)
    for folder, names in places.values():
        usage = shutil.disk_usage(folder)
        share = usage.used / (usage.used + usage.free)
        if share >= settings.TIEBREAK_ALERT_DISK:
            yield Finding(
                "full_disk",
                f"{socket.gethostname()}: {', '.join(names)}",
                f"The disk of {', '.join(names)} on {socket.gethostname()} is {share:.0%} full;"
                f" {usage.free / 2**30:.1f} GiB are left.",
                "Run `manage.py collect_garbage`, or give it more room.",
            )


def wrong_clock() -> Iterator[Finding]:
    """This host and the database disagree about the time: leases and links expire wrongly."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute(_CLOCK[connection.vendor])
        (theirs,) = cursor.fetchone()
        ours = (before + time.time()) / 2
    apart = float(theirs) - ours
    if abs(apart) > settings.TIEBREAK_ALERT_CLOCK_SECONDS:
        word = "ahead of" if apart < 0 else "behind"
        yield Finding(
            "wrong_clock",
            socket.gethostname(),
            f"The clock of {socket.gethostname()} is {abs(apart):.0f} s {word} the database's.",
            "Let both hosts keep time by NTP.",
        )


def unproven_backup() -> Iterator[Finding]:
    """Nobody has seen a backup restored for a week: then there may be none (RELIABILITY D3)."""
    days = records.days_unproven()
    if days is not None and days > settings.TIEBREAK_ALERT_BACKUP_DAYS:
        good = records.last_good()
        said = f"for {days:.0f} days" if good else f"yet, and the site is {days:.0f} days old"
        yield Finding(
            "unproven_backup",
            "",
            f"No backup was seen to be restorable {said}.",
            "Run `manage.py backup` and `manage.py check_backup` each night (docs/operations.md).",
        )


RULES: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    no_votes,
    no_worker,
    frozen_run,
    full_disk,
    wrong_clock,
    unproven_backup,
)


# Keeping and telling.


@dataclass(slots=True)
class _Looked:
    at: float | None = None


_LAST: Final = _Looked()


def watch_if_due() -> None:
    """`watch`, but not more often than TIEBREAK_ALERT_EVERY_SECONDS in this process."""
    now = time.monotonic()
    if _LAST.at is not None and now - _LAST.at < settings.TIEBREAK_ALERT_EVERY_SECONDS:
        return
    _LAST.at = now
    try:
        watch()
    except Error as error:
        logger.warning("alerts could not be looked for: %s", error)


def watch() -> list[Alert]:
    """Look; keep what is new, tell it, and end what no longer holds. Gives what stands."""
    # Before it is looked what is wrong: an alert that another process raises meanwhile still holds.
    known = standing()
    found = {(each.key, each.about): each for each in findings()}
    for alert in known:
        if (alert.key, alert.about) not in found and _is_ours_to_end(alert):
            _end(alert)
    for each in found.values():
        _keep(each)
    return standing()


def _is_ours_to_end(alert: Alert) -> bool:
    """What a host says of itself, only that host takes back."""
    of_a_host = alert.key in {"full_disk", "wrong_clock"}
    return not of_a_host or alert.about.partition(":")[0] == socket.gethostname()


def _end(alert: Alert) -> None:
    if Alert.objects.filter(pk=alert.pk, ended_at=None).update(ended_at=Now()):
        logger.info("the alert %s about %s is over", alert.key, alert.about)


def _keep(found: Finding) -> None:
    text = {"message": found.message, "advice": found.advice}
    open_one = Alert.objects.filter(key=found.key, about=found.about, ended_at=None)
    if open_one.update(**text):
        return
    try:
        with transaction.atomic():
            Alert.objects.create(key=found.key, about=found.about, **text)
    except IntegrityError:
        return  # another process has seen it at the same moment, and tells it
    logger.error("alert %s: %s %s", found.key, found.message, found.advice)
    _mail(found)


def _mail(found: Finding) -> None:
    operators = User.objects.filter(is_superuser=True, is_active=True).exclude(email="")
    addresses = list(operators.values_list("email", flat=True))
    if not settings.TIEBREAK_SENDS_MAIL or not addresses:
        return
    try:
        send_mail(
            f"Tiebreak: {found.message}"[:150].replace("\n", " "),
            f"{found.message}\n\n{found.advice}\n",
            None,
            addresses,
        )
    except OSError as error:
        logger.warning("the alert %s could not be sent by e-mail: %s", found.key, error)


def _age(at: datetime | None) -> float:
    return 0.0 if at is None else max((timezone.now() - at).total_seconds(), 0.0)


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
